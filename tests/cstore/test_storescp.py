"""The receiving side as a whole: DCMTK sends, the server takes, Receive keeps; two projects, many associations."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.dicom.part10 import peek, read_file
from tests.cstore.rig import Expects, Rig
from tests.dicom.serving import dcmtk, serving
from tests.dicom.test_server import sample
from tests.support.dicomfiles import SeriesSpec, make_study


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_study_is_received_once_whoever_sends_it_how_often(tmp_path: Path, rig: Rig) -> None:
    study = make_study(
        tmp_path / "in", patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession="SYN-ACC-1",
        study_date="20240503", series=[SeriesSpec("CT", "Thorax", 7), SeriesSpec("CT", "Scout", 2)],
    )  # fmt: skip
    wanted = rig.store.series_hash(study.series[0].SeriesInstanceUID)
    rig.store.rows[study.StudyInstanceUID] = [Expects(series_hash=wanted), Expects("S-2", "lung", series_hash=wanted)]
    with serving(rig.receive.store) as served:
        for tool in ("storescu", "dcmsend"):
            assert dcmtk(tool, served.port, *study.files).returncode == 0
        refused = dcmtk("storescu", served.port, sample("CT_small.dcm"))
    assert refused.returncode != 0 and rig.results("unsolicited", "") == 1
    for key, project in (("S-1", "chest"), ("S-2", "lung")):
        assert len(rig.files(key)) == 7 and set(rig.outbox.ledger(key)) == {
            rig.store.instance_hash(uid) for uid in study.series[0].SOPInstanceUIDs
        }
        results = [rig.results(r, project) for r in ("kept", "duplicate", "excluded")]
        assert results == [7, 7, 4]  # the scout, twice, is not in the plan
    data, syntax = read_file(study.files[0])
    assert peek(data, syntax).StudyInstanceUID == study.StudyInstanceUID
