"""What is our own doing and looks like the PACS's, on real dcmqrscp and Orthanc (docs/pacs-behaviour.md A3, M2, M16)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from gateway.cmove.retrieve import MoveStep
from gateway.errors import Retry
from tests.cmove.rig import QUICK, Receiver, Rig, rig_at
from tests.dicom.serving import Serving, eventually, serving
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import HOST, Dcmqrscp, free_port
from tests.support.scripted_pacs import CT_IMAGE

pytestmark = pytest.mark.real
PATIENT = replace(QUICK, quiet=2.0, longest=30.0)


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[Receiver, Serving]]:
    """A receiver with room for one association."""
    receiver = Receiver()
    with serving(receiver.on_store, most=1) as running:
        yield receiver, running


@pytest.fixture
def rig(narrow: tuple[Receiver, Serving], tmp_path: Path) -> Iterator[Rig]:
    with rig_at(narrow, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFacts:
    return make_study(
        tmp_path_factory.mktemp("files"), patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102",
        accession="SYN-ACC-1", study_date="20240503", series=[SeriesSpec("CT", "Thorax", 3)],
    )  # fmt: skip


def planned(rig: Rig, study: StudyFacts) -> None:
    rig.plan(study.series[0].SeriesInstanceUID, study=study.StudyInstanceUID)


def went(rig: Rig, step: MoveStep) -> bool:
    """One more try, later: dcmqrscp counts a process that has ended until it looks."""
    rig.now += 400.0
    with contextlib.suppress(Retry):
        return step.step()
    return False


@pytest.mark.catalogue("A3", "M2")
def test_a3_our_own_refusal_is_counted_and_charged_to_nobody(rig: Rig, study: StudyFacts) -> None:
    planned(rig, study)
    guest = AE("GUEST")
    guest.add_requested_context(CT_IMAGE, ExplicitVRLittleEndian)
    with Dcmqrscp(destinations={"RESEARCH": (HOST, rig.receiver.port)}) as pacs:
        pacs.upload(study.files)
        taken = guest.associate(HOST, rig.receiver.port, ae_title="RESEARCH")
        assert taken.is_established
        with pytest.raises(Retry) as caught:
            rig.step(pacs).step()
        assert (caught.value.reason, caught.value.charge) == ("move.suboperations", False)
        assert (
            sum(n for (name, *_), n in rig.receiver.counts.added.items() if name == "associations_rejected_total") == 1
        )
        taken.release()
        assert eventually(lambda: rig.receiver.associations() == 0)
        rig.now += 60.0
        assert rig.step(pacs, patience=PATIENT).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 3)


@pytest.mark.catalogue("A2")
def test_a2_dcmqrscp_has_no_room_for_us_and_is_asked_less(rig: Rig, study: StudyFacts) -> None:
    planned(rig, study)
    guest = AE("GUEST")
    guest.add_requested_context("1.2.840.10008.1.1")
    with Dcmqrscp(destinations={"RESEARCH": (HOST, rig.receiver.port)}, most=1) as pacs:
        pacs.upload(study.files)
        gate = rig.gate(rig.pacs(pacs, max_moves=2))
        links = (guest.associate(HOST, pacs.port, ae_title=pacs.ae_title) for _ in range(100))
        taken = next(link for link in links if link.is_established)  # once the upload's process is gone
        with pytest.raises(Retry) as caught:
            rig.step(pacs, gate=gate).step()
        assert (caught.value.reason, gate.facts(rig.now).allowed) == ("pacs.busy", 1)
        taken.release()
        assert eventually(lambda: went(rig, rig.step(pacs, patience=PATIENT, gate=gate)))
        assert gate.facts(rig.now).allowed == 2
    assert (rig.only().state, rig.only().excluded) == ("excluded", 3)


@pytest.mark.catalogue("O1", "A4")
def test_o1_killed_left_alone_and_used_again_when_it_is_back(rig: Rig, study: StudyFacts) -> None:
    planned(rig, study)
    with Dcmqrscp(destinations={"RESEARCH": (HOST, rig.receiver.port)}) as pacs:
        pacs.upload(study.files)
        gate = rig.gate(rig.pacs(pacs, max_moves=2))
        pacs.kill()
        for _ in range(3):
            rig.now += 16.0
            with pytest.raises(Retry, match=r"pacs\.unreachable"):
                rig.step(pacs, gate=gate).step()
        assert not rig.step(pacs, gate=gate).step(), "for fifteen seconds nobody tries"
        pacs.start()
        assert not rig.step(pacs, gate=gate).step()
        rig.now += 16.0
        assert rig.step(pacs, patience=PATIENT, gate=gate).step(), "C-ECHO, and then the series"
    assert (rig.only().state, rig.only().excluded) == ("excluded", 3)


@pytest.mark.catalogue("M2", "M6")
def test_m2_a_receiver_that_cannot_be_reached_is_not_the_series_fault(rig: Rig, study: StudyFacts) -> None:
    planned(rig, study)
    with Dcmqrscp(destinations={"RESEARCH": (HOST, free_port())}) as pacs:
        pacs.upload(study.files)
        with pytest.raises(Retry) as caught:
            rig.step(pacs).step()
    assert (caught.value.reason, caught.value.charge) == ("move.suboperations", False)
    claim = rig.store.claim_series(pacs="main", projects=["p"], lease=1.0, now=rig.now + 60.0)
    assert claim is not None and claim.attempts == 0
