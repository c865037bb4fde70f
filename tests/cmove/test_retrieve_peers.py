"""MoveStep against real Orthanc and real dcmqrscp, with a real store, outbox and Storage SCP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from gateway.cmove.ends import Patience
from gateway.errors import Retry
from tests.cmove.rig import QUICK, Receiver, Rig
from tests.dicom.serving import Serving
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import HOST, Dcmqrscp, Orthanc, PacsPeer

pytestmark = pytest.mark.real
DEADLINES = Patience(quiet=2.0, longest=30.0, deadlines=QUICK.deadlines)
NUMBER = count(1)


@pytest.fixture(scope="module", params=[Orthanc, Dcmqrscp])
def peer(request: pytest.FixtureRequest, running: tuple[Receiver, Serving]) -> Iterator[PacsPeer]:
    with request.param(destinations={"RESEARCH": (HOST, running[1].port)}) as started:
        yield started


@pytest.fixture
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFacts:
    """Another one for each test, so that peers may be shared."""
    n = next(NUMBER)
    return make_study(
        tmp_path_factory.mktemp("files"), patient_id=f"SYN-PID-{n}", name="Synthetic^Anna", birth_date="19500102",
        accession=f"SYN-ACC-{n}", study_date="20240503", series=[SeriesSpec("CT", "Thorax", 12), SeriesSpec("SR", "Report", 1)],
    )  # fmt: skip


def plan(rig: Rig, study: StudyFacts, number: int = 2) -> None:
    rig.plan(*[s.SeriesInstanceUID for s in study.series[:number]], study=study.StudyInstanceUID)


def test_every_instance_arrives_once_and_only_what_was_planned(rig: Rig, peer: PacsPeer, study: StudyFacts) -> None:
    peer.upload(study.files)
    plan(rig, study, number=1)
    assert rig.step(peer, patience=DEADLINES).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 12, 12)
    assert rig.moves("complete") == 1
    assert not rig.step(peer).step()


@pytest.mark.catalogue("F9")
def test_both_series_over_one_association(rig: Rig, peer: PacsPeer, study: StudyFacts) -> None:
    peer.upload(study.files)
    plan(rig, study)
    assert rig.step(peer, patience=DEADLINES).step()
    assert sorted(s.excluded for s in rig.all_series()) == [1, 12]
    assert rig.counts.added["associations", "out"] == 0


@pytest.mark.catalogue("M5", "S1")
def test_m5_an_instance_that_was_not_stored_comes_with_the_next_move(
    rig: Rig, peer: PacsPeer, study: StudyFacts
) -> None:
    """Orthanc gives up at the first refusal with C000, dcmqrscp goes on and says B000: the ledger is the same to us."""
    peer.upload(study.files)
    plan(rig, study, number=1)
    rig.lose = {study.series[0].SOPInstanceUIDs[4]}
    assert rig.step(peer).step()
    assert rig.only().state == "planned"
    assert rig.moves("incomplete") == 1
    missing = 12 - sum(len(rig.outbox.ledger(s.key)) for s in rig.all_series())
    rig.lose, rig.stored = set(), 0
    rig.now += 120.0
    assert rig.step(peer, patience=DEADLINES).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 12)
    assert rig.stored == missing, "at IMAGE level, just what is missing"


@pytest.mark.catalogue("M16", "M3")
def test_m16_a_series_that_is_not_there_is_retried_and_not_lost(rig: Rig, peer: PacsPeer, study: StudyFacts) -> None:
    """dcmqrscp says Success with 0 sub-operations, Orthanc C000."""
    plan(rig, study, number=1)
    assert rig.step(peer).step()
    assert rig.only().state == "planned"


def test_a_stop_in_the_middle_loses_nothing(rig: Rig, peer: PacsPeer, study: StudyFacts) -> None:
    peer.upload(study.files)
    plan(rig, study, number=1)
    rig.stop.set()
    rig.step(peer, response_timeout=30.0).step()
    rig.stop.clear()
    rig.step(peer, patience=DEADLINES).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 12)


@pytest.mark.catalogue("A5")
def test_a5_frozen_in_the_middle_then_thawed(rig: Rig, running: tuple[Receiver, Serving], study: StudyFacts) -> None:
    with Dcmqrscp(destinations={"RESEARCH": (HOST, running[1].port)}) as peer:
        peer.upload(study.files)
        plan(rig, study, number=1)
        threading.Timer(0.02, peer.freeze).start()
        with contextlib.suppress(Retry):  # as far as it had come: stalled, or already the PACS's failure
            rig.step(peer, response_timeout=1.0).step()
        peer.thaw()
        rig.now += 400.0
        rig.step(peer, patience=DEADLINES).step()
        assert (rig.only().state, rig.only().excluded) == ("excluded", 12)


@pytest.mark.catalogue("M1")
def test_m1_unknown_destination(rig: Rig, study: StudyFacts) -> None:
    with Dcmqrscp() as peer:
        peer.upload(study.files)
        plan(rig, study, number=1)
        with pytest.raises(Retry) as caught:
            rig.step(peer).step()
    assert (caught.value.reason, caught.value.charge) == ("move.unknown-destination", False)
    assert (caught.value.after or 0) >= 60
    assert rig.only().state == "planned"


@pytest.mark.catalogue("M8")
def test_m8_orthanc_says_success_before_it_sends(
    rig: Rig, running: tuple[Receiver, Serving], study: StudyFacts
) -> None:
    options = {"SynchronousCMove": False}
    with Orthanc(destinations={"RESEARCH": (HOST, running[1].port)}, options=options) as peer:
        peer.upload(study.files)
        plan(rig, study)
        assert rig.step(peer, patience=DEADLINES).step()
    assert sorted(s.excluded for s in rig.all_series()) == [1, 12]
