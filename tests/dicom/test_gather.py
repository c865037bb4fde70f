"""A data set in the making: byte for byte what was sent, its pixels in a file without a name, and nothing else in it."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from gateway.dicom.dimse import Context
from gateway.dicom.gather import LARGE, SMALL, Budget, Gatherer, Gathering, Spooled
from gateway.errors import Retry
from gateway.state.writing import write_durably

SECRET = "Synthname^Sina"
PIXELS = os.urandom(3 * LARGE // 2) * 2
ENCODED = {
    "explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "big endian": ExplicitVRBigEndian,
    "encapsulated": JPEGBaseline8Bit,
}  # fmt: skip


def data_set(syntax: str, pixels: bytes = PIXELS, *, tail: bytes = b"") -> bytes:
    """With a sequence of undefined length, a thumbnail in another, a private element that looks like pixels."""
    ds, item, icon = Dataset(), Dataset(), Dataset()
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientName = "2.25.1", "2.25.2", "2.25.3", SECRET
    item.CodeMeaning, icon.Rows, icon.BitsAllocated = SECRET, 2, 16
    icon.add_new(0x7FE00010, "OW", b"\1\2\3\4")
    ds.ProcedureCodeSequence, ds.IconImageSequence = [item], [icon]
    ds["ProcedureCodeSequence"].is_undefined_length = ds["IconImageSequence"].is_undefined_length = True
    ds.BitsAllocated = 16
    ds.private_block(0x0029, "SYN", create=True).add_new(1, "OB", struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 8))
    encapsulated = syntax == JPEGBaseline8Bit
    ds.add_new(0x7FE00010, "OB" if encapsulated else "OW", encapsulate([pixels]) if encapsulated else pixels)
    ds["PixelData"].is_undefined_length = encapsulated
    if tail:
        ds.add_new(0xFFFCFFFC, "OB", tail)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    write_dataset(stream, ds)
    return stream.getvalue()


def gathered(gatherer: Gatherer, syntax: str, data: bytes, piece: int) -> Gathering:
    made = gatherer.association()(Context("1.2", syntax))
    for at in range(0, len(data), piece):
        buffer = bytearray(data[at : at + piece])
        made.add(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
    return made


def in_file(made: Gathering) -> bytes:
    """What really was written to the nameless file."""
    return b"" if made._file < 0 else os.pread(made._file, 1 << 30, 0)


@pytest.fixture
def opened() -> Iterator[set[str]]:
    """Descriptors, which must be as many afterwards."""
    before = set(os.listdir("/proc/self/fd"))
    yield before
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("tail", [b"", SECRET.encode() * 1000])
@pytest.mark.parametrize("piece", [1 << 24, 131066, 16379, 701])
def test_what_is_large_comes_back_as_it_was(
    tmp_path: Path, opened: set[str], encoding: str, tail: bytes, piece: int
) -> None:
    data = data_set(ENCODED[encoding], tail=tail)
    made = gathered(Gatherer(tmp_path), ENCODED[encoding], data, piece)
    whole = made.done()
    assert isinstance(whole, memoryview) and isinstance(whole.obj, Spooled) and bytes(whole) == data
    written = in_file(made)
    assert len(written) == len(data) and PIXELS in written  # holes for head and tail
    assert SECRET.encode() not in written and b"2.25.2" not in written
    assert not list(tmp_path.iterdir())
    del whole
    made.close()


def test_only_pixels_are_forgotten(tmp_path: Path, opened: set[str]) -> None:
    data = data_set(ExplicitVRLittleEndian, tail=b"tail")
    made = gathered(Gatherer(tmp_path), ExplicitVRLittleEndian, data, 1 << 20)
    whole = made.done()
    assert isinstance(whole, memoryview)
    mapped = whole.obj
    assert isinstance(mapped, Spooled)
    mapped.madvise(mmap.MADV_DONTNEED)
    assert bytes(whole) == data
    del whole, mapped
    made.close()


def test_what_was_written_from_it_stays_for_the_next_project(tmp_path: Path, opened: set[str]) -> None:
    """Writers forget the pages of mapped files (`state.writing`, `part10.write_file`)."""
    for size in (SMALL + 1, LARGE, 2 * LARGE):
        data = data_set(ExplicitVRLittleEndian, PIXELS[:size])
        made = gathered(Gatherer(tmp_path), ExplicitVRLittleEndian, data, 131066)
        whole = made.done()
        for number in range(2):
            write_durably(str(tmp_path / f"{size}-{number}"), [b"head", whole[2:]], 0o600)
            assert (tmp_path / f"{size}-{number}").read_bytes() == b"head" + data[2:]
        del whole
        made.close()


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, LARGE])
def test_what_is_not_large_never_sees_a_disk(opened: set[str], size: int) -> None:
    data = os.urandom(size)
    made = gathered(Gatherer(Path("/nonexistent")), ExplicitVRLittleEndian, data, 4099)
    assert bytes(made.done()) == data
    assert isinstance(made.done(), bytes) == (size <= SMALL)
    made.close()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\x08\0\x18\0UI\4\0001.2 "])
def test_what_has_no_pixels_where_they_belong_stays_in_memory(
    tmp_path: Path, opened: set[str], syntax: str, junk: bytes
) -> None:
    data = junk * (3 * LARGE // len(junk)) + b"tail"
    made = gathered(Gatherer(tmp_path), syntax, data, 131066)
    assert bytes(made.done()) == data
    assert in_file(made) == b""
    made.close()


def test_pixels_behind_a_long_header_are_found(tmp_path: Path, opened: set[str]) -> None:
    ds = Dataset()
    ds.PatientName, ds.EncapsulatedDocument = SECRET, SECRET.encode() * (LARGE // 4)
    ds.add_new(0x7FE00010, "OW", PIXELS)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, ds)
    made = gathered(Gatherer(tmp_path), ExplicitVRLittleEndian, stream.getvalue(), 131066)
    assert bytes(made.done()) == stream.getvalue()
    assert SECRET.encode() not in in_file(made) and PIXELS[-LARGE:] in in_file(made)
    made.close()


def test_an_item_that_is_none_ends_the_pixels(tmp_path: Path, opened: set[str]) -> None:
    """What follows could be anything: it stays in memory."""
    data = data_set(JPEGBaseline8Bit)
    at = data.rindex(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    broken = data[:at] + struct.pack("<HHI", 0x0010, 0x0010, 14) + SECRET.encode() * 10
    made = gathered(Gatherer(tmp_path), JPEGBaseline8Bit, broken, 4099)
    assert bytes(made.done()) == broken and SECRET.encode() not in in_file(made)
    made.close()


def test_memory_beyond_the_budget_is_refused_and_comes_back(opened: set[str]) -> None:
    gatherer = Gatherer(None, Budget(LARGE + 131072))
    data = bytes(2 * LARGE)
    first = gathered(gatherer, ExplicitVRLittleEndian, data, 131066)
    second = gathered(gatherer, ExplicitVRLittleEndian, data, 131066)
    with pytest.raises(Retry, match=r"receive\.no-room"):
        second.done()
    assert bytes(first.done()) == data
    first.close()
    second.close()
    third = gathered(gatherer, ExplicitVRLittleEndian, data, 131066)
    assert bytes(third.done()) == data
    third.close()


@pytest.mark.parametrize("call", ["open", "write", "lseek", "ftruncate"])
def test_a_disk_in_trouble_is_told_at_the_end(
    tmp_path: Path, opened: set[str], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, full)
    made = gathered(Gatherer(tmp_path), ExplicitVRLittleEndian, data_set(ExplicitVRLittleEndian), 131066)
    with pytest.raises(Retry, match=r"disk\.errno-28"):
        made.done()
    made.close()
