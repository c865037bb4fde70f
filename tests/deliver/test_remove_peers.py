"""A withdrawn patient leaves an Orthanc and an S3 server; what cannot delete says so."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

import obstore
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from gateway import settings
from gateway.deliver.remove import Removes
from gateway.deliver.s3 import HEAD, OWN, S3Sink
from gateway.deliver.storescu import StoreSink
from gateway.deliver.stowrs import StowSink
from gateway.errors import Refused, Retry
from tests.deliver.clean import LAYOUT, clean_file
from tests.deliver.peers import OUR_AE, names, orthanc, s3_server
from tests.support.peers import HOST, free_port

pytestmark = pytest.mark.real
THEIRS, OTHERS = "CHEST-ABC", "CHEST-ABD"


def files(folder: Path) -> list[Path]:
    """Three of the patient, in two studies; one of somebody else, one of who is called nearly so."""
    told = ((1, THEIRS, 1), (2, THEIRS, 1), (3, THEIRS, 2), (4, OTHERS, 3), (5, f"{THEIRS}X", 4))
    return [
        clean_file(
            folder / "outbox", n, PatientID=patient, StudyInstanceUID=f"2.25.7{s}", SeriesInstanceUID=f"2.25.8{s}"
        )
        for n, patient, s in told
    ]


def test_orthanc_by_its_own_interface(tmp_path: Path) -> None:
    peer, rest = orthanc()
    rest.clear()
    at = partial(settings.DicomWebSink, url=f"http://{HOST}:{peer.http_port}/dicom-web")
    sink = StowSink(at(delete="orthanc"))
    assert isinstance(sink, Removes)
    for file in files(tmp_path):
        sink.put(file)
    with pytest.raises(Refused, match=r"sink\.no-delete"):  # as no standard has it
        StowSink(at()).remove(THEIRS)
    assert len(rest.instances()) == 5
    assert sink.remove(THEIRS) == 3
    assert sorted(rest.instances()) == ["2.25.10004", "2.25.10005"]
    left = [raw for path in rest.database.rglob("*") if path.is_file() and (raw := path.read_bytes())]
    assert not any(
        raw.count(THEIRS.encode()) > raw.count(f"{THEIRS}X".encode()) for raw in left if raw[128:132] == b"DICM"
    )
    assert sink.remove(THEIRS) == 0
    sink.close()
    rest.clear()


def test_orthanc_that_is_down_is_asked_again_later() -> None:
    sink = StowSink(settings.DicomWebSink(url=f"http://{HOST}:{free_port()}/dicom-web", delete="orthanc"))
    with pytest.raises(Retry, match=r"sink\.(unreachable|timeout)"):
        sink.remove(THEIRS)


def test_c_store_has_no_word_for_it() -> None:
    assert not isinstance(
        StoreSink(settings.DicomSink(ae_title="A", host=HOST, calling_ae=OUR_AE), "RESEARCH"), Removes
    )


@pytest.mark.parametrize("layout", [LAYOUT, "{Modality}/{SOPInstanceUID}.dcm", "{SOPInstanceUID}"])
def test_s3(tmp_path: Path, layout: str) -> None:
    peer, bucket = s3_server(), f"research-{secrets.token_hex(8)}"
    peer.make(bucket)
    store = peer.store(bucket)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    credentials.chmod(0o600)
    sink = S3Sink(
        settings.S3Sink(url=f"s3://{bucket}/chest", endpoint=peer.url, credentials_file=credentials, layout=layout)
    )
    made = files(tmp_path)
    for file in made:
        sink.put(file)
    obstore.put(store, f"chest/{OWN}/0123", made[0].read_bytes())  # what a killed put of a large file leaves behind
    for foreign in ("chest/CT/notes.dcm", "chest/CT/empty.dcm", "elsewhere/1.dcm"):
        obstore.put(
            store, foreign, b"" if "empty" in foreign else made[0].read_bytes() if "else" in foreign else b"a note"
        )
    assert sink.remove(THEIRS) == 3
    contents = {name: obstore.get(store, name).bytes().to_bytes() for name in names(store)}
    assert {"chest/CT/notes.dcm", "chest/CT/empty.dcm", "elsewhere/1.dcm"} <= contents.keys()
    assert {raw for name, raw in contents.items() if "notes" not in name and "empty" not in name and "elsewhere" not in name} == {
        made[3].read_bytes(), made[4].read_bytes(),
    }  # fmt: skip
    assert sink.remove(THEIRS) == 0


def test_s3_where_much_stands_before_the_patient(tmp_path: Path) -> None:
    """References to a thousand images of a study come before the patient ID: more than the first piece that is read."""
    peer, bucket = s3_server(), f"research-{secrets.token_hex(8)}"
    peer.make(bucket)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    credentials.chmod(0o600)
    sink = S3Sink(settings.S3Sink(url=f"s3://{bucket}/chest", endpoint=peer.url, credentials_file=credentials))
    file = clean_file(tmp_path / "outbox", PatientID=THEIRS)
    ds = dcmread(file)
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = ds.SOPClassUID, UID("2.25." + "1" * 39)
    ds.ReferencedImageSequence = [image] * 1000
    ds.save_as(file)
    assert file.stat().st_size > HEAD
    sink.put(file)
    assert sink.remove(THEIRS) == 1 and names(peer.store(bucket)) == []


def test_s3_below_a_prefix_with_brackets(tmp_path: Path) -> None:
    """Which are letters of a pattern: nothing was removed, and all of it told as removed."""
    peer, bucket = s3_server(), f"research-{secrets.token_hex(8)}"
    peer.make(bucket)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    credentials.chmod(0o600)
    sink = S3Sink(settings.S3Sink(url=f"s3://{bucket}/chest[1]", endpoint=peer.url, credentials_file=credentials))
    for file in files(tmp_path):
        sink.put(file)
    assert sink.remove(THEIRS) == 3 and len(names(peer.store(bucket))) == 2
