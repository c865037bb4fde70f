"""A state moved from SQLite to PostgreSQL, whole, in one transaction: the old one stays as it was until all of it is there.

Sealed columns go as they are: the key is the same. Numbers of rows are kept, so everything that refers to them fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Integer, Table, delete, func, insert, select, text
from sqlalchemy.engine import Connection

from gateway.errors import Fatal
from gateway.state import nodes, plans
from gateway.state.db import Database, cursor, metadata

AT_ONCE: Final = 2000
"""Rows in one statement."""
BROKEN_OFF: Final = "Where an earlier run broke off at its end this is it: rename state.sqlite to state.sqlite.moved"
STAYS: Final = frozenset({"schema_version", "node", "turn", "population"})
"""Tables that every database has of its own."""


def move(source: Database, target: Database, *, node: str, told: Callable[[str, int], None]) -> dict[str, int]:
    """Rows by table. `node`: whose outbox has the files. `told`: a table and how many of its rows are there so far.

    Raises Fatal("state.not-empty") when the target holds a state already, Fatal("state.moved-badly") when a number differs.
    """
    tables = [t for t in metadata.sorted_tables if t.name not in STAYS]
    with target.long_write() as there, source.read() as here:
        # All that a look at a new one leaves there.
        there.execute(delete(cursor).where(cursor.c.project == plans.KEY_MARK))
        taken = [t.name for t in tables if there.execute(select(text("1")).select_from(t).limit(1)).first()]
        if taken:
            full = f"the new database holds a state already ({', '.join(taken)}); nothing was changed"
            raise Fatal("state.not-empty", f"{full}. {BROKEN_OFF}")
        moved = {t.name: _copy(here, there, t, told) for t in tables}
        nodes.adopt(there, node)
        _compare(there, tables, moved)
    return moved


def _copy(here: Connection, there: Connection, table: Table, told: Callable[[str, int], None]) -> int:
    count = 0
    for rows in _pages(here, table):
        there.execute(insert(table), rows)
        count += len(rows)
        told(table.name, count)
    go_on_numbering(there, table)
    return count


def _pages(here: Connection, table: Table) -> Iterator[Sequence[Mapping[str, Any]]]:
    result = here.execute(select(table).execution_options(stream_results=True, yield_per=AT_ONCE))
    for page in result.mappings().partitions():
        yield [dict(row) for row in page]


def go_on_numbering(there: Connection, table: Table) -> None:
    """PostgreSQL numbers new rows itself, and must begin after those that came."""
    if "id" not in table.c or not isinstance(table.c.id.type, Integer):
        return
    last = there.execute(select(func.max(table.c.id))).scalar()
    if last is not None:
        name = there.execute(select(func.pg_get_serial_sequence(table.name, "id"))).scalar_one()
        there.execute(select(func.setval(name, last)))


def _compare(there: Connection, tables: Sequence[Table], moved: Mapping[str, int]) -> None:
    for table in tables:
        found = there.execute(select(func.count()).select_from(table)).scalar_one()
        if found != moved[table.name]:
            raise Fatal(
                "state.moved-badly", f"{table.name}: {moved[table.name]} rows left, {found} came; nothing was changed"
            )
