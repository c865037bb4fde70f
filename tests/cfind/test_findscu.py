"""Finder against scripted and real PACS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from gateway.cfind import findscu
from gateway.cfind.findscu import Finder
from gateway.dicom.association import Deadlines
from gateway.errors import Retry
from gateway.model import AccessionNumber
from gateway.settings import Pacs
from tests.dicom.serving import Counts
from tests.support import scripted_pacs as script
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer
from tests.support.scripted_pacs import ScriptedPacs, row

AN = AccessionNumber("SYN-SECRET-1")
STUDY = row(StudyInstanceUID="1.77", AccessionNumber=AN.value)
SERIES = row(SeriesInstanceUID="1.77.1", Modality="CT")
QUICK = Deadlines(connect=1.0, negotiate=1.0, answer=0.5, question=1.0, release=0.5, pdu=0.5)


def settings(peer: PacsPeer | ScriptedPacs) -> Pacs:
    return Pacs(name="main", ae_title=peer.ae_title, host=peer.host, port=peer.port)


@pytest.fixture
def counts() -> Counts:
    return Counts()


def finder(peer: PacsPeer | ScriptedPacs, counts: Counts, *keywords: str) -> Finder:
    return Finder(settings(peer), "RESEARCH", counts, keywords=frozenset(keywords), deadlines=QUICK)


def test_one_association_for_a_batch_of_questions(counts: Counts) -> None:
    answers = script.by_level(STUDY=[STUDY], SERIES=[SERIES], IMAGE=[row(SOPInstanceUID="1.77.1.1")])
    beats: list[int] = []
    with ScriptedPacs(find=answers) as pacs:
        asks = finder(pacs, counts)
        for _ in range(3):
            found = asks.find(AN, beat=lambda: beats.append(1))
        assert pacs.associations == 1
        asks.close()
        assert counts.added["associations", "out"] == 0, (
            "an idle one is a slot of the PACS and a thread of ours (A6, B1)"
        )
        assert asks.find(AN).series == 1, "opened again"
        assert pacs.associations == 2
        asks.close()
    assert [(s.instances, s.attributes["Modality"]) for s in found.studies[0].series] == [(1, "CT")]
    assert found.studies[0].attributes["ModalitiesInStudy"] == ["CT"]
    assert counts.added["find_total", "main", "found"] == 4
    assert counts.observed["find_seconds"] == 12
    assert counts.added["associations", "out"] == 0
    assert len(beats) == 9


@pytest.mark.catalogue("F5")
def test_f5_all_studies_of_one_accession_number(counts: Counts) -> None:
    both = [STUDY, row(StudyInstanceUID="1.78", AccessionNumber=f"{AN.value} ")]
    with ScriptedPacs(find=script.by_level(STUDY=both, SERIES=[SERIES], IMAGE=[])) as pacs:
        asks = finder(pacs, counts)
        assert [s.StudyInstanceUID for s in asks.find(AN).studies] == ["1.77", "1.78"]
        asks.close()
        assert [str(q.StudyInstanceUID) for q in pacs.questions("SERIES")] == ["1.77", "1.78"]


@pytest.mark.catalogue("F1")
def test_f1_a_pacs_that_ignores_the_key(counts: Counts) -> None:
    everything = [row(StudyInstanceUID=f"1.{n}", AccessionNumber=f"OTHER-{n}") for n in range(50)]
    with ScriptedPacs(find=script.by_level(STUDY=[*everything, STUDY], SERIES=[SERIES])) as pacs:
        asks = finder(pacs, counts)
        found = asks.find(AN)
        asks.close()
    assert ([s.StudyInstanceUID for s in found.studies], found.dropped_rows) == (["1.77"], 50)


@pytest.mark.catalogue("F1")
def test_f1_a_pacs_that_returns_the_whole_archive_is_cut_off(counts: Counts) -> None:
    flood = [row(StudyInstanceUID=f"1.{n}", AccessionNumber=AN.value) for n in range(findscu.STUDY_CAP + 50)]
    with ScriptedPacs(find=script.by_level(STUDY=flood)) as pacs:
        with pytest.raises(Retry) as caught:
            Finder(settings(pacs), "RESEARCH", counts).find(AN)  # so many rows take their time on a busy machine
        assert pacs.questions("SERIES") == []
    assert (caught.value.reason, caught.value.charge) == ("find.too-many", True)
    assert counts.added["find_total", "main", "failed"] == 1


@pytest.mark.catalogue("F8")
def test_f8_rows_without_uid_are_dropped(counts: Counts) -> None:
    with ScriptedPacs(find=script.by_level(STUDY=[row(AccessionNumber=AN.value), row(PatientID="P")])) as pacs:
        asks = finder(pacs, counts)
        found = asks.find(AN)
        asks.close()
    assert (found.studies, found.dropped_rows) == ((), 2)


@pytest.mark.catalogue("F8")
def test_no_image_level_leaves_the_count_open(counts: Counts) -> None:
    def no_images(reply: script.Reply) -> None:
        rows: list[Dataset] = {"STUDY": [STUDY], "SERIES": [SERIES]}.get(reply.level, [])
        for answer in rows:
            reply.send(0xFF00, answer)
        reply.send(0x0000 if rows else 0xA900)

    with ScriptedPacs(find=no_images) as pacs:
        asks = finder(pacs, counts)
        (series,) = asks.find(AN).studies[0].series
        asks.close()
    assert series.instances is None


@pytest.mark.catalogue("F15", "A5")
@pytest.mark.parametrize("told", [{"STUDY": [STUDY]}, {"STUDY": [STUDY], "SERIES": [SERIES]}], ids=["series", "images"])
def test_an_answer_is_complete_or_an_error(counts: Counts, told: dict[str, list[Dataset]]) -> None:
    """The study was listed, its series, or how many images they have, were not: no plan may be made of half an answer."""
    scripts = script.in_turn(*[script.by_level(**told)] * len(told), script.silent)
    with ScriptedPacs(find=scripts) as pacs, pytest.raises(Retry) as caught:
        finder(pacs, counts).find(AN)
    assert (caught.value.reason, caught.value.charge) == ("find.timeout", False)
    assert AN.value not in f"{caught.value!r}{caught.value}"
    assert counts.added["associations", "out"] == 0


# ---- real peers


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StudyFacts]:
    folder = tmp_path_factory.mktemp("files")
    return [
        make_study(
            folder, patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession=accession,
            study_date="20240503", series=[SeriesSpec(modality, "Thörax", 3), SeriesSpec("SR", "Report", 1)], seed=n,
        )
        for n, (accession, modality) in enumerate([(AN.value, "CT"), (AN.value, "MR"), ("SYN-OTHER-1", "CT")])
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[Orthanc, Dcmqrscp])
def peer(request: pytest.FixtureRequest, studies: list[StudyFacts]) -> Iterator[PacsPeer]:
    with request.param() as started:
        started.upload(file for study in studies for file in study.files)
        yield started


@pytest.mark.catalogue("F8", "F9", "F11")
@pytest.mark.real
def test_real_pacs_lists_both_studies_with_counts(peer: PacsPeer, studies: list[StudyFacts], counts: Counts) -> None:
    asks = finder(peer, counts, "PatientSex", "ImageType")
    found = asks.find(AN)
    nobody = asks.find(AccessionNumber("SYN-NOBODY"))
    asks.close()
    assert {s.StudyInstanceUID for s in found.studies} == {s.StudyInstanceUID for s in studies[:2]}
    assert (nobody.studies, counts.added["find_total", "main", "empty"]) == ((), 1)
    for study in found.studies:
        assert study.attributes["PatientSex"] == "O"
        assert study.attributes["ModalitiesInStudy"] in (["CT", "SR"], ["MR", "SR"])
        assert study.attributes["NumberOfStudyRelatedInstances"] == 4.0
        assert sorted(s.instances or 0 for s in study.series) == [1, 3]
    assert counts.added["associations", "out"] == 0


@pytest.mark.catalogue("A6", "O1")
@pytest.mark.real
def test_a_restarted_pacs_costs_no_error(peer: PacsPeer, counts: Counts) -> None:
    asks = finder(peer, counts)
    assert asks.find(AN).series == 4
    peer.kill()
    peer.start()
    assert asks.find(AN).series == 4
    asks.close()


@pytest.mark.catalogue("A5")
@pytest.mark.real
def test_a_frozen_pacs_ends_in_time(studies: list[StudyFacts], counts: Counts) -> None:
    with Dcmqrscp() as started:
        asks = finder(started, counts)
        started.freeze()
        with pytest.raises(Retry) as caught:
            asks.find(AN)
        started.thaw()
    assert caught.value.reason == "pacs.no-answer"


@pytest.mark.catalogue("F6")
@pytest.mark.real
def test_f6_orthanc_says_fe00_when_it_cuts_off(studies: list[StudyFacts], counts: Counts) -> None:
    with Orthanc(options={"LimitFindResults": 1}) as started:
        started.upload(file for study in studies for file in study.files)
        with pytest.raises(Retry) as caught:
            finder(started, counts).find(AN)
    assert (caught.value.reason, caught.value.charge) == ("find.truncated", True)
