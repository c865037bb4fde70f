"""The store and the model of it, told the same: every call goes to both, and both must answer the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from gateway.model import (
    AccessionNumber,
    Agreement,
    Candidate,
    Evidence,
    FoundSeries,
    Plan,
    PlannedSeries,
    Verdict,
    Wanted,
)
from gateway.state import withdrawn
from gateway.state.balance import PARTS
from gateway.state.db import Database, request, series
from gateway.state.evidence import Decision
from gateway.state.machine import REQUEST
from gateway.state.rows import RequestClaim, SeriesRow, Tally
from gateway.state.sealed import Seal
from gateway.state.store import Store
from gateway.state.views import Views
from tests.state.model import Item, Model, Name
from tests.support.carried import claim_row, release_row

KEY: Final = bytes(range(32))
PROJECTS: Final = ("p", "q")
ACCESSIONS: Final = ("A1", "A2", "A3", "A4")
UIDS: Final = ("1.2.1", "1.2.2", "1.2.3")
LEASE: Final = 60.0
MEMORY: Final = Path("/dev/shm")
UNKNOWN: Final = Evidence(Agreement.UNKNOWN, Agreement.UNKNOWN, Agreement.UNKNOWN, Agreement.UNKNOWN)
ARRIVED: Final = {"kept": "retrieved", "excluded": "excluded", "refused": "failed", "held": "held"}
DECIDED: Final = {"kept": "released", "excluded": "discarded", "refused": "failed", "held": ""}


@dataclass(frozen=True)
class Held:
    """A claim of one row that somebody has or had; `number`: as the model knows it."""

    number: int
    name: Name
    row: Any  # RequestClaim or SeriesRow


def counted(outcome: str, number: int) -> Tally:
    kept, excluded, refused, held = (number if what == outcome else 0 for what in ARRIVED)
    reasons = {} if outcome == "kept" else {"some.reason": number}
    return Tally(expected=number, kept=kept, excluded=excluded, refused=refused, reasons=reasons, held=held)


def planned(uid: str, *, keep: bool, instances: int) -> PlannedSeries:
    verdict = Verdict(True) if keep else Verdict(False, "select.series")
    return PlannedSeries("main", FoundSeries("1.2", uid, {"Modality": "CT"}, instances), verdict)


class Pair:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rules-", dir=MEMORY if MEMORY.is_dir() else None))
        self.model, self.now, self._number, self._candidates = Model(), 1000.0, 0, 0
        self._accessions = {Seal(KEY).hash("accession", a): a for a in ACCESSIONS}
        self._uids = {Seal(KEY).hash("series", u): u for u in UIDS}
        self._open()

    def _open(self) -> None:
        self.database = Database(self.folder / "state.sqlite")
        self.store, self.views = Store(self.database, KEY, node="gw1"), Views(self.database, KEY)

    def restart(self) -> None:
        self.database.close()
        self._open()
        self.store.free_node()
        for item in [*self.model.requests.values(), *self.model.series.values()]:
            item.owner = None

    def close(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, item: Item, name: Name, row: RequestClaim | SeriesRow) -> Held:
        assert item.owner is None or item.until < self.now, "somebody has it"
        self._number += 1
        item.owner, item.until = self._number, self.now + LEASE
        return Held(self._number, name, row)

    def mine(self, held: Held) -> bool:
        """Whether the model lets this claim settle its row."""
        rows: Mapping[Name, Item] = self.model.requests if isinstance(held.row, RequestClaim) else self.model.series
        return rows[held.name].owner == held.number and rows[held.name].state == held.row.state

    # ---- requests

    def add(self, project: str, accessions: Sequence[str]) -> None:
        wanted = [Wanted(project, AccessionNumber(a), patient_id=f"PID-{a}") for a in accessions]
        self.store.add_requests(wanted, (), project=project, cursor=None, now=self.now)
        self.model.add([(project, a) for a in accessions], self.now)

    def claim_requests(self, limit: int) -> list[Held]:
        due = {n for p in PROJECTS for n in self.model.askable(p, self.now)}
        claims = self.store.claim_requests(projects=PROJECTS, limit=limit, lease=LEASE, now=self.now)
        names = [(c.project, c.accession.value) for c in claims]
        assert len(set(names)) == len(names) == min(limit, len(due))
        assert set(names) <= due
        return [self._take(self.model.requests[n], n, claim) for n, claim in zip(names, claims, strict=True)]

    def found(self, held: Held, told: Mapping[str, tuple[bool, int]]) -> None:
        mine = self.mine(held)
        rows = tuple(planned(uid, keep=keep, instances=n) for uid, (keep, n) in told.items())
        assert self.store.settle_found(held.row, Plan(rows, studies=1), now=self.now) == mine
        if mine:
            self.model.found(held.name, told, self.now)

    def empty(self, held: Held, again: float | None) -> None:
        mine = self.mine(held)
        assert self.store.settle_empty(held.row, not_before=again, now=self.now) == mine
        if mine:
            self.model.empty(held.name, again)

    def hold(self, held: Held) -> None:
        mine = self.mine(held)
        self._candidates += 1
        one = Candidate(f"1.2.9.{self._candidates}", "{an}", UNKNOWN, "held", "evidence.patient", "main")
        plan = Plan(candidates=(one,), doubt="evidence.patient")
        assert self.store.hold_request(held.row, plan, now=self.now) == mine
        if mine:
            self.model.hold(held.name)

    def fail(self, held: Held) -> None:
        mine = self.mine(held)
        assert self.store.fail_request(held.row, reason="find.failed", now=self.now) == mine
        if mine:
            self.model.fail(held.name)

    def ask_later(self, held: Held) -> None:
        mine, later = self.mine(held), self.now + 30
        assert self.store.release_request(held.row, reason="r", not_before=later, charge=True, now=self.now) == mine
        if mine:
            self.model.requests[held.name].due, self.model.requests[held.name].owner = later, None

    # ---- series

    def _row(self, name: Name) -> Any:
        digest = next(h for h, uid in self._uids.items() if uid == name[1])
        mine = (series.c.project == name[0], series.c.series_hash == digest)
        with self.database.read() as c:
            return c.execute(select(series).where(*mine)).one()

    def _due(self, state: str) -> list[Name]:
        return [n for n, s in self.model.series.items() if s.state == state and s.free(self.now)]

    def claim_series(self) -> list[Held]:
        due = self._due("planned")
        claim = self.store.claim_series(pacs="main", projects=PROJECTS, lease=LEASE, now=self.now)
        assert (claim is not None) == bool(due)
        names = [(row.project, claim.SeriesInstanceUID) for row in claim.rows] if claim else []
        assert not due or set(names) & set(due)
        return [
            self._take(self.model.series[n], n, row) for n, row in zip(names, claim.rows if claim else (), strict=True)
        ]

    def claim_row(self, state: str) -> list[Held]:
        due = self._due(state)
        row = claim_row(self.store, state, projects=PROJECTS, lease=LEASE, now=self.now)
        assert (row is not None) == bool(due)
        names = [n for n in due if row and self._row(n).key == row.key]
        return [self._take(self.model.series[n], n, row) for n in names if row]

    def retrieved(self, held: Held, outcome: str) -> None:
        mine, number = self.mine(held), self.model.series[held.name].expected or 3
        assert self.store.settle_retrieved(held.row, counted(outcome, number), now=self.now) == mine
        self._settled(held, ARRIVED[outcome], mine=mine)

    def carried(self, held: Held, event: str) -> None:
        mine = self.mine(held)
        assert self.store.settle_row(held.row, event, reason="some.reason", now=self.now) == mine
        self._settled(held, event, mine=mine)

    def carry_later(self, held: Held, *, charge: bool) -> None:
        mine, item, later = self.mine(held), self.model.series[held.name], self.now + 30
        assert release_row(self.store, held.row, not_before=later, charge=charge, now=self.now) == mine
        if mine:
            item.due, item.owner = later, None
        self._settled(held, "", mine=False)

    def _settled(self, held: Held, event: str, *, mine: bool) -> None:
        item = self.model.series[held.name]
        if mine:
            self.model.step(held.name, event, self.now)
        elif item.state == "withdrawn" and item.owner == held.number:
            item.owner = None

    def screened(self, name: Name, outcome: str) -> None:
        item = self.model.series[name]
        event = DECIDED[outcome] if item.state == "held" else ""
        assert self.store.settle_held(self._row(name).key, counted(outcome, item.expected or 3), now=self.now) == event
        if event:
            self.model.step(name, event, self.now)

    def late(self, name: Name) -> None:
        confirmed = self.model.series[name].state == "confirmed"
        assert self.store.late(self._row(name).key, now=self.now) == confirmed
        if confirmed:
            self.model.step(name, "late", self.now)

    # ---- people

    def key(self, name: Name) -> str:
        return next(v.key for v in self.views.by_accession(name[1]) if v.project == name[0])

    def retry(self, names: Iterable[Name]) -> None:
        self.store.retry(keys=[self.key(n) for n in names], now=self.now)
        self.model.retry(names, self.now)

    def retry_all(self, project: str, state: str) -> None:
        self.store.retry(state=state, project=project, now=self.now)
        self.model.retry([n for n, r in self.model.requests.items() if (n[0], r.state) == (project, state)], self.now)

    def cancel(self, name: Name) -> None:
        self.store.cancel(keys=[self.key(name)], now=self.now)
        self.model.cancel(name)

    def decide(self, name: Name, word: str) -> None:
        assert self.store.decide([self.key(name)], Decision(word, "by=anna"), now=self.now)
        self.model.requests[name].go(REQUEST, "decided")
        self.model.requests[name].due = self.now

    def withdraw(self, name: Name) -> None:
        order = withdrawn.Order(name[0], frozenset({f"PID-{name[1]}"}), frozenset(), "asked", (), lambda _: ())
        with self.database.write() as c:
            withdrawn.withdraw(c, Seal(KEY), order, self.now)
        self.model.withdraw(name)

    # ---- what must be so

    def compare(self) -> None:
        """Row by row: its state, whether somebody has it, whether it can be asked for again."""
        with self.database.read() as c:
            requests = {(r.project, self._accessions[r.accession_hash]): r for r in c.execute(select(request))}
            found = {(r.project, self._uids[r.series_hash]): r for r in c.execute(select(series))}
        mine = {n: (r.state, r.owner is not None, r.known) for n, r in self.model.requests.items()}
        assert {n: (r.state, r.claimed_by is not None, r.sealed is not None) for n, r in requests.items()} == mine
        theirs = {n: (s.state, s.claimed_by is not None) for n, s in found.items()}
        assert theirs == {n: (s.state, s.owner is not None) for n, s in self.model.series.items()}
        assert not [n for n, s in found.items() if s.state == "planned" and s.sealed is None], "cannot be retrieved"

    def compare_balances(self) -> None:
        sheets = {sheet.project: sheet for sheet in self.views.balances()}
        assert set(sheets) == {project for project, _ in self.model.requests} | {p for p, _ in self.model.set_aside}
        for project, sheet in sheets.items():
            assert sheet.adds_up, sheet.unaccounted
            assert {p: n for p in PARTS if (n := sheet.total(p))} == dict(self.model.balance(project))
