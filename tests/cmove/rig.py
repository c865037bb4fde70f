"""A real store and outbox, a real Storage SCP that only keeps the ledger, and MoveSteps of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from gateway.cmove.ends import Patience
from gateway.cmove.gate import Gate
from gateway.cmove.retrieve import MoveStep
from gateway.dicom.association import Deadlines
from gateway.dicom.part10 import peek
from gateway.dicom.server import Incoming
from gateway.model import AccessionNumber, FoundSeries, LedgerLine, Outcome, Plan, PlannedSeries, Verdict, Wanted
from gateway.ops.health import Board
from gateway.settings import Pacs
from gateway.state.db import Database
from gateway.state.outbox import Outbox
from gateway.state.store import Store
from gateway.state.views import SeriesView, Views
from tests.dicom.serving import Counts, Serving, serving
from tests.support.peers import PacsPeer
from tests.support.scripted_pacs import ScriptedPacs

KEY = bytes(range(32))
STUDY = "1.2.826.77"
QUICK = Patience(
    quiet=0.4, longest=10.0,
    deadlines=Deadlines(connect=1.0, negotiate=1.0, answer=1.0, question=2.0, release=0.5, cancel=0.4, pdu=0.5),
)  # fmt: skip


class Rig:
    """`outcome`: what the receiver makes of every instance; `lose`: SOPInstanceUIDs it answers with 0xA700."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.database = Database(folder / "state.sqlite")
        self.store, self.views = Store(self.database, KEY, node="gw1"), Views(self.database, KEY)
        self.outbox = Outbox(folder / "outbox")
        self.counts, self.board, self.stop = Counts(), Board(), threading.Event()
        self.outcome, self.lose = Outcome.EXCLUDED, set[str]()
        self.receiver: Serving
        self.stored = 0  # C-STOREs

    def plan(
        self, *series: str, project: str = "p", study: str = STUDY, instances: int | None = None, pacs: str = "main"
    ) -> None:
        """A request of `project` that wants these series."""
        accession = AccessionNumber(f"SYN-{project}-{series[0]}")
        self.store.add_requests([Wanted(project, accession)], (), project=project, cursor=None, now=self.now)
        (claim,) = self.store.claim_requests(projects=[project], limit=1, lease=60, now=self.now)
        found = [PlannedSeries(pacs, FoundSeries(study, uid, {}, instances), Verdict(True)) for uid in series]
        assert self.store.settle_found(claim, Plan(tuple(found), studies=1), now=self.now)

    def on_store(self, incoming: Incoming) -> int:
        self.stored += 1
        if incoming.SOPInstanceUID in self.lose:
            return 0xA700
        ids = peek(incoming.data, incoming.transfer_syntax)
        of = self.store.series_hash(ids.SeriesInstanceUID)
        for expected in self.store.expected(ids.StudyInstanceUID):
            if expected.series_hash == of:
                self.note(expected.key, incoming.SOPInstanceUID)
        return 0x0000

    def note(self, series_key: str, SOPInstanceUID: str) -> None:
        line = LedgerLine(self.store.instance_hash(SOPInstanceUID), self.outcome, "select.instance")
        self.outbox.note(series_key, line)

    def step(
        self,
        pacs: PacsPeer | ScriptedPacs,
        *,
        patience: Patience = QUICK,
        response_timeout: float = 2.0,
        result_limit: int = 0,
        gate: Gate | None = None,
        take: Callable[[Incoming], int] | None = None,
    ) -> MoveStep:
        """`take`: by C-GET."""
        told = self.pacs(pacs, response_timeout=response_timeout, result_limit=result_limit)
        return MoveStep(
            projects=["p", "q"],
            store=self.store, outbox=self.outbox, calling_ae="RESEARCH", count=self.counts, board=self.board,
            clock=lambda: self.now, stop=self.stop, patience=patience, gate=gate or self.gate(told), take=take,
        )  # fmt: skip

    def pacs(self, at: PacsPeer | ScriptedPacs, **more: Any) -> Pacs:
        return Pacs(name="main", ae_title=at.ae_title, host=at.host, port=at.port, **more)

    def gate(self, pacs: Pacs) -> Gate:
        """Its clocks are the rig's; the clock on the wall is UTC."""
        return Gate(pacs, count=self.counts, wall=partial(datetime.fromtimestamp, tz=UTC), ticks=lambda: self.now)

    def all_series(self) -> list[SeriesView]:
        return [s for r in self.views.requests() for s in self.views.series(r.key)]

    def only(self) -> SeriesView:
        (series,) = self.all_series()
        return series

    def moves(self, result: str) -> int:
        return self.counts.added["move_total", "main", result]


class Receiver:
    """One Storage SCP for many tests: each puts its own rig behind it."""

    def __init__(self) -> None:
        self.rig: Rig | None = None

    def on_store(self, incoming: Incoming) -> int:
        return self.rig.on_store(incoming) if self.rig else 0xA700


@contextmanager
def receiving() -> Iterator[tuple[Receiver, Serving]]:
    receiver = Receiver()
    with serving(receiver.on_store) as running:
        yield receiver, running


@contextmanager
def rig_at(receiving: tuple[Receiver, Serving], folder: Path) -> Iterator[Rig]:
    receiver, running = receiving
    rig = receiver.rig = Rig(folder)
    rig.receiver = running
    yield rig
    receiver.rig = None
    rig.database.close()


def uids(series: str, number: int) -> Sequence[str]:
    return [f"{series}.{n}" for n in range(1, number + 1)]
