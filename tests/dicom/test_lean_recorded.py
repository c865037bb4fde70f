"""Both parsers on the same bytes that real senders said: the data sets are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE

from gateway.dicom.gather import Gatherer
from tests.dicom.recorded import Relay, as_ours, as_pynetdicom, contexts, relay
from tests.dicom.serving import Serving, dcmtk, serving
from tests.dicom.test_server import sample
from tests.support.process import HOST

SAMPLES = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm", "SC_rgb_small_odd.dcm",
    "JPGExtended.dcm", "rtplan.dcm", "waveform_ecg.dcm", "MR_small_RLE.dcm", "reportsi.dcm", "693_J2KI.dcm", "rtdose.dcm",
    "JPEGLSNearLossless_08.dcm", "examples_jpeg2k.dcm", "liver_1frame.dcm",
)  # fmt: skip
WORDS = {"storescu": ("-R",), "storescu, small PDUs": ("-R", "--max-send-pdu", "4096"), "dcmsend": ()}


def by_pynetdicom(port: int, files: list[Path], *, longest: int) -> None:
    ae = AE("MODALITY")
    ae.maximum_pdu_size = longest
    sets = [dcmread(file) for file in files]
    for ds in sets:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(HOST, port, ae_title="RESEARCH")
    accepted = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in assoc.accepted_contexts}
    for ds in sets:
        if (str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) in accepted:
            assert assoc.send_c_store(ds).Status == 0
    assoc.release()


def check(rig: Serving, recorded: Relay, folder: Path) -> int:
    """Every stream of a recording, read at once, in large and in odd pieces, and what the server handed on. Returns how many."""
    served = [data for _, data in rig.got]
    theirs = [heard for stream in recorded.streams for heard in as_pynetdicom(bytes(stream))]
    for piece in (1 << 24, 1 << 16, 4099):
        ours = [
            heard
            for stream, answer in zip(recorded.streams, recorded.answers, strict=True)
            for heard in as_ours(bytes(stream), contexts(bytes(answer)), Gatherer(folder), piece)
        ]
        assert ours == theirs
    assert sorted(served) == sorted(heard.data for heard in theirs)
    return len(theirs)


@pytest.mark.parametrize("words", WORDS)
def test_what_dcmtk_sends(tmp_path: Path, words: str) -> None:
    files = [sample(name) for name in SAMPLES if name != "image_dfl.dcm"]
    with serving() as rig, relay(rig.port) as recorded:
        for syntax in ("-xe", "-xs", "-xv", "-xr", "-xb") if words != "dcmsend" else ("",):
            dcmtk(words.split(",")[0], recorded.port, *(w for w in (syntax, *WORDS[words]) if w), *files)
    assert check(rig, recorded, tmp_path) >= 9


@pytest.mark.parametrize("longest", [16382, 200])
def test_what_pynetdicom_sends(tmp_path: Path, longest: int) -> None:
    files = [sample(name) for name in SAMPLES]
    with serving() as rig, relay(rig.port) as recorded:
        by_pynetdicom(recorded.port, files, longest=longest)
    assert check(rig, recorded, tmp_path) >= 9


def test_a_stream_in_single_bytes(tmp_path: Path) -> None:
    with serving() as rig, relay(rig.port) as recorded:
        assert dcmtk("storescu", recorded.port, sample("MR_small.dcm")).returncode == 0
    (stream,), (answer,) = recorded.streams, recorded.answers
    assert as_ours(bytes(stream), contexts(bytes(answer)), Gatherer(tmp_path), 1) == as_pynetdicom(bytes(stream))
