"""A real store on a real SQLite file, and plans to feed it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import (
    AccessionNumber,
    FoundSeries,
    Plan,
    PlannedSeries,
    Verdict,
    Wanted,
)
from gateway.state.db import Database
from gateway.state.store import Store
from gateway.state.views import Views

KEY = bytes(range(32))
PROJECT = "chest"


class Opened:
    """One state, seen through its store and its views."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.sqlite"
        self.database = Database(self.path)
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


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    yield opened
    opened.database.close()
