"""What comes unasked, with the real state and the real outbox: taken as the rules say, settled when quiet, sealed like the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy import select

from gateway.cstore.push import Push, PushProject
from gateway.cstore.receive import NOT_AUTHORISED, Receive
from gateway.cstore.settling import SettleStep
from gateway.dicom.incoming import Incoming
from gateway.dicom.part10 import peek
from gateway.model import Buffer, Dropped, Held, Kept, Outcome
from gateway.rules import SelectionRule
from gateway.state.db import request
from gateway.state.ledger import LEDGER
from gateway.state.outbox import OWN, Outbox
from gateway.state.progress import Progress, Route, Stage
from tests.dicom.serving import Counts
from tests.state.conftest import Opened
from tests.support.carried import claim_row

QUIET = 60.0
STUDY, SERIES, OTHER = "2.25.881", "2.25.882", "2.25.883"
OPENED: list[Opened] = []
SECRETS = ("SYNPUSHAN", "SYNPUSHPID", STUDY, SERIES, OTHER)


def encoded(ds: Dataset, syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = UID(syntax).is_implicit_VR, UID(syntax).is_little_endian
    write_dataset(stream, ds)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().database.close()


class Cleaner:
    """Keeps everything under a name of its own making, but what it is told not to."""

    def __init__(self) -> None:
        self.own: list[frozenset[str]] = []
        self.dropped: Dropped | None = None

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped:
        self.own.append(own)
        uid = peek(dataset, transfer_syntax).SOPInstanceUID
        return self.dropped or Kept((b"clean",), f"2.25.9{uid.rpartition('.')[2]}", "profile")


class Site:
    """A receiver of one project that takes pushed studies. `now`: the clock of all."""

    def __init__(self, folder: Path, *, study: str | None = None, series: str | None = None) -> None:
        state = self.state = Opened(folder)
        OPENED.append(state)
        self.outbox = Outbox(folder / "outbox", Outbox(folder / "held", modes=OWN))
        self.cleaner, self.counts, self.now = Cleaner(), Counts(), 10_000.0
        rules = (SelectionRule("study", study) if study else None, SelectionRule("series", series) if series else None)
        self.project = PushProject("chest", *rules, QUIET)
        self.receive = self.process()
        projects = {"chest": self.project}
        self.settle = SettleStep(store=state.store, outbox=self.outbox, projects=projects, clock=lambda: self.now)

    def process(self) -> Receive:
        return Receive(
            store=self.state.store, outbox=self.outbox, cleaners={"chest": self.cleaner}, count=self.counts,
            clock=lambda: self.now, unasked=Push(self.state.store, [self.project], lambda: self.now),
        )  # fmt: skip

    def send(self, number: int, *, series: str = SERIES, syntax: str = ExplicitVRLittleEndian, **more: object) -> int:
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"{series}.{number}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, series
        ds.Modality, ds.AccessionNumber, ds.PatientID, ds.StudyDate = "CT", "SYNPUSHAN", "SYNPUSHPID", "20240105"
        for keyword, value in more.items():
            setattr(ds, keyword, value)
        incoming = Incoming("PACS", "127.0.0.1", ds.SOPClassUID, ds.SOPInstanceUID, syntax, encoded(ds, syntax))
        status = self.receive.store(incoming)
        for ledger in self.outbox._root.glob(f"*/{LEDGER}"):
            os.utime(ledger, (self.now, self.now))
        return status

    def series(self) -> dict[str, tuple[str, str]]:
        """(state, reason) of every series, by key."""
        with self.state.database.read() as c:
            rows = c.exec_driver_sql("select key, state, reason from series order by id").all()
        return {key: (state, reason) for key, state, reason in rows}

    def states(self) -> list[tuple[str, str]]:
        return list(self.series().values())

    def requests(self) -> list[tuple[str, str]]:
        return [(r.state, r.reason) for r in self.state.views.requests()]


def test_a_pushed_series_waits_until_it_is_quiet_and_goes_on_as_retrieved(tmp_path: Path) -> None:
    site = Site(tmp_path, series="Modality == 'CT' and SeriesDescription =~~ '(?i)thorax'")
    assert [site.send(n, SeriesDescription="Thorax 1.5") for n in range(3)] == [0, 0, 0]
    site.now += QUIET - 1
    assert site.send(3, SeriesDescription="Thorax 1.5") == 0
    site.now += QUIET - 1
    assert not site.settle.step() and site.states() == [("planned", "")]
    site.now += 1
    assert site.settle.step() and not site.settle.step()
    assert site.states() == [("retrieved", "")] and site.requests() == [("planned", "pushed")]
    assert len(site.outbox.files(*site.series())) == 4
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(site.state.store, before, projects=["chest"], lease=60, now=site.now)
        assert row is not None and site.state.store.settle_row(row, event, now=site.now)
    assert site.requests() == [("done", "")]


def test_it_is_found_by_its_accession_number_and_its_own_values_are_kept_out(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.send(1) == 0
    assert site.cleaner.own == [frozenset({"SYNPUSHAN", "SYNPUSHPID"})]
    assert site.state.store.claim_series(pacs="main", projects=["chest"], lease=9, now=1e9) is None
    raw = (tmp_path / "state.sqlite").read_bytes() + (tmp_path / "state.sqlite-wal").read_bytes()
    names = [str(p) for p in tmp_path.rglob("*")]
    assert not [s for s in SECRETS if s.encode() in raw or any(s in name for name in names)]
    (request,) = site.state.views.requests()
    assert site.state.store._seal.open_up(_sealed(site, request.key), owner=request.key)["accession"] == "SYNPUSHAN"


def _sealed(site: Site, key: str) -> bytes:
    with site.state.database.read() as c:
        blob = c.execute(select(request.c.sealed).where(request.c.key == key)).scalar_one()
    assert isinstance(blob, bytes)
    return blob


@pytest.mark.parametrize("accession", ["", "*", "A\nB", "A?"])
def test_without_an_accession_number_it_is_one_request_for_its_study_that_nobody_asks_again(
    tmp_path: Path, accession: str
) -> None:
    site = Site(tmp_path)
    for series in (SERIES, OTHER):
        assert site.send(1, series=series, AccessionNumber=accession) == 0
    assert site.requests() == [("planned", "pushed")] and len(site.states()) == 2
    site.cleaner.dropped = Dropped(Outcome.REFUSED, "verify.leak")
    assert site.send(2, AccessionNumber=accession) == 0
    site.now += QUIET
    assert site.settle.step()
    assert sorted(site.states()) == [("failed", "verify.leak"), ("retrieved", "")]
    assert site.state.store.retry(state="failed", now=site.now) == 0
    assert site.state.store.claim_requests(projects=["chest"], limit=9, lease=9, now=1e9) == []


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("series", "kept"),
    [("Modality == 'CT'", True), ("Modality == 'MR'", False), ("Rows >= 512", True), ("Rows < 512", False),
     ("NumberOfPatientRelatedStudies >= 0", False), ("SeriesDescription == 'Thorax'", False)],
)  # fmt: skip
def test_the_rules_decide(tmp_path: Path, series: str, kept: bool, syntax: str) -> None:
    site = Site(tmp_path, series=series)
    assert site.send(1, syntax=syntax, Rows=512) == (0 if kept else NOT_AUTHORISED)
    assert len(site.states()) == kept and len(site.requests()) == kept
    assert site.counts.added["instances_received_total", "", "unsolicited"] == (not kept)


@pytest.mark.parametrize(("sent", "state"), [(3, ("retrieved", "")), (2, ("excluded", "select.series"))])
def test_a_rule_on_counts_is_judged_when_all_has_come(tmp_path: Path, sent: int, state: tuple[str, str]) -> None:
    site = Site(tmp_path, series="Modality == 'CT' and NumberOfSeriesRelatedInstances >= 3")
    assert [site.send(n) for n in range(sent)] == [0] * sent
    site.now += QUIET
    assert site.settle.step() and site.states() == [state]
    (key,) = site.series()
    assert len(site.outbox.files(key)) == (sent if state[0] == "retrieved" else 0)
    assert site.requests()[0][0] == ("planned" if state[0] == "retrieved" else "done")


def test_a_rule_on_the_whole_study_sees_all_of_it(tmp_path: Path) -> None:
    site = Site(
        tmp_path, study="'CT' in ModalitiesInStudy and NumberOfStudyRelatedSeries == 2", series="Modality == 'SR'"
    )
    assert site.send(1, series=OTHER, Modality="SR") == 0
    assert site.send(1, series=SERIES, Modality="CT") == 0  # of a study that is taken: dropped, and not counted
    assert site.counts.added["instances_received_total", "chest", "excluded"] == 1
    site.now += QUIET
    assert site.settle.step() and site.states() == [("excluded", "select.study")]


def test_another_process_adds_no_second_row(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.send(1) == 0
    site.receive = site.process()
    assert site.send(2) == 0
    assert len(site.states()) == len(site.requests()) == 1


def test_a_study_that_was_asked_for_keeps_its_request(tmp_path: Path) -> None:
    site = Site(tmp_path, series="Modality == 'CT'")
    site.state.ask("SYNPUSHAN")
    assert site.send(1) == 0
    assert [state for state, _ in site.requests()] == ["new"]
    key = site.state.plan(SERIES, study=STUDY, now=site.now)
    claim = site.state.store.claim_series(pacs="main", projects=["chest"], lease=9, now=1e9)
    assert claim is not None and (claim.SeriesInstanceUID, claim.instances) == (SERIES, 3)
    site.now += QUIET
    assert not site.settle.step(), "what is retrieved settles by its own"
    assert [r.key for r in site.state.views.requests()] == [key]


def test_what_a_person_cancelled_stays_out(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.state.ask("SYNPUSHAN")
    (request,) = site.state.views.requests()
    assert site.state.store.cancel(keys=[request.key], now=site.now) == 1
    assert site.send(1) == NOT_AUTHORISED and site.states() == []


def test_an_empty_request_is_under_way_again_and_so_is_one_that_was_done(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.state.ask("SYNPUSHAN")
    (claim,) = site.state.store.claim_requests(projects=["chest"], limit=1, lease=9, now=site.now)
    assert site.state.store.settle_empty(claim, not_before=None, now=site.now)
    assert site.send(1) == 0 and site.requests() == [("planned", "pushed")]
    site.cleaner.dropped = Dropped(Outcome.EXCLUDED, "select.instance")
    assert site.send(1, series=OTHER) == 0
    site.now += QUIET
    assert site.settle.step()
    assert site.states() == [("retrieved", ""), ("excluded", "select.instance")]


def test_without_push_nothing_of_it_is_taken(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.receive._unasked = None
    assert site.send(1) == NOT_AUTHORISED
    assert site.requests() == []


def test_what_a_power_cut_took_from_the_ledger_is_still_counted(tmp_path: Path) -> None:
    """A line of what is kept is not synced: the file is the fact, and was acknowledged."""
    site = Site(tmp_path, series="NumberOfSeriesRelatedInstances >= 3")
    assert [site.send(n) for n in (1, 2, 3)] == [0, 0, 0]
    (key,) = site.series()
    ledger = site.outbox.path(key, LEDGER)
    os.truncate(ledger, ledger.read_bytes().rindex(b"\n"))
    os.utime(ledger, (site.now, site.now))
    site.now += QUIET
    assert site.settle.step() and site.states() == [("retrieved", "")]
    assert len(site.outbox.files(key)) == 3


def test_an_instance_that_comes_after_the_confirmation_is_kept_and_one_that_comes_again_is_not(tmp_path: Path) -> None:
    site = Site(tmp_path)
    store, route = site.state.store, Route("chest", "one", ("one",))
    archives = Progress(site.state.database, store, site.outbox, node="gw1")
    assert site.send(1) == 0
    site.now += QUIET
    assert site.settle.step()
    (key,) = site.series()
    row = archives.claim(Stage.WAITING, route, lease=60, now=site.now)
    assert row is not None and archives.delivered(row, route, now=site.now)
    row = archives.claim(Stage.DELIVERED, route, lease=60, now=site.now)
    assert row is not None and archives.confirmed(row, route, files=["2.25.1.dcm"], now=site.now) == "confirmed"
    assert site.outbox.remove(key, site.outbox.files(key)) and site.states() == [("confirmed", "")]
    site.now += 2
    assert site.send(1) == 0 and site.outbox.files(key) == []
    assert site.send(2) == 0 and len(site.outbox.files(key)) == 1
    assert site.counts.added["instances_received_total", "chest", "duplicate"] == 1
    assert store.late(key, now=site.now) and site.states()[0][0] == "retrieved"


def test_a_series_of_which_nothing_was_kept_is_open_for_more(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.cleaner.dropped = Dropped(Outcome.EXCLUDED, "select.instance")
    assert site.send(1) == 0
    site.now += QUIET
    assert site.settle.step() and site.states() == [("excluded", "select.instance")]
    assert site.requests() == [("done", "")]
    site.cleaner.dropped, site.now = None, site.now + 2
    assert site.send(2) == 0 and site.states() == [("planned", "pushed")]
    assert [state for state, _ in site.requests()] == ["planned"]
    site.now += QUIET
    assert site.settle.step() and site.states() == [("retrieved", "")]


def test_a_series_that_a_rule_excluded_stays_out(tmp_path: Path) -> None:
    site = Site(tmp_path, series="NumberOfSeriesRelatedInstances >= 2")
    assert site.send(1) == 0
    site.now += QUIET
    assert site.settle.step() and site.states() == [("excluded", "select.series")]
    site.now += 2
    assert site.send(2) == 0 and site.states() == [("excluded", "select.series")]
