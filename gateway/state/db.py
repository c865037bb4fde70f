"""The tables, and the one place where a database connection is opened (SQLite in WAL mode; PostgreSQL comes later).

Times are seconds since 1970 (float, UTC). A claim is `claimed_by` and `lease_until` on the row; a retry is `not_before`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway.errors import Fatal, Retry

SCHEMA_VERSION = 6
BUSY_SECONDS = 20.0

STEPS = {
    2: "ALTER TABLE series ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
    3: "SELECT count(*) FROM committed",  # a new table, which is made as all of them are
    4: "SELECT 1",
    5: "SELECT count(*) FROM withdrawn",  # new tables
    6: "SELECT 1",
}
"""What brings a database to the schema of that number from the one before."""

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

request = Table(
    "request",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("project", String, nullable=False),
    Column("accession_hash", String, nullable=False, index=True),
    Column("sealed", LargeBinary),  # accession, patient_id, study_date
    Column("modality", String, nullable=False, default=""),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("empties", Integer, nullable=False, default=0),
    Column("not_before", Float),  # null: not to be claimed again
    Column("claimed_by", String),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    UniqueConstraint("project", "accession_hash"),
    Index("request_work", "project", "state", "not_before"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("project", String, nullable=False),
    Column("series_hash", String, nullable=False, index=True),
    Column("study_hash", String, nullable=False, index=True),
    Column("sealed", LargeBinary),  # study, series
    Column("pacs", String, nullable=False),
    Column("modality", String, nullable=False, default=""),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("claimed_by", String),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("expected", Integer),
    Column("kept", Integer, nullable=False, default=0),
    Column("excluded", Integer, nullable=False, default=0),
    Column("refused", Integer, nullable=False, default=0),
    Column("held", Integer, nullable=False, default=0, server_default="0"),  # since schema 2
    Column("reasons", String, nullable=False, default="{}"),  # JSON: reason -> instances
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    UniqueConstraint("project", "series_hash"),
    Index("series_work", "state", "pacs", "not_before"),
)

asked = Table(
    "asked",  # which request asked for which series
    metadata,
    Column("request_id", ForeignKey("request.id"), primary_key=True),
    Column("series_id", ForeignKey("series.id"), primary_key=True, index=True),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("request_id", ForeignKey("request.id"), index=True),
    Column("series_id", ForeignKey("series.id"), index=True),
    Column("event", String, nullable=False),
    Column("before", String, nullable=False),
    Column("after", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
)

aside = Table(
    "aside",  # RIS rows and CSV lines that could not become a request
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String, nullable=False),
    Column("text_hash", String, nullable=False, index=True),
    Column("reason", String, nullable=False),
    Column("first_seen", Float, nullable=False),
    Column("times", Integer, nullable=False, default=1),
    UniqueConstraint("project", "text_hash", "reason"),
)

committed = Table(
    "committed",  # instances that every archive of a series confirmed: for storage commitment (since schema 3)
    metadata,
    Column("instance", LargeBinary(16), primary_key=True),  # keyed hash
    Column("series_id", ForeignKey("series.id"), primary_key=True),
    sqlite_with_rowid=False,
)

person = Table(
    "person",  # the crosswalk: whose pseudonym it is, of whom something was kept (since schema 5)
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String, nullable=False),
    Column("pseudonym_hash", String, nullable=False),
    Column("patient_hash", String, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),  # pseudonym, patient
    UniqueConstraint("project", "pseudonym_hash", "patient_hash"),
)

person_series = Table(
    "person_series",
    metadata,
    Column("person_id", ForeignKey("person.id"), primary_key=True),
    Column("series_id", ForeignKey("series.id"), primary_key=True, index=True),
    Column("sealed", LargeBinary, nullable=False),  # study, series: original UIDs
)

withdrawal = Table(
    "withdrawal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("project", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("done", Float),  # null: there are archives that it has not been taken out of
    Column("sealed", LargeBinary, nullable=False),  # reason; until it is done: pseudonyms, sinks
)

withdrawn = Table(
    "withdrawn",  # who never comes back: keyed hashes of patient IDs and pseudonyms
    metadata,
    Column("project", String, primary_key=True),
    Column("hash", String, primary_key=True),
    Column("withdrawal_id", ForeignKey("withdrawal.id"), nullable=False),
)

cursor = Table(
    "cursor",  # sealed: a site may follow any column, an accession number too
    metadata,
    Column("project", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)


class Database:
    """An opened database. `write()` and `read()` are one short transaction each; raise Retry("state.busy") when it will not.

    One writer at a time: SQLite allows no more, and a lock waits more fairly than its busy handler.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._writer = _sqlite(path, begin="BEGIN IMMEDIATE")
        self._reader = _sqlite(path, begin="BEGIN")
        with self.write() as c:
            _bring_up(c)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._lock, _plain_errors(), self._writer.begin() as c:
            yield c

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with _plain_errors(), self._reader.begin() as c:
            yield c

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


def _sqlite(path: Path, *, begin: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _settings(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None  # the driver begins nothing by itself; "begin" below does
        dbapi.execute("PRAGMA journal_mode=WAL")
        dbapi.execute("PRAGMA synchronous=FULL")  # a settled row survives a power cut
        dbapi.execute("PRAGMA foreign_keys=ON")
        dbapi.execute("PRAGMA secure_delete=ON")  # dropped values leave no bytes behind

    @event.listens_for(engine, "begin")
    def _begin(c: Connection) -> None:
        c.exec_driver_sql(begin)

    return engine


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Database errors without statement or values: busy and I/O trouble are passing, the rest ends the daemon."""
    try:
        yield
    except OperationalError:
        raise Retry("state.busy", "the state database does not answer", charge=False) from None
    except DBAPIError as err:
        raise Fatal("state.database", f"{type(err.orig).__name__} in the state database") from None


def _bring_up(c: Connection) -> None:
    metadata.create_all(c)
    found = c.execute(select(schema_version.c.version)).scalar()
    if found is None:
        c.execute(insert(schema_version).values(version=SCHEMA_VERSION))
    elif found > SCHEMA_VERSION:
        raise Fatal(
            "state.schema",
            f"the state has schema {found}, this version knows {SCHEMA_VERSION}: install the newer pacs-gateway again",
        )
    elif found < SCHEMA_VERSION:
        for version in range(found + 1, SCHEMA_VERSION + 1):
            c.exec_driver_sql(STEPS[version])
        c.execute(update(schema_version).values(version=SCHEMA_VERSION))
