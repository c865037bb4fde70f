"""A real store, on SQLite and on a real PostgreSQL in turn, and plans to feed it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.model import (
    AccessionNumber,
    FoundSeries,
    Plan,
    PlannedSeries,
    Verdict,
    Wanted,
)
from gateway.state.db import Database, metadata, request, series
from gateway.state.store import Store
from gateway.state.views import Views
from tests.support.peers import PASSWORD, Postgres

KEY = bytes(range(32))
PROJECT = "chest"


class Opened:
    """One state, seen through its store and its views."""

    def __init__(self, place: Path | str) -> None:
        self.place = place / "state.sqlite" if isinstance(place, Path) and place.is_dir() else place
        self.database = reopened(self.place)
        self.store = Store(self.database, KEY, node="gw1")
        self.views = Views(self.database, KEY)

    def ask(self, *accessions: str, project: str = PROJECT, now: float = 100.0) -> None:
        wanted = [Wanted(project, AccessionNumber(a), patient_id=f"PID-{a}") for a in accessions]
        self.store.add_requests(wanted, (), project=project, cursor=None, now=now)

    def plan(
        self, *series: str, keep: bool = True, study: str = "1.2.3", project: str = PROJECT, now: float = 100.0
    ) -> str:
        """Claims the next request and plans these series for it; returns the request's key."""
        (claim,) = self.store.claim_requests(projects=[project], limit=1, lease=60, now=now)
        assert self.store.settle_found(claim, plan(*series, keep=keep, study=study), now=now)
        return claim.key


def plan(*series: str, keep: bool = True, study: str = "1.2.3", pacs: str = "main") -> Plan:
    verdict = Verdict(True) if keep else Verdict(False, "select.series")
    found = [FoundSeries(study, uid, {"Modality": "CT"}, instances=3) for uid in series]
    return Plan(series=tuple(PlannedSeries(pacs, f, verdict) for f in found), studies=1)


def reopened(place: Path | str) -> Database:
    """As another process would open it."""
    return Database(place, lambda: PASSWORD)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as peer:
        yield peer


def emptied(peer: Postgres) -> str:
    """The URL of the server's own database, with nothing in its tables: making them for each test takes longer than the tests."""
    admin = sa.create_engine(peer.open_url, poolclass=sa.NullPool)
    with admin.begin() as c:
        there = sorted(set(sa.inspect(c).get_table_names()) & set(metadata.tables))
        if there:
            c.exec_driver_sql(f"truncate {', '.join(there)} restart identity cascade")
    admin.dispose()
    return peer.url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a state is: a file, or a real server."""
    if request.param == "sqlite":
        return tmp_path / "state.sqlite"
    return emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def state(place: Path | str) -> Iterator[Opened]:
    """Whatever a test did, the numbers that the database keeps are those of its rows."""
    opened = Opened(place)
    yield opened
    kept, there = opened.views.counts(), counted(opened.database)
    opened.database.close()
    assert ({**kept.requests}, {**kept.series}) == there


def counted(database: Database) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Requests and series by project and state, one by one."""
    with database.read() as c:
        return tuple(  # type: ignore[return-value]
            {
                (r[0], r[1]): r[2]
                for r in c.execute(sa.select(t.c.project, t.c.state, sa.func.count()).group_by(t.c.project, t.c.state))
            }
            for t in (request, series)
        )


def stored(state: Opened) -> bytes:
    """All that the database holds: SQLite's files as they are, PostgreSQL's rows as it shows them."""
    if isinstance(state.place, Path):
        return b"".join(p.read_bytes() for p in state.place.parent.iterdir() if p.is_file())
    with state.database.read() as c:
        return b"".join(
            str(row).encode() + b"".join(bytes(v) for v in row if isinstance(v, bytes))
            for table in metadata.sorted_tables
            for row in c.execute(sa.select(table)).all()
        )
