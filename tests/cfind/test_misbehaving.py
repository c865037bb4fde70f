"""What real PACS do to a question (docs/pacs-behaviour.md): no plan is made of an answer that is not whole, or not about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gateway.cfind.findscu import Finder
from gateway.cfind.plan import FindProject, FindStep
from gateway.cfind.select import CompiledSelect
from gateway.dicom.identifier import identifier
from gateway.errors import Retry
from gateway.model import AccessionNumber
from gateway.ops.health import Board
from tests.cfind.test_findscu import QUICK, settings
from tests.dicom.serving import Counts
from tests.state.conftest import PROJECT, Opened
from tests.support import scripted_pacs as script
from tests.support.dicomfiles import SeriesSpec, make_study
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer
from tests.support.scripted_pacs import ScriptedPacs, row

AN = AccessionNumber("SYN-SECRET-1")
SERIES = row(SeriesInstanceUID="1.77.1", Modality="CT", NumberOfSeriesRelatedInstances="3")
LUA = """
function IncomingFindRequestFilter(query, origin)
  query["0008,0050"] = nil
  return query
end
"""


def finder(peer: PacsPeer | ScriptedPacs, counts: Counts | None = None) -> Finder:
    return Finder(settings(peer), "RESEARCH", counts or Counts(), deadlines=QUICK)


def step_of(state: Opened, asks: Finder, board: Board | None = None) -> FindStep:
    project = FindProject(PROJECT, ("main",), CompiledSelect())
    return FindStep(
        store=state.store, finders={"main": asks}, projects=[project], board=board or Board(), clock=lambda: 1000.0
    )


def matching(*studies: Dataset) -> script.Script:
    """As a PACS should: studies whose accession number is the one asked for, each with one series."""

    def find(reply: script.Reply) -> None:
        wanted = str(reply.keys.get("AccessionNumber", ""))
        found: Sequence[Dataset] = [s for s in studies if s.AccessionNumber == wanted]
        for answer in [SERIES] if reply.level == "SERIES" else found:
            reply.send(0xFF00, answer)
        reply.send(0x0000)

    return find


def everything(number: int) -> script.Script:
    return script.rows(*[row(StudyInstanceUID=f"1.{n}", AccessionNumber=f"OTHER-{n}") for n in range(number)])


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize("archive", [1, 500])
def test_f1_a_pacs_that_finds_what_cannot_exist_is_not_used(state: Opened, archive: int) -> None:
    state.ask("A", "B", "C")
    board, counts = Board(), Counts()
    with ScriptedPacs(find=everything(archive)) as pacs:
        with pytest.raises(Retry) as caught:
            step_of(state, finder(pacs, counts), board).step()
        assert len(pacs.asked) == 1, "nothing else is asked of it"
    assert (caught.value.reason, caught.value.charge) == ("find.key-ignored", False)
    assert (caught.value.after or 0) >= 60
    assert {(r.state, r.attempts) for r in state.views.requests()} == {("new", 0)}
    assert board.states("pacs") == {"main": False}
    assert counts.added["find_total", "main", "failed"] == 1


@pytest.mark.catalogue("F1")
def test_f1_a_pacs_that_matches_is_proven_once(state: Opened) -> None:
    state.ask("A", "B")
    with ScriptedPacs(find=matching(row(StudyInstanceUID="1.77", AccessionNumber="A"))) as pacs:
        assert step_of(state, finder(pacs)).step()
        asked = [str(q.AccessionNumber) for q in pacs.questions("STUDY")]
    assert (len(asked), asked[1:]) == (3, ["A", "B"])
    assert asked[0] not in ("A", "B")
    assert sorted(r.state for r in state.views.requests()) == ["empty", "planned"]


@pytest.mark.catalogue("F1")
def test_f1_a_canary_that_fails_by_itself_proves_nothing(state: Opened) -> None:
    """Some PACS fail where others find nothing; an empty row is no study."""
    state.ask("A")
    study = row(StudyInstanceUID="1.77", AccessionNumber="A")
    for odd in (script.finals(0xC000), script.rows(row(QueryRetrieveLevel="STUDY"))):
        with ScriptedPacs(find=script.in_turn(odd, matching(study))) as pacs:
            asks = finder(pacs)
            asks.prove()
            assert asks.find(AccessionNumber("A")).series == 1
            asks.close()


@pytest.mark.real
@pytest.mark.catalogue("F1")
def test_f1_orthanc_that_drops_the_key(state: Opened, tmp_path: Path) -> None:
    state.ask("A")
    (tmp_path / "drop.lua").write_text(LUA)
    study = make_study(
        tmp_path / "in", patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession="SYN-ACC-1",
        study_date="20240503", series=[SeriesSpec("CT", "Thorax", 1)],
    )  # fmt: skip
    with Orthanc(options={"LuaScripts": [str(tmp_path / "drop.lua")]}) as pacs:
        pacs.upload(study.files)
        with pytest.raises(Retry, match=r"find\.key-ignored"):
            step_of(state, finder(pacs)).step()
    assert [r.state for r in state.views.requests()] == ["new"]


@pytest.mark.real
@pytest.mark.catalogue("A1")
def test_a1_orthanc_drops_the_link_of_whom_it_does_not_know(state: Opened) -> None:
    """The association is accepted, C-ECHO works; the first question ends it."""
    state.ask("A", "B")
    with Orthanc(options={"DicomAlwaysAllowFind": False}) as pacs, pytest.raises(Retry) as caught:
        step_of(state, finder(pacs)).step()
    assert (caught.value.reason, caught.value.charge) == ("pacs.aborted", False)
    assert {(r.state, r.attempts) for r in state.views.requests()} == {("new", 0)}


@pytest.mark.real
@pytest.mark.catalogue("F2")
@pytest.mark.parametrize("kind", [Orthanc, Dcmqrscp])
def test_f2_whatever_a_pacs_takes_for_equal_only_the_same_is_found(
    kind: type[Orthanc | Dcmqrscp], tmp_path: Path
) -> None:
    made = [
        make_study(
            tmp_path / str(n), patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession=accession,
            study_date="20240503", series=[SeriesSpec("CT", "Thorax", 1)], seed=n,
        )
        for n, accession in enumerate(["SYNA100", "syna100", "SYNA1001", "SYNA100 "])
    ]  # fmt: skip
    with kind() as pacs:
        pacs.upload(file for study in made for file in study.files)
        asks = finder(pacs)
        asks.prove()
        found = {s.StudyInstanceUID for s in asks.find(AccessionNumber("SYNA100")).studies}
        asks.close()
    assert found == {made[0].StudyInstanceUID, made[3].StudyInstanceUID}


@pytest.mark.catalogue("F3")
def test_f3_a_long_accession_number_is_asked_in_full() -> None:
    long = "SYN-" + "7" * 28
    whole = identifier("STUDY", {"StudyInstanceUID": "1.77", "AccessionNumber": long})  # pydicom warns of it
    cut = row(StudyInstanceUID="1.78", AccessionNumber=long[:16])
    with ScriptedPacs(find=script.by_level(STUDY=[whole, cut], SERIES=[SERIES])) as pacs:
        asks = finder(pacs)
        found = asks.find(AccessionNumber(long))
        asks.close()
        assert [str(q.AccessionNumber) for q in pacs.questions("STUDY")] == [long]
    assert ([s.StudyInstanceUID for s in found.studies], found.dropped_rows) == (["1.77"], 1)


@pytest.mark.catalogue("F6", "F15", "O2")
@pytest.mark.parametrize("final", [0xA700, 0xFE00, 0xC001, 0xB000])
def test_f6_an_answer_that_was_cut_off_makes_no_plan(state: Opened, final: int) -> None:
    state.ask("A")
    study = row(StudyInstanceUID="1.77", AccessionNumber="A")
    with ScriptedPacs(find=script.in_turn(script.rows(), script.rows(study, final=final))) as pacs:
        step = step_of(state, finder(pacs))
        if final == 0xA700:
            with pytest.raises(Retry, match=r"find\.out-of-resources"):
                step.step()
        else:
            assert step.step()
    (request,) = state.views.requests()
    assert (request.state, request.attempts) == ("new", 0 if final == 0xA700 else 1)


@pytest.mark.catalogue("M17")
def test_m17_where_a_pacs_says_it_lies_leads_nowhere_else(state: Opened) -> None:
    state.ask("A")
    study = row(StudyInstanceUID="1.77", AccessionNumber="A", RetrieveAETitle=["ELSEWHERE", "X*"])
    with ScriptedPacs(find=matching(study)) as pacs:
        assert step_of(state, finder(pacs)).step()
    (request,) = state.views.requests()
    (series,) = state.views.series(request.key)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=1.0, now=1001.0)
    assert series.state == "planned" and claim is not None and claim.pacs == "main"
