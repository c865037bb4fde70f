"""Peeking at the UIDs of data sets in every encoding, and at files."""

from __future__ import annotations

import contextlib
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gateway.dicom.part10 import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Ids, peek, read_file
from gateway.errors import Refused

DEFLATED_LE = "1.2.840.10008.1.2.1.99"
WANTED = Ids("2.25.1", "2.25.2", "2.25.33")
ENCODINGS = {
    EXPLICIT_LE: (False, True),
    IMPLICIT_LE: (True, True),
    EXPLICIT_BE: (False, False),
    DEFLATED_LE: (False, True),
}


def nasty(undefined: bool) -> Dataset:
    """Sequences in sequences before the UIDs, with the same UIDs' tags inside, a private UN and a long text."""
    inner, outer, ds = Dataset(), Dataset(), Dataset()
    inner.StudyInstanceUID, inner.SeriesInstanceUID, inner.SOPInstanceUID = "2.25.901", "2.25.902", "2.25.903"
    outer.ReferencedImageSequence = Sequence([inner, Dataset()])
    outer.SOPInstanceUID = "2.25.904"
    ds.ReferencedStudySequence = Sequence([outer, outer])
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = WANTED.SOPInstanceUID, "2.25.1", "2.25.2"
    ds.add_new(0x00091001, "UN", b"\xfe\xff\xdd\xe0" * 20)
    ds.AdditionalPatientHistory = "long " * 2000
    ds.Rows, ds.PixelData = 1, b"\0" * 64
    ds["PixelData"].VR = "OW"
    for sequence in (ds["ReferencedStudySequence"], outer["ReferencedImageSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    return ds


def encoded(ds: Dataset, syntax: str) -> bytes:
    implicit, little = ENCODINGS[syntax]
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, ds)
    raw = BytesIO(stream.getvalue()).getvalue()
    if syntax != DEFLATED_LE:
        return raw
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush()


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_finds_the_top_level_uids(syntax: str, undefined: bool) -> None:
    data = encoded(nasty(undefined), syntax)
    for buffer in (data, bytearray(data), memoryview(data)):
        assert peek(buffer, syntax) == WANTED


@pytest.mark.parametrize("length", [0x4144, 0x4E50, 0x14F4C])
def test_an_item_whose_length_spells_a_vr_is_an_item(length: int) -> None:
    item, ds = Dataset(), nasty(True)
    item.ReferencedSOPInstanceUID = "2.25.9"
    item.TextValue = "x" * (length - 14 - 12)
    item.is_undefined_length_sequence_item = False
    ds.ReferencedStudySequence = Sequence([item, Dataset()])
    ds["ReferencedStudySequence"].is_undefined_length = True
    data = encoded(ds, EXPLICIT_LE)
    assert b"\xfe\xff\x00\xe0" + length.to_bytes(4, "little") in data
    assert peek(data, EXPLICIT_LE) == WANTED


@pytest.mark.catalogue("D2")
@pytest.mark.parametrize(("said", "is_"), [(EXPLICIT_LE, IMPLICIT_LE), (IMPLICIT_LE, EXPLICIT_LE)])
def test_finds_them_when_the_transfer_syntax_lies(said: str, is_: str) -> None:
    assert peek(encoded(nasty(True), is_), said) == WANTED


def test_compressed_syntaxes_are_explicit() -> None:
    assert peek(encoded(nasty(True), EXPLICIT_LE), "1.2.840.10008.1.2.4.70") == WANTED


def test_inflates_only_what_is_needed_and_as_much_as_is_needed() -> None:
    ds = nasty(False)
    ds.add_new(0x00091002, "UN", b"x" * 300_000)  # beyond the first piece
    assert peek(encoded(ds, DEFLATED_LE), DEFLATED_LE) == WANTED


def test_padding_goes_and_odd_uids_stay() -> None:
    ds = nasty(False)
    data = encoded(ds, EXPLICIT_LE).replace(b"UI\x06\x002.25.2", b"UI\x06\x0001.x \0")
    assert peek(data, EXPLICIT_LE).SeriesInstanceUID == "01.x"


@pytest.mark.catalogue("D9")
@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_refuses_what_lacks_a_uid(missing: str, syntax: str) -> None:
    ds = nasty(False)
    delattr(ds, missing)
    with pytest.raises(Refused, match=r"dataset\.unreadable"):
        peek(encoded(ds, syntax), syntax)


@given(st.binary(max_size=300), st.sampled_from(sorted(ENCODINGS)))
def test_garbage_is_refused_and_nothing_else(data: bytes, syntax: str) -> None:
    with pytest.raises(Refused):
        peek(data, syntax)


@pytest.mark.catalogue("D3")
@given(cut=st.integers(0, 900), at=st.integers(0, 900), byte=st.integers(0, 255))
def test_damaged_data_sets_are_read_or_refused(cut: int, at: int, byte: int) -> None:
    ds = nasty(True)
    del ds.AdditionalPatientHistory
    data = bytearray(encoded(ds, EXPLICIT_LE))
    data[at % len(data)] = byte
    with contextlib.suppress(Refused):
        assert peek(data[: max(1, len(data) - cut)], EXPLICIT_LE).StudyInstanceUID


@pytest.mark.catalogue("D8")
def test_nested_without_end_is_refused() -> None:
    sequence, item = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(Refused):
        peek((sequence + item) * 5000, EXPLICIT_LE)


@pytest.mark.catalogue("D8")
def test_a_deflate_bomb_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(b"\x08\x00\x05\x00CS\x02\x00  " + bytes(60 << 20)) + deflater.flush()
    with pytest.raises(Refused):
        peek(bomb, DEFLATED_LE)


def test_repr_shows_no_uid() -> None:
    assert "2.25" not in repr(WANTED)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"]
)
def test_reads_files(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert path
    data, syntax = read_file(Path(path))
    ds = dcmread(path)
    assert syntax == ds.file_meta.TransferSyntaxUID
    assert peek(data, syntax) == Ids(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


@pytest.mark.parametrize(
    "raw", [b"", b"x" * 500, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\x02\x00\x10\x00UI\xff\xff1.2"]
)
def test_refuses_other_files(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "f").write_bytes(raw)
    with pytest.raises(Refused, match=r"file\.not-dicom"):
        read_file(tmp_path / "f")
