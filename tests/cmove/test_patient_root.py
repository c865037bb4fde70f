"""`query_model = "patient"`: questions and moves name the patient too, of the RIS row and then of the PACS's own answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cmove.ends import Patience
from gateway.cmove.retrieve import MoveStep
from gateway.dicom.models import PATIENT_ROOT
from tests.cfind.archive import DAY, archive, ask, searching, strictly, study
from tests.cmove.rig import QUICK, Receiver, Rig
from tests.dicom.serving import Serving
from tests.state.conftest import PROJECT, Opened
from tests.support import scripted_pacs as script
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import HOST, Dcmqrscp, Orthanc, PacsPeer
from tests.support.scripted_pacs import ScriptedPacs

ONLY = (str(PATIENT_ROOT.find), str(PATIENT_ROOT.move))
PATIENCE = Patience(quiet=2.0, longest=30.0, deadlines=QUICK.deadlines)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    yield opened
    opened.database.close()


def moving(rig: Rig, at: PacsPeer | ScriptedPacs, state: Opened) -> MoveStep:
    """Moves of what `state` planned, into the rig's receiver."""
    rig.database.close()
    rig.database, rig.store, rig.views = state.database, state.store, state.views
    gate = rig.gate(rig.pacs(at, query_model="patient", response_timeout=5.0))
    return MoveStep(
        projects=[PROJECT], store=rig.store, outbox=rig.outbox, calling_ae="RESEARCH", count=rig.counts, board=rig.board,
        clock=lambda: 2000.0, stop=rig.stop, patience=PATIENCE, gate=gate,
    )  # fmt: skip


@pytest.mark.catalogue("A10")
def test_a10_every_question_and_move_names_the_patient(rig: Rig, state: Opened) -> None:
    """A PACS that offers Patient Root alone, and refuses what does not name the key of the level above."""
    ask(state, "4711", "PID-1", DAY)
    found = strictly(archive(study("1.1", "4711", "PID-1")))
    sent = script.sends(
        rig.receiver.port, [script.instance("1.1", "1.1.1", f"1.1.1.{n}") for n in range(3)], then=script.finals(0)
    )
    with ScriptedPacs(find=found, move=sent, models=ONLY) as pacs:
        assert searching(state, pacs, query_model="patient").step(1000.0)
        assert moving(rig, pacs, state).step()
        asked = pacs.asked
    assert {str(keys.PatientID) for _, keys in asked} == {"PID-1"}
    (move,) = [keys for what, keys in asked if what == "move"]
    assert (move.QueryRetrieveLevel, move.StudyInstanceUID, move.SeriesInstanceUID) == ("SERIES", "1.1", "1.1.1")
    assert (rig.only().state, rig.only().excluded) == ("excluded", 3)


@pytest.mark.catalogue("A10", "A1")
def test_a10_study_root_asked_of_a_pacs_that_has_none_is_a_matter_of_configuration(state: Opened) -> None:
    ask(state, "4711", "PID-1", DAY)
    with ScriptedPacs(find=archive(), models=ONLY) as pacs, pytest.raises(Exception, match=r"pacs\.") as caught:
        searching(state, pacs).step(1000.0)
    assert getattr(caught.value, "charge", True) is False
    assert [(r.state, r.attempts) for r in state.views.requests()] == [("new", 0)]


@pytest.mark.catalogue("A10", "F17")
def test_a10_without_a_patient_in_the_ris_row_the_question_is_asked_all_the_same(state: Opened) -> None:
    """Some take it; one that does not makes it this request's failure, not an outage, once others are answered."""
    ask(state, "4711", "", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", "PID-1")), models=ONLY) as pacs:
        assert searching(state, pacs, query_model="patient").step(1000.0)
    (request,) = state.views.requests()
    assert request.state == "planned"


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> StudyFacts:
    return make_study(
        tmp_path_factory.mktemp("files"), patient_id="SYN-PID-77", name="Synthetic^Anna", birth_date="19500102",
        accession="SYN-ACC-77", study_date=DAY, series=[SeriesSpec("CT", "Thorax", 4)],
    )  # fmt: skip


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp -QS"])
def peer(request: pytest.FixtureRequest, running: tuple[Receiver, Serving], examined: StudyFacts) -> Iterator[PacsPeer]:
    """dcmqrscp without Study Root; Orthanc has both."""
    to = {"RESEARCH": (HOST, running[1].port)}
    made: Orthanc | Dcmqrscp
    made = Orthanc(destinations=to) if request.param == "orthanc" else Dcmqrscp(destinations=to, options=["-QS"])
    with made as started:
        started.upload(examined.files)
        yield started


@pytest.mark.real
@pytest.mark.catalogue("A10")
def test_a10_real_pacs_by_patient_root(rig: Rig, peer: PacsPeer, state: Opened) -> None:
    ask(state, "SYN-ACC-77", "SYN-PID-77", DAY, "CT")
    assert searching(state, peer, query_model="patient").step(1000.0)
    assert moving(rig, peer, state).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 4, 4)
