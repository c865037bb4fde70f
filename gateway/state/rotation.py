"""A new master key, or a new key for one project. Each is one transaction, and nobody else may have the state open.

What a master key seals is sealed again. What must stay as it was, else nobody would be known any more, goes into the ring: look-up
hashes, the audit trail's key, and the keys of all projects that there ever were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import RowMapping, Table, and_, bindparam, func, select, text, tuple_, update
from sqlalchemy.engine import Connection

from gateway.errors import Fatal
from gateway.keys import Keys
from gateway.state import nodes, persons, plans, ring
from gateway.state.db import (
    Database,
    aside,
    cursor,
    node,
    person,
    person_series,
    request,
    series,
    withdrawal,
    withdrawn,
)
from gateway.state.sealed import Seal
from gateway.state.sharing import keyring

AT_ONCE: Final = 1000
"""Rows in one statement."""
LOOKS: Final = 10
"""A session that was closed just now is shown for a moment still."""
SKEW: Final = 60.0
"""Seconds that this machine's clock may be behind the database's."""
MARK: Final = "/rotated"
"""In the table of cursors, where no project can have such a name: how far the last rotation is."""
SEALED_AGAIN, DONE = "sealed again", "done"
OPEN: Final = frozenset({"planned", "retrieved", "delivered", "held"})
"""States of a series that files may be waiting for or be somewhere on their way in."""


@dataclass(frozen=True)
class Here:
    """Who does it, and when."""

    node: str
    now: float


Owner = Callable[[RowMapping], str]
SEALED: Final[tuple[tuple[Table, Owner], ...]] = (
    (request, lambda r: str(r["key"])),
    (series, lambda r: str(r["key"])),
    (person, lambda r: str(r["pseudonym_hash"])),
    (person_series, lambda r: persons.link_owner(r["person_id"], r["series_id"])),
    (withdrawal, lambda r: str(r["key"])),
    (cursor, lambda r: plans.cursor_owner(r["project"])),
)
"""Every table with a sealed column, besides the ring, and what its rows are sealed for."""


def rotate(database: Database, old: bytes, new: bytes, *, projects: Iterable[str], here: Here) -> int:
    """Everything sealed under `old` is sealed under `new`; how many rows. `projects`: those of the configuration.

    Raises Fatal: "state.key" when `old` is not the key of all of it, "node.alive", "state.in-use"; then nothing is changed.
    """
    with database.long_write() as c:
        alone(c, here)
        keys = ring.read(c, old)
        fresh = keys.under(new, {*projects, *_projects(c)})
        rows = sum(_seal_again(c, table, owner, (Seal(keys), Seal(fresh))) for table, owner in SEALED)
        ring.write(c, fresh)
        plans.save_cursor(c, Seal(fresh), MARK, SEALED_AGAIN)
        return rows


def renew(database: Database, master: bytes, key: bytes, *, project: str, here: Here) -> None:
    """`key` is that project's from now on; the one before stays, for what was delivered under it.

    Raises Fatal("key.unfinished") while the project has series on their way: half of a series would be another patient's.
    """
    with database.long_write() as c:
        alone(c, here)
        keys = ring.read(c, master)
        open_ones = and_(series.c.project == project, series.c.state.in_(sorted(OPEN)))
        left = c.execute(select(func.count()).select_from(series).where(open_ones)).scalar_one()
        if left:
            raise Fatal(
                "key.unfinished", f"{project} has {left} series on their way: let them end, or cancel their requests"
            )
        ring.write(c, keys.renewed(project, key))


def opens(database: Database, master: bytes) -> bool:
    """Whether this is the key of the state."""
    with database.read() as c:
        try:
            plans.saved_cursor(c, Seal(master), plans.KEY_MARK)
        except Fatal:
            return False
        return True


def stage(database: Database, keys: Keys) -> str | None:
    """How far the last rotation is: SEALED_AGAIN, DONE; None: there was none."""
    with database.read() as c:
        return plans.saved_cursor(c, Seal(keys), MARK)


def end(database: Database, keys: Keys) -> None:
    """Nothing is left to be done of it; what was sealed before is in no file of the database either."""
    database.scrub([table.name for table, _ in SEALED])
    with database.write() as c:
        plans.save_cursor(c, Seal(keys), MARK, DONE)


def alone(c: Connection, here: Here) -> None:
    """Nobody else has the state open, and nobody opens it until the transaction ends.

    On SQLite that is for whoever calls to see to: nobody but this machine can have opened it.
    """
    if c.dialect.name != "postgresql":
        return
    names = ", ".join(table.name for table in (*(t for t, _ in SEALED), keyring))
    c.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
    lives = and_(~nodes.over(here.now, SKEW), node.c.name != here.node)
    living = c.execute(select(node.c.name).where(lives)).scalars().all()
    if living:
        raise Fatal("node.alive", f"node {min(living)} runs, or did a moment ago: stop every node first")
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name = 'pacs-gateway'"
    )
    for _ in range(LOOKS):
        if not c.execute(others).scalar_one():
            return
        c.execute(text("SELECT pg_stat_clear_snapshot(), pg_sleep(0.2)"))
    raise Fatal("state.in-use", "another pacs-gateway has the database open: stop every node, end every command")


def _projects(c: Connection) -> Iterator[str]:
    """All that left anything in the state."""
    for table in (request, series, person, withdrawal, withdrawn, aside):
        yield from c.execute(select(table.c.project).distinct()).scalars()


def _seal_again(c: Connection, table: Table, owner: Owner, seals: tuple[Seal, Seal]) -> int:
    """`seals`: the former, the new."""
    keys = list(table.primary_key)
    here = and_(*(column == bindparam(f"at_{column.name}") for column in keys))
    change = update(table).where(here).values(sealed=bindparam("blob"))
    count = 0
    for rows in _pages(c, table):
        c.execute(change, [_sealed_again(row, table, owner(row), seals) for row in rows])
        count += len(rows)
    return count


def _sealed_again(row: RowMapping, table: Table, owner: str, seals: tuple[Seal, Seal]) -> dict[str, Any]:
    former, fresh = seals
    at = {f"at_{column.name}": row[column] for column in table.primary_key}
    return {**at, "blob": fresh.close_up(former.open_up(row["sealed"], owner=owner), owner=owner)}


def _pages(c: Connection, table: Table) -> Iterator[Sequence[RowMapping]]:
    """In the order of their primary keys: memory does not grow with the state."""
    keys = list(table.primary_key)
    pages = select(table).where(table.c.sealed.is_not(None)).order_by(*keys).limit(AT_ONCE)
    rows = c.execute(pages).mappings().all()
    while rows:
        yield rows
        last = [rows[-1][column] for column in keys]
        rows = c.execute(pages.where(tuple_(*keys) > tuple_(*last))).mappings().all()
