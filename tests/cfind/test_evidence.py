"""Which study is the examination: compared with the RIS row, the evidence kept, and what is not plain held for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.cfind.evidence import ACCEPTED, Seen, compare, days, judge, judge_by_day
from gateway.model import AccessionNumber, Agreement, FoundSeries, FoundStudy, Wanted
from gateway.state.evidence import Decision
from tests.cfind.archive import DAY, archive, ask, searching, study
from tests.state.conftest import PROJECT, Opened
from tests.support.dicomfiles import SeriesSpec, make_study
from tests.support.peers import Dcmqrscp, Orthanc
from tests.support.scripted_pacs import ScriptedPacs

RIS = Wanted("p", AccessionNumber("4711"), "PID-1", DAY, "CT")
OTHER = "PID-SECRET-2"


def seen(uid: str, *, ris: Wanted = RIS, form: str = "{an}", **told: object) -> Seen:
    one = FoundStudy(uid, {"PatientID": "PID-1", "StudyDate": DAY, "ModalitiesInStudy": ["CT"], **told})
    return Seen(one, form, compare(one, ris, form))


def standings(state: Opened) -> list[tuple[str, str]]:
    (request,) = state.views.requests()
    return sorted((c.standing, c.reason) for c in state.views.candidates(request.key))


# ---- comparing


@pytest.mark.catalogue("F5", "F12")
@pytest.mark.parametrize(
    ("keyword", "told", "fact", "agreement"),
    [
        ("PatientID", "PID-1", "patient", "agrees"), ("PatientID", "PID-2", "patient", "differs"),
        ("PatientID", None, "patient", "unknown"),
        ("StudyDate", "20240502", "date", "agrees"), ("StudyDate", "20240505", "date", "differs"),
        ("StudyDate", "20240230", "date", "unknown"), ("StudyDate", "2024W101", "date", "unknown"),
        ("ModalitiesInStudy", ["SR", "CT"], "modality", "agrees"), ("ModalitiesInStudy", ["MR"], "modality", "differs"),
        ("ModalitiesInStudy", None, "modality", "unknown"),
    ],
)  # fmt: skip
def test_what_agrees_differs_or_is_unknown(keyword: str, told: object, fact: str, agreement: str) -> None:
    changed: dict[str, Any] = {keyword: told}
    assert getattr(seen("1.1", **changed).evidence, fact) == agreement


def test_what_the_ris_leaves_out_is_unknown() -> None:
    told = compare(seen("1.1").study, Wanted("p", AccessionNumber("4711")), "{an}")
    assert (told.patient, told.date, told.modality) == (Agreement.UNKNOWN,) * 3
    assert compare(seen("1.1").study, None, "{an}") == told


def test_modalities_follow_from_the_series() -> None:
    one = FoundStudy("1.1", {"ModalitiesInStudy": None}, (FoundSeries("1.1", "1.1.1", {"Modality": "DX"}),))
    assert compare(one, Wanted("p", AccessionNumber("4711"), modality="CR"), "{an}").modality is Agreement.AGREES


@pytest.mark.parametrize(
    ("day", "window"),
    [
        ("20240301", ("20240229", "20240302")),
        ("20240230", None),
        ("", None),
        ("20241231", ("20241230", "20250101")),
        ("99991231", None),
        ("00010101", None),
    ],
)
def test_the_days_around(day: str, window: tuple[str, str] | None) -> None:
    assert days(day) == window


# ---- judging


@pytest.mark.catalogue("F5")
@pytest.mark.parametrize(
    ("found", "taken", "doubt"),
    [
        ([seen("1.1")], ["1.1"], ""),
        ([seen("1.1"), seen("1.2", PatientID=OTHER)], ["1.1"], ""),
        ([seen("1.1"), seen("1.2", StudyDate="20240510")], ["1.1"], ""),
        ([seen("1.1", PatientID=OTHER)], [], "evidence.patient"),
        ([seen("1.1", StudyDate="20240510")], [], "evidence.date"),
        ([seen("1.1", StudyDate="20240510"), seen("1.2", PatientID=OTHER)], [], "evidence.date"),
        ([seen("1.1"), seen("1.2", ModalitiesInStudy=["US"])], ["1.1", "1.2"], ""),
        ([seen("1.1", PatientID=None, ModalitiesInStudy=["US"])], [], "evidence.modality"),
        ([seen("1.1", PatientID=None, StudyDate=None)], ["1.1"], ""),
        ([seen("1.1", PatientID=None, StudyDate=None), seen("1.2", PatientID=OTHER)], [], "evidence.patient"),
        ([], [], ""),
    ],
)
def test_f5_what_agrees_is_taken_and_what_is_not_plain_is_held(found: list[Seen], taken: list[str], doubt: str) -> None:
    judged = judge(found)
    assert ([s.uid for s in judged.taken], judged.doubt) == (taken, doubt)
    assert {c.StudyInstanceUID for c in judged.candidates} == {s.uid for s in found}
    assert {c.standing for c in judged.candidates} <= ({"held"} if doubt else {"taken", "left"})


@pytest.mark.catalogue("F5")
def test_f5_several_patients_and_a_ris_that_names_none() -> None:
    nobody = Wanted("p", AccessionNumber("4711"), study_date=DAY)
    two = [seen("1.1", ris=nobody), seen("1.2", ris=nobody, PatientID=OTHER)]
    assert (judge(two).taken, judge(two).doubt) == ((), "evidence.several-patients")
    assert judge(two[:1]).taken == tuple(two[:1])
    accepted = judge(two, lambda uid: ACCEPTED if uid == "1.2" else "")
    assert "1.2" in [s.uid for s in accepted.taken] and not accepted.doubt


@given(
    st.lists(st.tuples(st.sampled_from([None, "PID-1", OTHER]), st.sampled_from([None, DAY, "20240601"])), max_size=5)
)
def test_no_study_of_another_patient_or_day_is_ever_taken(told: list[tuple[str | None, str | None]]) -> None:
    found = [seen(f"1.{n}", PatientID=patient, StudyDate=day) for n, (patient, day) in enumerate(told)]
    for judged in (judge(found), judge_by_day(found, RIS)):
        assert not {OTHER, "20240601"} & {
            v for s in judged.taken for v in s.study.attributes.values() if isinstance(v, str)
        }
        assert not (judged.taken and judged.doubt)
        assert len(judged.candidates) == len(found)


# ---- the whole way, with a store


@pytest.mark.catalogue("F5")
def test_f5_another_patients_study_is_left_out_and_the_evidence_kept(state: Opened) -> None:
    ask(state, "4711", "PID-1", DAY, "CT")
    with ScriptedPacs(find=archive(study("1.1", "4711", "PID-1"), study("1.2", "4711", OTHER))) as pacs:
        assert searching(state, pacs).step(1000.0)
        assert [str(q.StudyInstanceUID) for q in pacs.questions("SERIES")] == ["1.1"], (
            "nothing more is asked of the other"
        )
    (request,) = state.views.requests()
    assert request.state == "planned" and len(state.views.series(request.key)) == 1
    assert standings(state) == [("left", "evidence.patient"), ("taken", "")]
    assert state.store.expected("1.2") == (), "what comes of it nobody asked for"


@pytest.mark.catalogue("F5")
@pytest.mark.parametrize(
    ("patient", "day", "reason"), [(OTHER, DAY, "evidence.patient"), ("PID-1", "20240601", "evidence.date")]
)
def test_f5_nothing_but_what_disagrees_waits_for_a_person(state: Opened, patient: str, day: str, reason: str) -> None:
    ask(state, "4711", "PID-1", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", patient, day))) as pacs:
        search = searching(state, pacs)
        assert search.step(1000.0)
        assert not search.step(1e9), "it is not asked again by itself"
        (request,) = state.views.requests()
        assert (request.state, request.reason) == ("held", reason)
        assert not {"PID-1", OTHER, "1.1", DAY} & set(map(str, vars(state.views.undecided()[0]).values()))
        assert state.store.retry(keys=[request.key], now=2000.0) == 1
        assert search.step(2000.0)
        assert [r.state for r in state.views.requests()] == ["held"], "asked again, nothing has changed"
        (one,) = state.views.undecided()
        assert state.store.decide([one.key], Decision("accepted", "by=anna"), now=2001.0) == {one.key: [one.key]}
        assert search.step(2002.0)
    (request,) = state.views.requests()
    assert (request.state, [s.state for s in state.views.series(request.key)]) == ("planned", ["planned"])
    told = [(e.event, e.after) for e in state.views.history(request.key) if e.subject == request.key]
    assert told[-3:] == [("study-accepted", "held"), ("decided", "new"), ("planned", "planned")]
    assert "by=anna" in "".join(e.reason for e in state.views.history(request.key))


@pytest.mark.catalogue("F5")
def test_f5_what_a_person_rejects_is_as_if_it_were_not_there(state: Opened) -> None:
    ask(state, "4711", "PID-1", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", OTHER), study("1.2", "4711", OTHER))) as pacs:
        search = searching(state, pacs)
        search.step(1000.0)
        first, _ = state.views.undecided()
        state.store.decide([first.key], Decision("rejected", ""), now=1001.0)
        assert [r.state for r in state.views.requests()] == ["held"], "the other one is undecided"
        assert state.store.decide([first.request], Decision("rejected", ""), now=1001.0)
        assert search.step(1002.0)
    (request,) = state.views.requests()
    assert (request.state, request.not_before) == ("empty", 1062.0)
    assert standings(state) == [("left", "evidence.rejected")] * 2
    assert state.store.decide([first.key], Decision("accepted", ""), now=1003.0) == {}, "nothing of it is held any more"


@pytest.mark.catalogue("F5", "F4")
def test_f5_the_next_pacs_may_have_the_right_one(state: Opened) -> None:
    ask(state, "4711", "PID-1", DAY)
    with (
        ScriptedPacs(find=archive(study("1.1", "4711", OTHER))) as first,
        ScriptedPacs(find=archive(study("1.2", "4711", "PID-1"))) as second,
    ):
        assert searching(state, first, second).step(1000.0)
    (request,) = state.views.requests()
    assert request.state == "planned" and standings(state) == [("left", "evidence.patient"), ("taken", "")]


@pytest.mark.catalogue("D6")
def test_d6_the_receiver_is_told_whose_series_it_is(state: Opened) -> None:
    ask(state, "4711", "", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", "PID-1"))) as pacs:
        assert searching(state, pacs).step(1000.0)
    (expected,) = state.store.expected("1.1")
    assert expected.patient == "PID-1"
    assert "PID-1" not in repr(expected)


# ---- whose accession number it is


def issued(uid: str, patient: str, issuer: str, keyword: str = "LocalNamespaceEntityID") -> Dataset:
    one = study(uid, "4711", patient)
    item = Dataset()
    setattr(item, keyword, issuer)
    one.IssuerOfAccessionNumberSequence = [item]
    return one


@pytest.mark.catalogue("R5")
def test_r5_the_same_number_at_two_sites_is_two_examinations(state: Opened) -> None:
    wanted = [Wanted(PROJECT, AccessionNumber("4711"), issuer=issuer) for issuer in ("NORTH", "1.2.3.99")]
    state.store.add_requests(wanted, (), project=PROJECT, cursor=None, now=100.0)
    studies = [issued("1.1", "PID-1", "NORTH"), issued("1.2", "PID-2", "1.2.3.99", "UniversalEntityID")]
    with ScriptedPacs(find=archive(*studies)) as pacs:
        assert searching(state, pacs).step(1000.0)
        assert all("IssuerOfAccessionNumberSequence" in q for q in pacs.questions("STUDY")[1:])
    requests = state.views.by_accession("4711")
    assert [r.state for r in requests] == ["planned", "planned"] and requests[0].key != requests[1].key
    assert [len(state.views.series(r.key)) for r in requests] == [1, 1]
    told = [sorted((c.standing, c.reason) for c in state.views.candidates(r.key)) for r in requests]
    assert told == [[("left", "evidence.issuer"), ("taken", "")]] * 2


@pytest.mark.catalogue("R5")
@pytest.mark.parametrize(("issuer", "then"), [("", "planned"), ("NORTH", "planned"), ("SOUTH", "held")])
def test_r5_what_another_site_alone_has_is_held(state: Opened, issuer: str, then: str) -> None:
    """A RIS that names no issuer, and a PACS that tells none, say nothing."""
    state.store.add_requests(
        [Wanted(PROJECT, AccessionNumber("4711"), issuer=issuer)], (), project=PROJECT, cursor=None, now=100.0
    )
    with ScriptedPacs(find=archive(issued("1.1", "PID-1", "NORTH"))) as pacs:
        assert searching(state, pacs).step(1000.0)
        asked = [q for q in pacs.questions("STUDY") if "IssuerOfAccessionNumberSequence" in q]
        assert bool(asked) is bool(issuer), "asked for only where it is needed"
    assert [r.state for r in state.views.requests()] == [then]


@pytest.mark.real
@pytest.mark.catalogue("R5")
@pytest.mark.parametrize("kind", [Orthanc, Dcmqrscp])
def test_r5_real_pacs_take_the_question(state: Opened, kind: type[Orthanc | Dcmqrscp], tmp_path: Path) -> None:
    """Neither tells the issuer: nothing speaks against the study."""
    made = make_study(
        tmp_path / "in", patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession="4711",
        study_date=DAY, series=[SeriesSpec("CT", "Thorax", 1)],
    )  # fmt: skip
    wanted = Wanted(PROJECT, AccessionNumber("4711"), "SYN-PID-1", DAY, issuer="NORTH")
    state.store.add_requests([wanted], (), project=PROJECT, cursor=None, now=100.0)
    with kind() as pacs:
        pacs.upload(made.files)
        assert searching(state, pacs).step(1000.0)
    assert [r.state for r in state.views.requests()] == ["planned"]


# ---- merged patients


@pytest.mark.catalogue("R12")
@pytest.mark.parametrize(("aliases", "then"), [({}, "held"), ({"PID-1": "PID-9"}, "planned"), ({"X": "PID-9"}, "held")])
def test_r12_a_patient_who_was_merged_is_the_same_patient(state: Opened, aliases: dict[str, str], then: str) -> None:
    """The RIS has the new identifier, the PACS still the old one."""
    ask(state, "4711", "PID-9", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", "PID-1"))) as pacs:
        assert searching(state, pacs, aliases=aliases).step(1000.0)
    assert [r.state for r in state.views.requests()] == [then]


@pytest.mark.catalogue("R12")
def test_r12_by_patient_and_day_all_identifiers_are_asked_for(state: Opened) -> None:
    ask(state, "4711", "PID-9", DAY, "CT")
    merged = {"PID-1": "PID-9", "PID-2": "PID-9", "PID-7": "PID-8"}
    with ScriptedPacs(find=archive(study("1.1", "", "PID-2"), study("1.2", "", "PID-7"))) as pacs:
        assert searching(state, pacs, by_day=True, aliases=merged).step(1000.0)
        asked = [str(q.PatientID) for q in pacs.questions("STUDY") if str(q.StudyDate or "")]
    assert asked == ["PID-9", "PID-1", "PID-2"]
    assert standings(state) == [("taken", "")]
