"""Rows into facts: what is about something else is dropped and counted, gaps are filled, nothing raises."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gateway.cfind import answer, question
from gateway.cfind.question import Keys, keys_for
from gateway.model import AccessionNumber, FoundStudy
from tests.support.scripted_pacs import row

AN = AccessionNumber("SYN-1")
KEYS = keys_for(frozenset())


@pytest.mark.catalogue("F1", "F2")
def test_f1_rows_of_another_accession_number_are_dropped_and_counted() -> None:
    rows = [
        row(StudyInstanceUID="1.1", AccessionNumber="SYN-1 "), row(StudyInstanceUID="1.2", AccessionNumber="SYN-10"),
        row(StudyInstanceUID="1.3", AccessionNumber="syn-1"), row(StudyInstanceUID="1.4"), row(AccessionNumber="SYN-1"),
        row(StudyInstanceUID="1.5", AccessionNumber=""), Dataset(),
    ]  # fmt: skip
    found, dropped = answer.studies(rows, AN, KEYS.study)
    assert [s.StudyInstanceUID for s in found] == ["1.1"]
    assert dropped == 6


@pytest.mark.catalogue("F13")
def test_f13_repeated_rows_are_merged() -> None:
    rows = [
        row(StudyInstanceUID="1.1", AccessionNumber="SYN-1", StudyDescription=""),
        row(StudyInstanceUID="1.1", AccessionNumber="SYN-1", StudyDescription="Thorax"),
    ]
    (found,), dropped = answer.studies(rows, AN, KEYS.study)
    assert found.attributes["StudyDescription"] == "Thorax"
    assert dropped == 0


@pytest.mark.catalogue("F8", "F13")
def test_f8_series_rows_without_their_parent_get_it_from_the_question() -> None:
    rows = [
        row(SeriesInstanceUID="1.1.1", Modality="CT", NumberOfSeriesRelatedInstances="12"),
        row(SeriesInstanceUID="1.1.2", StudyInstanceUID="1.1", Modality=None),
        row(SeriesInstanceUID="1.1.1", SeriesDescription="Thorax"), row(SeriesInstanceUID="9.1", StudyInstanceUID="9"), row(),
    ]  # fmt: skip
    found, dropped = answer.series(rows, "1.1", KEYS.series)
    assert [(s.StudyInstanceUID, s.SeriesInstanceUID, s.instances) for s in found] == [
        ("1.1", "1.1.1", 12), ("1.1", "1.1.2", None),
    ]  # fmt: skip
    assert found[0].attributes["SeriesDescription"] == "Thorax"
    assert found[1].attributes["Modality"] is None
    assert dropped == 2


@pytest.mark.catalogue("F8")
def test_f8_what_the_study_row_lacks_follows_from_its_series() -> None:
    rows = [
        row(SeriesInstanceUID="1.1.1", Modality="SR", NumberOfSeriesRelatedInstances="1"),
        row(SeriesInstanceUID="1.1.2", Modality="CT", NumberOfSeriesRelatedInstances="9"), row(SeriesInstanceUID="1.1.3"),
    ]  # fmt: skip
    series, _ = answer.series(rows, "1.1", KEYS.series)
    study = answer.completed(FoundStudy("1.1", {"ModalitiesInStudy": None, "StudyDate": "20240101"}), series[:2])
    assert study.attributes["ModalitiesInStudy"] == ["CT", "SR"]
    assert study.attributes["NumberOfStudyRelatedInstances"] == 10.0
    assert study.attributes["NumberOfStudyRelatedSeries"] == 2.0
    assert study.attributes["StudyDate"] == "20240101"
    partly = answer.completed(FoundStudy("1.1", {"ModalitiesInStudy": ["PR"]}), series)
    assert partly.attributes["ModalitiesInStudy"] == ["PR"], "what the PACS says stands"
    assert partly.attributes["NumberOfStudyRelatedInstances"] is None, "one of them is not known"
    assert answer.completed(FoundStudy("1.1"), []).attributes["ModalitiesInStudy"] is None
    named = answer.completed(FoundStudy("1.1", {"PatientID": "P1"}), series)
    assert [{s.PatientID for s in one.series} for one in (named, study)] == [{"P1"}, {""}]


def test_counted_tells_rules_too() -> None:
    (one,), _ = answer.series([row(SeriesInstanceUID="1.1.1")], "1.1", KEYS.series)
    assert answer.counted(one, 7).instances == 7
    assert answer.counted(one, 7).attributes["NumberOfSeriesRelatedInstances"] == 7.0


def test_nothing_shows_identifiers() -> None:
    (found,), _ = answer.studies(
        [row(StudyInstanceUID="1.77.1", AccessionNumber="SYN-1", PatientID="P77")], AN, KEYS.study
    )
    assert "77" not in repr(found)
    assert "SYN" not in repr((found, AN))


def test_rules_keywords_are_asked_at_their_level() -> None:
    keys = keys_for(frozenset({"PatientSex", "ImageType", "Modality", "ProcedureCodeSequence"}))
    assert keys == Keys(KEYS.study | {"PatientSex"}, KEYS.series | {"ImageType"})
    assert not keys.study & keys.series


@pytest.mark.catalogue("F9", "F10")
def test_f9_questions_are_strictly_hierarchical() -> None:
    study, series = question.studies(AN, KEYS), question.series({"StudyInstanceUID": "1.1"}, KEYS)
    assert (study.QueryRetrieveLevel, study.AccessionNumber) == ("STUDY", "SYN-1")
    assert (series.QueryRetrieveLevel, series.StudyInstanceUID) == ("SERIES", "1.1")
    assert "SeriesInstanceUID" not in study
    assert "AccessionNumber" not in series
    assert {e.keyword for e in study if e.value} == {"QueryRetrieveLevel", "AccessionNumber"}
