"""A place where the whole way of an instance is walked by hand, step by step: asked for, planned, received, delivered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pydicom

from gateway.cstore.receive import Receive
from gateway.dicom.part10 import read_file
from gateway.dicom.server import Incoming
from gateway.model import AccessionNumber, FoundSeries, Plan, PlannedSeries, Verdict, Wanted
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.run import delivering, wiring
from gateway.run.opening import open_state
from gateway.state.rows import Added, RequestClaim, SeriesClaim, tally
from tests.run.command_line import Place, Told
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import files_below, leaks

PROJECT = "chest"
ANNA, BERT = "SYNPID4711", "SYNPID4712"
SERIES = (SeriesSpec("CT", "Thorax", 3, rows=8, columns=8), SeriesSpec("CT", "Thorax late", 2, rows=8, columns=8))


def study(folder: Path, patient: str = ANNA, number: int = 1, *, series: Sequence[SeriesSpec] = SERIES) -> StudyFacts:
    return make_study(
        folder / "in", series=series, seed=number, patient_id=patient, name=f"Testperson{patient[-2:]}^Synthia",
        birth_date="19501110", accession=f"SYNACC{patient[-4:]}{number}", study_date="20240503",
    )  # fmt: skip


class Site:
    """`place`'s own state, steps and archive."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.settings = wiring.load_settings(place.config)
        self.state = open_state(self.settings)
        self.counts = Metrics()
        told = wiring.Told(self.counts, Board())
        steps = delivering.make_steps(self.settings, self.state, lambda _: told, threading.Event())
        self.deliver, self.confirm = (step for _, step in steps)  # of the one archive there is
        self.receive = self.receiver()

    def close(self) -> None:
        self.state.close()

    def receiver(self) -> Receive:
        """As each receive process makes it."""
        cleaners = wiring.make_cleaners(self.settings, self.state)
        return Receive(
            store=self.state.store, outbox=self.state.outbox, cleaners=cleaners, count=self.counts, clock=time.time
        )

    def ask(self, facts: StudyFacts, *, patient: bool = True) -> Added:
        """A row of the RIS."""
        wanted = Wanted(
            PROJECT, AccessionNumber(facts.patient["accession"]), facts.patient["patient_id"] if patient else ""
        )
        return self.state.store.add_requests([wanted], (), project=PROJECT, cursor=None, now=time.time())

    def find(self) -> RequestClaim | None:
        claims = self.state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=time.time())
        return claims[0] if claims else None

    def plan(self, facts: StudyFacts) -> None:
        claim = self.find()
        assert claim is not None
        found = [
            FoundSeries(facts.StudyInstanceUID, s.SeriesInstanceUID, {"Modality": "CT"}, len(s.files))
            for s in facts.series
        ]
        plan = Plan(series=tuple(PlannedSeries("main", f, Verdict(True)) for f in found), studies=1)
        assert self.state.store.settle_found(claim, plan, now=time.time())

    def claim(self) -> SeriesClaim | None:
        return self.state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=time.time())

    def send(self, files: Sequence[Path], receive: Receive | None = None) -> list[int]:
        return [(receive or self.receive).store(incoming(file)) for file in files]

    def retrieve(self, facts: StudyFacts) -> None:
        """Every planned series: claimed, sent, settled."""
        while claim := self.claim():
            (sent,) = [s for s in facts.series if s.SeriesInstanceUID == claim.SeriesInstanceUID]
            assert self.send(sent.files) == [0] * len(sent.files)
            self.settle(claim)

    def retrieved(self, facts: StudyFacts) -> StudyFacts:
        self.ask(facts)
        self.plan(facts)
        self.retrieve(facts)
        return facts

    def delivered(self, facts: StudyFacts) -> StudyFacts:
        self.retrieved(facts)
        while self.deliver.step() or self.confirm.step():
            continue
        return facts

    def settle(self, claim: SeriesClaim) -> None:
        """By what came of it."""
        row = claim.rows[0]
        assert self.state.store.settle_retrieved(row, tally(self.state.outbox.ledger(row.key)), now=time.time())

    def states(self) -> list[str]:
        return sorted(s for (_, s), n in self.state.views.counts().series.items() for _ in range(n))

    def requests(self) -> list[str]:
        return sorted(s for (_, s), n in self.state.views.counts().requests.items() for _ in range(n))

    def archive(self) -> list[Path]:
        return sorted(p for p in (self.place.folder / "archive").rglob("*") if p.is_file())

    def pseudonyms(self) -> set[str]:
        return {str(pydicom.dcmread(p).PatientID) for p in self.archive()}

    def traces(self, *words: str, facts: StudyFacts | None = None) -> list[str]:
        """Where in archive, outbox, held files, state, audit trail or output one of these is to be found."""
        values = {*words, *(v for v in (facts.identifiers if facts else ()) if len(v) > 4)}
        return leaks(values, files_below(self.place.folder / "archive", self.place.folder / "state"))


def withdraw(site: Site, *words: str) -> Told:
    return site.place.say(
        "withdraw", "--project", PROJECT, "--reason", "asked us to, Testperson^Synthia", *words, "--json"
    )


def audit(site: Site) -> list[dict[str, object]]:
    return [json.loads(line) for line in (site.place.folder / "state" / "audit.jsonl").read_text().splitlines()]


def incoming(path: Path) -> Incoming:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    data, syntax = read_file(path)
    return Incoming("PACS", "127.0.0.1", str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax, data)
