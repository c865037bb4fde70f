"""Files taken apart: shapes, native frames, fragments by both offset tables; what cannot be looked at says why."""

from __future__ import annotations

import struct
import zlib

import pytest

from gateway.deidentify.fragments import fragments
from gateway.deidentify.frames import Unscreenable, open_picture
from gateway.deidentify.meta import file_meta
from tests.deidentify.part10 import SC, file, numbers

RLE = "1.2.840.10008.1.2.5"


def reason(made: bytes) -> str:
    with pytest.raises(Unscreenable) as caught:
        open_picture(memoryview(made))
    return caught.value.reason


def item(data: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_native_frames_are_views(syntax: str) -> None:
    pixels = bytes(range(96))
    picture = open_picture(memoryview(file(syntax=syntax, pixels=pixels, frames=2, rows=6, columns=8)))
    assert picture.native
    assert (picture.shape.rows, picture.shape.columns, picture.shape.frames) == (6, 8, 2)
    assert [bytes(picture.frame(n)) for n in (0, 1)] == [pixels[:48], pixels[48:]]
    assert isinstance(picture.frame(0).obj, bytes)


def test_deflated_files_are_inflated() -> None:
    plain = file(pixels=bytes(range(64)))
    body = open_picture(memoryview(plain)).data
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    made = file_meta(SC, b"2.25.7", "1.2.840.10008.1.2.1.99") + deflater.compress(body) + deflater.flush()
    assert bytes(open_picture(memoryview(made)).frame(0)) == bytes(range(64))


WRONG = {
    "pixels.dimensions": [file(pixels=bytes(62)), file(pixels=bytes(66)), file(rows=0), file(samples=2)],
    "pixels.unsupported": [
        file(bits=16, stored=12, high=15), file(bits=64, stored=8), file(stored=9), file(photometric=b"HSV"),
        file(photometric=b"RGB"),
        file((0x7FE00008, "OF", bytes(4))), file(bits=1, samples=3, photometric=b"RGB"),
    ],
    "pixels.too-large": [file(rows=9000, columns=9000, pixels=b"")],
    "pixels.malformed": [b"", bytes(200), file()[:-9], file(syntax=RLE, pixels=b"")[:-3]],
    "pixels.syntax": [file(syntax="1.3.6.1.4.1.5962.300.1", pixels=item(b""))],
}  # fmt: skip


@pytest.mark.parametrize(("why", "made"), [(why, made) for why, several in WRONG.items() for made in several])
def test_what_cannot_be_looked_at(why: str, made: bytes) -> None:
    assert reason(made) == why


@pytest.mark.catalogue("D2")
def test_native_pixels_in_fragments_are_malformed() -> None:
    made = file(syntax=RLE, pixels=item(b"") + item(b"ab")).replace(RLE.encode() + b"\0", b"1.2.840.10008.1.2.1\0")
    assert reason(made) == "pixels.malformed"


def test_one_fragment_a_frame() -> None:
    picture = open_picture(memoryview(file(syntax=RLE, frames=2, pixels=item(b"") + item(b"ab") + item(b"cdef"))))
    assert [bytes(f) for f in fragments(picture)] == [b"ab", b"cdef"]


def test_several_fragments_of_one_frame() -> None:
    picture = open_picture(memoryview(file(syntax=RLE, pixels=item(b"") + item(b"ab") + item(b"cd"))))
    assert [bytes(f) for f in fragments(picture)] == [b"abcd"]


BEGINNINGS = [
    b"\xff\xd8\xff\xe0",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    struct.pack("<16I", 1, 64, *[0] * 14),
]


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("begins", BEGINNINGS)
def test_a_picture_more_than_there_are_frames_is_seen_by_nobody(begins: bytes, frames: int) -> None:
    table = item(struct.pack("<2I", 0, 8 + len(begins))) if frames == 2 else item(b"")
    made = file(syntax=RLE, frames=frames, pixels=table + item(begins) * frames + item(begins))
    with pytest.raises(Unscreenable, match=r"pixels\.fragments"):
        fragments(open_picture(memoryview(made)))


PARTS = item(b"ab") + item(b"cd") + item(b"ef")


def test_the_basic_offset_table() -> None:
    table = item(struct.pack("<2I", 0, 20))
    picture = open_picture(memoryview(file(syntax=RLE, frames=2, pixels=table + PARTS)))
    assert [bytes(f) for f in fragments(picture)] == [b"abcd", b"ef"]


def test_the_extended_offset_table() -> None:
    extended = (0x7FE00001, "OV", struct.pack("<2Q", 0, 10))
    picture = open_picture(memoryview(file(extended, syntax=RLE, frames=2, pixels=item(b"") + PARTS)))
    assert [bytes(f) for f in fragments(picture)] == [b"ab", b"cdef"]


@pytest.mark.parametrize(
    "table", [b"", struct.pack("<2I", 0, 7), struct.pack("<2I", 20, 0), struct.pack("<3I", 0, 10, 20)]
)
def test_offsets_that_lead_nowhere(table: bytes) -> None:
    picture = open_picture(memoryview(file(syntax=RLE, frames=2, pixels=item(table) + PARTS)))
    with pytest.raises(Unscreenable, match=r"pixels\.fragments"):
        fragments(picture)


def test_undefined_lengths_before_the_pixels() -> None:
    undefined = (
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item(b"")[:4] + struct.pack("<I", 0xFFFFFFFF)
    )
    undefined += struct.pack("<HH2sH", 0x0008, 0x0100, b"SH", 2) + b"ab"
    undefined += struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    plain = file((0x00081140, "SQ", ()))
    made = plain.replace(struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0), undefined)
    assert made != plain
    assert open_picture(memoryview(made)).shape.rows == 8
    assert numbers(8) in made
