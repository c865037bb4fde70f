"""The tables, their schema, and the database opened: SQLite in WAL mode for one node, PostgreSQL for several.

Times are seconds since 1970 (float, UTC). A claim is `claimed_by` and `lease_until` on the row; a retry is `not_before`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from gateway.state import engines, faults
from gateway.state.schema import STEPS as STEPS
from gateway.state.schema import bring_up
from gateway.state.sharing import metadata as metadata
from gateway.state.sharing import node as node
from gateway.state.sharing import population as population
from gateway.state.sharing import turn as turn

SCHEMA_VERSION = 10

ASKABLE: Final = "state IN ('new', 'empty')"
"""As it stands in the index of what is due, and in the question: word for word, else the index is of no use."""
PENDING: Final = "state IN ('new', 'planned')"
"""A request that is under way: the same. One that only waits to be asked again is not, and there may be very many of them."""
CLAIMED: Final = "claimed_by IS NOT NULL"

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
    Column("created", Float, nullable=False),  # or when it began to wait anew
    Column("updated", Float, nullable=False),
    Column("listed", Integer, nullable=False, default=0, server_default="0"),  # 1: by the RIS (and the next: schema 4)
    Column("number_hash", String, nullable=False, default="", server_default="", index=True),  # with an issuer
    UniqueConstraint("project", "accession_hash"),
    Index("request_due", "project", "not_before", "id", sqlite_where=text(ASKABLE), postgresql_where=text(ASKABLE)),
    Index("request_under_way", "project", "created", sqlite_where=text(PENDING), postgresql_where=text(PENDING)),
    Index("request_listed", "project", "state", "updated", "id"),
    Index("request_claimed", "claimed_by", sqlite_where=text(CLAIMED), postgresql_where=text(CLAIMED)),
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
    Column("node", String, nullable=False, default="", server_default=""),  # whose outbox has it (since schema 7)
    UniqueConstraint("project", "series_hash"),
    Index("series_turn", "state", "pacs", "project", "not_before", "id"),
    Index("series_here", "node", "state", "not_before", "id"),
    Index("series_claimed", "claimed_by", sqlite_where=text(CLAIMED), postgresql_where=text(CLAIMED)),
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

evidence = Table(
    "evidence",  # studies that may be the examination of a request (since schema 4); nothing that was compared is in it
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("request_id", ForeignKey("request.id"), nullable=False),
    Column("study_hash", String, nullable=False),
    Column("pacs", String, nullable=False),
    Column("form", String, nullable=False),
    Column("accession", String, nullable=False),  # this and the next three: agrees, differs, unknown
    Column("patient", String, nullable=False),
    Column("date", String, nullable=False),
    Column("modality", String, nullable=False),
    Column("standing", String, nullable=False),  # taken, left, held
    Column("reason", String, nullable=False, default=""),
    Column("decision", String, nullable=False, default=""),  # accepted, rejected, or nobody said anything
    Column("at", Float, nullable=False),
    UniqueConstraint("request_id", "study_hash"),
)

committed = Table(
    "committed",  # instances that every archive of a series confirmed: for storage commitment (since schema 3)
    metadata,
    Column("instance", LargeBinary(16), primary_key=True),  # keyed hash
    Column("series_id", ForeignKey("series.id"), primary_key=True),
    sqlite_with_rowid=False,
)

progress = Table(
    "progress",  # how far each archive of a series is, while the series is under way (since schema 6)
    metadata,
    Column("series_id", ForeignKey("series.id"), primary_key=True),
    Column("sink", String, primary_key=True),  # its name
    Column("stage", String, nullable=False, default="waiting"),
    Column("covers", String, nullable=False, default=""),  # hash of the names of the files that were read back
    Column("lost", Integer, nullable=False, default=0),  # how often what was there had gone
    Column("reason", String, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("claimed_by", String),
    Column("lease_until", Float, nullable=False, default=0.0),
    Index("progress_due", "sink", "stage", "not_before", "series_id"),
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
    """An opened database. `write()` and `read()` are one short transaction each; raise Retry("state.busy") when it will not."""

    def __init__(self, place: Path | str, password: engines.Password | None = None) -> None:
        """`place`: the file of SQLite's, or the URL of a PostgreSQL database. Raises Retry when that does not answer."""
        self.shared = isinstance(place, str)
        self._patience: engines.Patience | None = None
        self._lock: Any = nullcontext()
        self.rest = engines.rests() if not self.shared else lambda: None  # between the pieces of a long work
        if not isinstance(place, str):
            self._writer = engines.sqlite(place, begin="BEGIN IMMEDIATE")
            self._reader = engines.sqlite(place, begin="BEGIN")
            self._lock = threading.Lock()  # one writer at a time; it waits more fairly than SQLite's busy handler
        else:
            self._writer = engines.postgresql(place, password)
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            with faults.plain_errors(), self._writer.begin() as c:
                bring_up(c, metadata, STEPS)
            with faults.plain_errors():
                engines.open_kept(self._reader)
        except BaseException:
            self.close()
            raise
        if self.shared:
            self._patience = engines.Patience(self._writer)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._lock, faults.plain_errors(), self._writer.begin() as c:
            yield c

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with faults.plain_errors(), self._reader.begin() as c:
            yield c

    @contextmanager
    def long_read(self) -> Iterator[Connection]:
        """For a report, which reads every row."""
        with faults.plain_errors(), self._reader.begin() as c:
            if self.shared:
                engines.allow(c, engines.REPORTS_SECONDS)
                c.exec_driver_sql(f"SET LOCAL statement_timeout = '{engines.REPORT_SECONDS}s'")
            yield c

    @contextmanager
    def long_write(self) -> Iterator[Connection]:
        """For a migration: a transaction that takes its time."""
        with self._lock, faults.plain_errors(), self._writer.begin() as c:
            if self.shared:
                engines.allow(c, math.inf)
                c.exec_driver_sql("SET LOCAL statement_timeout = 0")
            yield c

    def scrub(self, tables: Iterable[str]) -> None:
        """What was overwritten in these is in no file any more. Nobody else may have the database open."""
        with faults.plain_errors():
            engines.scrub(self._writer, self._reader, tables)

    def close(self) -> None:
        if self._patience:
            self._patience.end()
        self._writer.dispose()
        self._reader.dispose()


def insert_new(c: Connection, table: Table) -> Any:
    """An insert that leaves alone what is there already, whoever put it there."""
    dialect: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return dialect[c.dialect.name](table).on_conflict_do_nothing()
