"""Pixel data never passes through Python's memory: a file is cleaned in the same space whatever its size, as a view or as bytes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from gateway.deidentify.cleaner import Cleaner
from gateway.dicom.part10 import read_file, write_file
from gateway.model import Dropped
from tests.bench import deid_ours
from tests.deidentify.writer import SYNTAXES, Element, base, big, with_, write

FRAME = 512 * 512 * 2
PIXELS = 0x7FE00010
CLEAN = """
import sys
from pathlib import Path
from tests.bench import deid_ours
deid_ours.through_files(deid_ours.make(()))(Path(sys.argv[1]), Path(sys.argv[2]))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
ROOT = Path(deid_ours.__file__).parents[2]
END = b"the last pixels."


def multi_frame(path: Path, frames: int) -> Path:
    """A native enhanced CT, sparse on disk."""
    elements = [
        Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2.1"),
        Element(0x00280004, "CS", b"MONOCHROME2"),
        Element(0x00280008, "IS", b"%d" % frames),
        *(Element(tag, "US", number.to_bytes(2, "little")) for tag, number in
          ((0x00280010, 512), (0x00280011, 512), (0x00280100, 16), (0x00280101, 16), (0x00280102, 15), (0x00280103, 0))),
    ]  # fmt: skip
    header = write([e for e in with_(base(), *elements) if e.tag != PIXELS], "explicit")
    meta = b"\x02\0\x10\0UI" + (20).to_bytes(2, "little") + SYNTAXES["explicit"].encode() + b"\0"
    head = bytes.fromhex("e07f1000") + b"OW\0\0" + (frames * FRAME).to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM" + meta + header + head)
        file.seek(frames * FRAME - len(END), 1)
        file.write(END)
    return path


def peak(source: Path, dest: Path) -> int:
    """The most memory, in MiB, that a process of its own took to clean one file."""
    argv = [sys.executable, "-c", CLEAN, str(source), str(dest)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=100)
    return int(done.stdout) >> 10


def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    small = peak(multi_frame(tmp_path / "small", 1), tmp_path / "small.dcm")
    large = peak(multi_frame(tmp_path / "large", 512), tmp_path / "large.dcm")
    assert large - small < 40, "MiB more for 256 MiB of pixels"
    ds = dcmread(tmp_path / "large.dcm", defer_size=1024)
    assert (ds.NumberOfFrames, ds["PixelData"].VR, ds.PatientIdentityRemoved) == (512, "OW", "YES")
    with (tmp_path / "large.dcm").open("rb") as file:
        assert file.seek(-len(END), 2) > 512 * FRAME and file.read() == END


def icon(tag: int = 0x00880200) -> Element:
    pixels = (
        Element(0x00280010, "US", b"\2\0"),
        Element(0x00280011, "US", b"\2\0"),
        Element(PIXELS, "OW", b"\7\7\7\7"),
    )
    return Element(tag, "SQ", (pixels,))


def posing(end: int) -> Element:
    """Bytes of a private element that look like pixel data up to `end` bytes behind them."""
    return Element(0x00290010, "OB", bytes.fromhex("e07f1000") + b"OW\0\0" + end.to_bytes(4, "little"))


PLAIN = base()
WITHOUT = [e for e in base() if e.tag != PIXELS]
SHAPES = {
    "plain": PLAIN,
    "no pixels": WITHOUT,
    "an icon, its pixels the last": [*WITHOUT, icon()],
    "an icon before": [*PLAIN, icon()],
    "padding behind": [*PLAIN, Element(0xFFFCFFFC, "OB", bytes(40))],
    "something behind": [*PLAIN, Element(0x7FE10010, "LO", b"MAKER"), Element(0x7FE11001, "LO", b"Quastenberg")],
    "pixels in what is behind": [*PLAIN, Element(0x7FE10010, "LO", b"MAKER"), icon(tag=0x7FE11001)],
    "pixels that read as an element": [
        *WITHOUT,
        Element(PIXELS, "OW", bytes.fromhex("e17f0000") + b"OB\0\0" + (116).to_bytes(4, "little") + bytes(116)),
        Element(0x7FE10010, "LO", b"MAKER"),
        icon(tag=0x7FE11001),
    ],
    "two": [*PLAIN, Element(0x7FE00008, "OF", bytes(16))],
    "posing": [*WITHOUT, posing(len(write([e for e in PLAIN if e.tag > 0x00290010], "explicit"))), PLAIN[-1]],
    "large header": [*PLAIN, Element(0x00291010, "OB", bytes(300_000))],
}


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big", "encapsulated", "deflated"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_view_is_cleaned_as_bytes_are(cleaner: Cleaner, shape: str, syntax: str) -> None:
    data = write(big(SHAPES[shape]) if syntax == "big" else SHAPES[shape], syntax)
    results = [cleaner.clean(form, SYNTAXES[syntax], frozenset()) for form in (data, memoryview(bytearray(data)))]
    told = [r.reason if isinstance(r, Dropped) else b"".join(r.parts) for r in results]
    assert isinstance(told[0], bytes)
    assert told[0] == told[1]


def test_a_file_is_read_and_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In many pieces, and by a kernel that takes less than it is given."""
    monkeypatch.setattr("gateway.dicom.part10.CHUNK", 1000)
    monkeypatch.setattr("gateway.dicom.part10.IOV", 3)
    monkeypatch.setattr("os.writev", lambda fd, parts: os.write(fd, bytes(parts[0])[:7]))
    source = multi_frame(tmp_path / "in", 1)
    data, syntax = read_file(source)
    write_file(tmp_path / "out", [b"head", b"", *([b"x"] * 7), data, bytearray(b"tail")])
    assert (tmp_path / "out").read_bytes() == b"headxxxxxxx" + source.read_bytes()[-len(data) :] + b"tail"
    assert syntax == SYNTAXES["explicit"]


@pytest.mark.parametrize("syntax", ["explicit", "encapsulated"])
@pytest.mark.parametrize("shape", ["plain", "no pixels", "padding behind", "sorted"])
def test_nothing_of_an_instance_outlives_its_result(shape: str, syntax: str) -> None:
    """Neither in what is remembered nor in a cycle that only the collector would find, which cost a file each until then."""
    elements = SHAPES.get(shape) or [PLAIN[3], *PLAIN[:3], *PLAIN[4:]]
    cleaner, gone = deid_ours.make(()), list[bool]()
    gc.disable()
    try:
        for _ in range(3):  # the first makes a twin, the others have one
            data = bytearray(write(elements, syntax, sort=shape != "sorted"))
            assert not isinstance(cleaner.clean(memoryview(data), SYNTAXES[syntax], frozenset()), Dropped)
            gone.append(is_free(data))
    finally:
        gc.enable()
    assert gone == [True] * 3


def is_free(data: bytearray) -> bool:
    """No view of it is left anywhere: else its size could not change."""
    try:
        data.append(0)
    except BufferError:
        return False
    return True
