"""A database brought to the schema of this version, forward only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import MetaData, Table, insert, inspect, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from gateway.errors import Fatal
from gateway.state import population

BRING_UP_LOCK: Final = 0x7061637367  # any number, the same in every version

Steps = Mapping[int, str | tuple[str, ...]]
"""What brings a database to the schema of that number from the one before, on SQLite and on PostgreSQL."""


STEPS: dict[int, str | tuple[str, ...]] = {
    2: "SELECT count(*) FROM series",  # a new column
    3: "SELECT count(*) FROM committed",  # a new table
    4: "SELECT count(*) FROM evidence",  # a new table, and new columns: there are states of 4 to 7 that do not have them
    5: "SELECT count(*) FROM withdrawn",  # new tables
    6: "SELECT count(*) FROM progress",  # a new table
    7: ("DROP INDEX IF EXISTS request_work", "DROP INDEX IF EXISTS series_work"),  # and a new column
    8: "DROP INDEX IF EXISTS request_pending",  # request_under_way in its place
    9: "SELECT count(*) FROM keyring",  # a new table
    10: "SELECT count(*) FROM series",  # ledgers have lines that a former version takes for torn, and the files for strays
}
"""What brings a database to the schema of that number from the one before, on both.

New tables, columns and indexes are made as all are, by what is missing.
"""


def bring_up(c: Connection, metadata: MetaData, steps: Steps) -> None:
    """Makes what is missing: tables, then the steps. Raises Fatal("state.schema") for a schema of a later version."""
    if c.dialect.name == "postgresql":  # one node at a time
        c.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": BRING_UP_LOCK})
    metadata.create_all(c)
    version, ours = metadata.tables["schema_version"], max(steps)
    found = c.execute(select(version.c.version)).scalar()
    if found is None:
        c.execute(insert(version).values(version=ours))
        population.begin(c)
    elif found > ours:
        raise Fatal(
            "state.schema",
            f"the state has schema {found}, this version knows {ours}: install the newer pacs-gateway again",
        )
    elif found < ours:
        _step_up(c, metadata, [steps[number] for number in range(found + 1, ours + 1)])
        population.begin(c)
        c.execute(update(version).values(version=ours))


def _step_up(c: Connection, metadata: MetaData, steps: list[str | tuple[str, ...]]) -> None:
    if c.dialect.name == "postgresql":  # millions of rows take their time; nobody else is there
        c.exec_driver_sql("SET LOCAL statement_timeout = 0")
    for step in steps:
        for statement in (step,) if isinstance(step, str) else step:
            c.exec_driver_sql(statement)
    for table in metadata.sorted_tables:
        _add_columns(c, table)
        for index in table.indexes:  # those of a new table are there already
            index.create(c, checkfirst=True)


def _add_columns(c: Connection, table: Table) -> None:
    """A new column has a `server_default`, which the rows that are there get."""
    there = {column["name"] for column in inspect(c).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            c.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column).compile(dialect=c.dialect)}")
