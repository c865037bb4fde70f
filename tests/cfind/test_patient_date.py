"""`fallback = ["patient-date"]`: what its accession number does not find is looked for by patient and day; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.cfind.archive import DAY, archive, ask, searching, study
from tests.state.conftest import Opened
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer
from tests.support.scripted_pacs import Reply, ScriptedPacs, row, rows


def outcome(state: Opened) -> tuple[str, str]:
    (request,) = state.views.requests()
    return request.state, request.reason


def taken(state: Opened) -> list[str]:
    (request,) = state.views.requests()
    return [c.form for c in state.views.candidates(request.key) if c.standing == "taken"]


@pytest.mark.catalogue("F4", "F5")
@pytest.mark.parametrize(
    ("found", "state_then", "reason"),
    [
        ([study("1.1", "", "PID-1")], "planned", ""),
        ([study("1.1", "CT-0004711", "PID-1")], "planned", ""),
        ([study("1.1", "", "PID-1", "20240504")], "planned", ""),
        ([study("1.1", "", "PID-1"), study("1.2", "", "PID-1", modality="US")], "planned", ""),
        ([study("1.1", "", "PID-1"), study("1.2", "", "PID-1", "20240504")], "planned", ""),
        ([study("1.1", "CT-0004711", "PID-1"), study("1.2", "4712", "PID-1")], "planned", ""),
        ([study("1.1", "4712", "PID-1")], "held", "evidence.accession"),
        ([study("1.1", "", "PID-1"), study("1.2", "", "PID-1")], "held", "evidence.several-studies"),
        ([study("1.1", "", "PID-1", modality="")], "held", "evidence.modality"),
        ([study("1.1", "", "PID-1", modality="US")], "empty", "find.empty"),
        ([study("1.1", "", "PID-1", "20240510")], "empty", "find.empty"),
        ([study("1.1", "", "PID-2")], "empty", "find.empty"),
        ([], "empty", "find.empty"),
    ],
)
def test_one_study_alone_is_taken_and_doubt_is_held(
    state: Opened, found: list[Dataset], state_then: str, reason: str
) -> None:
    ask(state, "4711", "PID-1", DAY, "CT")
    with ScriptedPacs(find=archive(*found)) as pacs:
        assert searching(state, pacs, by_day=True).step(1000.0)
    assert outcome(state) == (state_then, reason)
    assert taken(state) == (["patient-date"] if state_then == "planned" else [])


def test_only_after_the_forms_of_the_number(state: Opened) -> None:
    ask(state, "4711", "PID-1", DAY)
    with ScriptedPacs(find=archive(study("1.1", "4711", "PID-1"), study("1.2", "", "PID-1"))) as pacs:
        assert searching(state, pacs, by_day=True).step(1000.0)
        assert all(str(q.AccessionNumber or "") for q in pacs.questions("STUDY"))
    assert taken(state) == ["{an}"]


@pytest.mark.parametrize(("patient", "day"), [("", DAY), ("PID-1", ""), ("PID*", DAY), ("A\\B", DAY), (" ", DAY)])
def test_without_patient_and_day_nothing_is_asked(state: Opened, patient: str, day: str) -> None:
    ask(state, "4711", patient, day)
    with ScriptedPacs(find=archive(study("1.1", "", "PID-1"))) as pacs:
        assert searching(state, pacs, by_day=True).step(1000.0)
        assert all(str(q.AccessionNumber or "") for q in pacs.questions("STUDY"))
    assert outcome(state) == ("empty", "find.empty")


def test_a_pacs_that_ignores_the_keys_gives_nothing_away(state: Opened) -> None:
    """Rows of other patients, other days, and such without a patient are dropped."""
    ask(state, "4711", "PID-1", DAY)
    others = [
        study("1.1", "", "PID-2"),
        study("1.2", "", "PID-1", "20230101"),
        row(StudyInstanceUID="1.3", StudyDate=DAY),
    ]

    def find(reply: Reply) -> None:
        by_number = str(reply.keys.get("AccessionNumber") or "")
        (archive(*others) if by_number else rows(*others))(reply)

    with ScriptedPacs(find=find) as pacs:
        assert searching(state, pacs, by_day=True).step(1000.0)
        assert pacs.questions("SERIES") == []
    assert outcome(state) == ("empty", "find.empty")


# ---- real peers


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StudyFacts]:
    folder = tmp_path_factory.mktemp("files")
    told = [
        ("", "SYN-PID-1", "20240503", "CT"),
        ("SYN-9", "SYN-PID-1", "20240503", "MR"),
        ("SYN-8", "SYN-PID-2", "20240503", "CT"),
    ]
    return [
        make_study(
            folder, patient_id=patient, name="Synthetic^Anna", birth_date="19500102", accession=accession, study_date=day,
            series=[SeriesSpec(modality, "Thorax", 2)], seed=n,
        )
        for n, (accession, patient, day, modality) in enumerate(told)
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[Orthanc, Dcmqrscp])
def peer(request: pytest.FixtureRequest, studies: list[StudyFacts]) -> Iterator[PacsPeer]:
    with request.param() as started:
        started.upload(file for one in studies for file in one.files)
        yield started


@pytest.mark.real
@pytest.mark.catalogue("F4", "F5")
def test_real_pacs_by_patient_and_day(peer: PacsPeer, state: Opened, studies: list[StudyFacts]) -> None:
    """One without a number; one whose number is another's; one of the other patient, found by its number."""
    for accession, patient, modality in (
        ("SYN-1", "SYN-PID-1", "CT"),
        ("SYN-2", "SYN-PID-1", "MR"),
        ("SYN-8", "SYN-PID-1", "CT"),
    ):
        ask(state, accession, patient, "20240504", modality)
    search = searching(state, peer, by_day=True)
    assert search.step(1000.0)
    outcomes = {(r.state, r.reason) for r in state.views.requests()}
    assert outcomes == {("planned", ""), ("held", "evidence.accession"), ("planned", "")}
    forms = sorted(
        c.form for r in state.views.requests() for c in state.views.candidates(r.key) if c.standing == "taken"
    )
    assert forms == ["patient-date", "patient-date"]
    assert state.store.expected(studies[2].StudyInstanceUID) == (), "the other patient's"


@pytest.mark.real
@pytest.mark.catalogue("F5")
def test_real_pacs_with_another_patient_under_the_number(peer: PacsPeer, state: Opened, tmp_path: Path) -> None:
    ask(state, "SYN-8", "SYN-PID-9", "20240503", "CT")
    assert searching(state, peer).step(1000.0)
    assert outcome(state) == ("held", "evidence.patient")
