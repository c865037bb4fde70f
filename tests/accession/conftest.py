"""The same RIS in three databases: SQLite, real PostgreSQL, real MariaDB; and a store that remembers in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.accession.patience import Limits
from gateway.accession.poll import Poll
from gateway.accession.source import CursorValue, RowSource
from gateway.accession.sql import SqlSource
from gateway.model import SetAside, Wanted
from gateway.ops.health import Board
from gateway.settings import Ris, Source
from gateway.state.rows import Added
from tests.accession import listing
from tests.support.peers import PASSWORD, DatabasePeer, MariaDb, Postgres

QUERY = """select accession_number, patient_id, study_date, modality, changed_at
           from research_view where changed_at >= :since"""
SERVERS = [pytest.param(name, marks=pytest.mark.real) for name in ("postgres", "mariadb")]
QUICK = Limits(connect=3, answer=1, grace=1, total=30)
NOW = datetime(2026, 5, 4, 12, 0).timestamp()
NOON = datetime(2026, 5, 4, 11, 0)
Begin = Callable[[RowSource], Poll]


@dataclass
class Hospital:
    """A RIS with a table `exam` and a view `research_view`. `admin` may do everything, the gateway's URL has no password."""

    kind: str
    url: str
    admin: sa.Engine
    password_file: Path | None = None
    peer: DatabasePeer | None = None

    def do(self, *statements: str) -> None:
        with self.admin.begin() as c:
            for statement in statements:
                c.exec_driver_sql(statement)

    def build(self, moment: str = "timestamp") -> None:
        """Fresh table and view; `moment`: type of changed_at."""
        moment = "datetime(6)" if (moment, self.kind) == ("timestamp", "mariadb") else moment
        self.do(
            "drop view if exists research_view",
            "drop table if exists exam",
            "create table exam (accession_number varchar(200), patient_id varchar(40), study_date date,"
            f" modality varchar(16), changed_at {moment})",
            "create view research_view as select * from exam",
        )

    def add(self, *accessions: str | None, at: object = NOON, patient_id: str = "SYN-PID-1") -> None:
        insert = sa.text("insert into exam values (:an, :pid, '2026-05-03', 'CT', :at)")
        with self.admin.begin() as c:
            c.execute(insert, [{"an": an, "pid": patient_id, "at": _native(at, self.kind)} for an in accessions])

    def source(self, query: str = QUERY, *, cursor: str | None = "changed_at", limits: Limits = QUICK) -> SqlSource:
        """Not validated: the settings would refuse some of these before the source could."""
        ris = Ris.model_construct(name="ris", url=self.url, password_file=self.password_file)
        return SqlSource(ris, Source.model_construct(ris="ris", query=query, cursor=cursor), limits=limits)


def read(source: SqlSource, since: CursorValue | None = None) -> list[Any]:
    return [row["accession_number"] for row in source.rows(since)]


def _native(at: object, kind: str) -> object:
    """What the RIS's own program would store: SQLite has no type for times, they are text."""
    return at.isoformat(" ") if kind == "sqlite" and isinstance(at, datetime) else at


@pytest.fixture(scope="session")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("secret") / "ris.password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="session")
def postgres(password_file: Path) -> Iterator[Hospital]:
    with Postgres() as peer:
        yield from _served("postgresql", peer, password_file)


@pytest.fixture(scope="session")
def mariadb(password_file: Path) -> Iterator[Hospital]:
    with MariaDb() as peer:
        yield from _served("mariadb", peer, password_file)


def _served(kind: str, peer: DatabasePeer, password_file: Path) -> Iterator[Hospital]:
    admin = sa.create_engine(peer.open_url, poolclass=sa.NullPool)
    yield Hospital(kind, peer.url, admin, password_file, peer)
    admin.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Hospital]:
    url = f"sqlite:///{tmp_path / 'ris.db'}"
    admin = sa.create_engine(url, poolclass=sa.NullPool)
    yield Hospital("sqlite", url, admin)
    admin.dispose()


@pytest.fixture(params=["sqlite", *SERVERS])
def hospital(request: pytest.FixtureRequest) -> Hospital:
    """Each of the three in turn, with an empty view."""
    found: Hospital = request.getfixturevalue(request.param)
    found.build()
    return found


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Hospital:
    """Those that are servers of their own, with an empty view."""
    found: Hospital = request.getfixturevalue(request.param)
    found.build()
    return found


@dataclass
class MemoryStore:
    """The part of the store that a poll uses, idempotent as the real one. `fail_after`: calls until it breaks."""

    known: dict[str, Wanted] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    saved: str | None = None
    calls: int = 0

    def cursor(self, project: str) -> str | None:
        assert project == "chest"
        return self.saved

    def add_requests(
        self, wanted: Sequence[Wanted], aside: Sequence[SetAside], *, project: str, cursor: str | None, now: float
    ) -> Added:
        assert project == "chest"
        assert now == NOW
        self.calls += 1
        before = len(self.known)
        for one in wanted:
            self.known.setdefault(one.accession.value, one)
        self.aside.extend(aside)
        self.saved = self.saved if cursor is None else cursor
        new = len(self.known) - before
        return Added(new, len(wanted) - new, len(aside))


@dataclass
class Counts:
    """A `Count` that can be asked: the value by name and labels."""

    seen: dict[tuple[str, ...], float] = field(default_factory=dict)

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        key = (name, *labels.values())
        self.seen[key] = self.seen.get(key, 0) + value

    def set(self, name: str, value: float, **labels: str) -> None:
        self.seen[(name, *labels.values())] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        raise AssertionError(f"no histogram here: {name} {seconds} {labels}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def board() -> Board:
    return Board([("ris", "ris")])


@pytest.fixture
def begin(store: MemoryStore, counts: Counts, board: Board) -> Begin:
    """A poll of some source into the memory store, with two hours of overlap."""

    def make(source: RowSource) -> Poll:
        return Poll(
            project="chest",
            ris="ris",
            source=source,
            cursor="changed_at",
            overlap=7200.0,
            store=store,
            count=counts,
            board=board,
            clock=lambda: NOW,
        )

    return make


@pytest.fixture
def ris(sqlite: Hospital, tmp_path: Path) -> Iterator[listing.Ris]:
    made = listing.Ris(sqlite, tmp_path, NOW)
    yield made
    made.database.close()
