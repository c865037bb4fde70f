"""The embedded PACS answers as PS3.4 C says, asked by our own SCU and by DCMTK's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier, text
from gateway.dicom.listing import list_images
from gateway.dicom.moving import MoveWatch
from gateway.dicom.qrscp import EmbeddedPacs, is_match
from gateway.errors import Retry
from gateway.settings import Pacs
from tests.dicom.serving import Serving, serving
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.process import HOST, program

AE = "EMBEDDED"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StudyFacts]:
    folder = tmp_path_factory.mktemp("files")
    return [
        make_study(
            folder, patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession="SYN-ACC-1",
            study_date="20240503", series=[SeriesSpec("CT", "Thörax", 4), SeriesSpec("SR", "Report", 1)],
        ),
        make_study(
            folder, patient_id="SYN-PID-2", name="Synthetic^Bert", birth_date="19600102", accession="SYN-ACC-2",
            study_date="20240604", series=[SeriesSpec("MR", "Head", 2)],
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Serving]:
    with serving() as started:
        yield started


@pytest.fixture
def receiver(running: Serving) -> Serving:
    running.got.clear()
    return running


@pytest.fixture(scope="module")
def pacs(studies: list[StudyFacts], running: Serving) -> Iterator[Pacs]:
    files = [file for study in studies for file in study.files]
    embedded = EmbeddedPacs(AE, files, {"RESEARCH": (HOST, running.port)})
    port = embedded.start()
    yield Pacs(name="main", ae_title=AE, host=HOST, port=port)
    embedded.stop()


def find(pacs: Pacs, level: str, matching: dict[str, str], *returned: str) -> list[Dataset]:
    with Scu(pacs, "RESEARCH") as scu:
        return scu.find(identifier(level, matching, frozenset(returned)), row_cap=100)


def test_study_level_with_counts(pacs: Pacs, studies: list[StudyFacts]) -> None:
    (found,) = find(
        pacs, "STUDY", {"AccessionNumber": "SYN-ACC-1"}, "StudyInstanceUID", "ModalitiesInStudy", "StationName",
        "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries", "InstanceAvailability",
    )  # fmt: skip
    assert text(found, "StudyInstanceUID") == studies[0].StudyInstanceUID
    assert text(found, "ModalitiesInStudy") == "CT\\SR"
    assert (text(found, "NumberOfStudyRelatedInstances"), text(found, "NumberOfStudyRelatedSeries")) == ("5", "2")
    assert text(found, "RetrieveAETitle") == AE
    assert "PatientName" not in found, "not asked for"


@pytest.mark.parametrize(
    ("matching", "number"),
    [
        ({"AccessionNumber": ""}, 2), ({"AccessionNumber": "SYN-ACC-*"}, 2), ({"AccessionNumber": "syn-acc-1"}, 0),
        ({"AccessionNumber": "SYN-ACC-?"}, 2), ({"StudyDate": "20240601-"}, 1), ({"StudyDate": "-20240503"}, 1),
        ({"ModalitiesInStudy": "SR"}, 1), ({"StudyDate": "20240503-20240604", "PatientID": "SYN-PID-2"}, 1),
    ],
)  # fmt: skip
def test_matching(pacs: Pacs, matching: dict[str, str], number: int) -> None:
    assert len(find(pacs, "STUDY", matching, "StudyInstanceUID")) == number


def test_series_and_image_level(pacs: Pacs, studies: list[StudyFacts]) -> None:
    study = studies[0]
    found = find(
        pacs, "SERIES", {"StudyInstanceUID": study.StudyInstanceUID}, "SeriesInstanceUID", "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
    )  # fmt: skip
    seen = {(text(r, "SeriesDescription"), text(r, "NumberOfSeriesRelatedInstances")) for r in found}
    assert seen == {("Thörax", "4"), ("Report", "1")}
    with Scu(pacs, "RESEARCH") as scu:
        listed = list_images(scu, study.StudyInstanceUID, study.series[0].SeriesInstanceUID)
    assert set(listed) == set(study.series[0].SOPInstanceUIDs)


@pytest.mark.parametrize("level", ["SERIES", "IMAGE", "PATIENT", ""])
def test_hierarchy_is_strict(pacs: Pacs, level: str) -> None:
    with pytest.raises(Retry) as caught:
        find(pacs, level, {}, "SeriesInstanceUID")
    assert caught.value.reason == "find.unsupported"


def test_move_sends_the_files_as_they_are(pacs: Pacs, studies: list[StudyFacts], receiver: Serving) -> None:
    series = studies[0].series[0]
    keys = {"StudyInstanceUID": studies[0].StudyInstanceUID, "SeriesInstanceUID": series.SeriesInstanceUID}
    watch = MoveWatch(lambda: 0.0, 10.0, 20.0, lambda: False)
    with Scu(pacs, "RESEARCH") as scu:
        status = scu.move(identifier("SERIES", keys), "RESEARCH", watch=watch)
        unknown = scu.move(identifier("SERIES", keys), "NOBODY", watch=watch)
        keys["SeriesInstanceUID"] = "1.2.3.4.5"
        nothing = scu.move(identifier("SERIES", keys), "RESEARCH", watch=watch)
    assert {i.SOPInstanceUID for i, _ in receiver.got} == set(series.SOPInstanceUIDs)
    assert (status, unknown, nothing, len(receiver.got)) == (0x0000, 0xA801, 0x0000, 4)


@pytest.mark.real
def test_dcmtk_agrees(pacs: Pacs, studies: list[StudyFacts], receiver: Serving, tmp_path: Path) -> None:
    def run(tool: str, *keys: str) -> str:
        options = ["-aet", "RESEARCH", "-aec", AE, "-S", *[word for key in keys for word in ("-k", key)]]
        if tool == "movescu":
            options += ["-aem", "RESEARCH"]
        done = subprocess.run(
            [program(tool), "-v", *options, HOST, str(pacs.port)], cwd=tmp_path, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    said = run("findscu", "QueryRetrieveLevel=STUDY", "AccessionNumber=SYN-ACC-2", "StudyInstanceUID", "PatientID")
    assert studies[1].StudyInstanceUID in said
    assert studies[0].StudyInstanceUID not in said
    run("movescu", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={studies[1].StudyInstanceUID}")
    assert len(receiver.got) == 2
    run("movescu", "QueryRetrieveLevel=STUDY", "AccessionNumber=SYN-ACC-1")
    assert len(receiver.got) == 2, "M12: a move without a unique key moves nothing"


@pytest.mark.parametrize(
    ("wanted", "value", "vr", "expected"),
    [
        ("1.2\\1.3", "1.3", "UI", True), ("1.2\\1.3", "1.4", "UI", False), ("A[1]*", "A[1]23", "LO", True),
        ("A.C", "ABC", "LO", False), ("20240101-20241231", "", "DA", False), ("1000-11", "113000", "TM", True),
        ("5", "5", "IS", True), ("*", "", "LO", True),
    ],
)  # fmt: skip
def test_single_values(wanted: str, value: str, vr: str, expected: bool) -> None:
    assert is_match(wanted, value, vr) is expected
