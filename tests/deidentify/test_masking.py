"""Blanking, byte for byte: outside the rectangles nothing changes, inside everything is black; the header says so."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deidentify.frames import Shape, open_picture
from gateway.deidentify.masking import Rectangle, background, blank, encoded, header, with_syntax
from tests.deidentify.part10 import file, numbers

BASE = Shape(6, 8, 1, 1, 8, 8, "MONOCHROME2")
SHAPES = [
    BASE, replace(BASE, bits=16, stored=12), replace(BASE, bits=16, stored=12, signed=True),
    replace(BASE, bits=32, stored=32), replace(BASE, photometric="MONOCHROME1"),
    replace(BASE, bits=16, stored=12, signed=True, photometric="MONOCHROME1"),
    replace(BASE, samples=3, photometric="RGB"), replace(BASE, samples=3, photometric="RGB", planar=1),
    replace(BASE, samples=3, photometric="RGB", bits=16, stored=16, planar=1),
    replace(BASE, samples=3, photometric="YBR_FULL"), replace(BASE, samples=3, photometric="YBR_FULL_422"),
]  # fmt: skip
BLACK = [0, 0, -2048, 0, 255, 2047, (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 128, 128), (0, 128, 128)]
rectangles = st.lists(
    st.builds(lambda x, y, w, h: Rectangle(x, y, x + w, y + h), st.integers(0, 9), st.integers(0, 7), *[st.integers(1, 9)] * 2),
    max_size=3,
)  # fmt: skip


def picture_of(shape: Shape, *more: tuple[int, str, object]) -> bytes:
    return file(
        *more, rows=shape.rows, columns=shape.columns, samples=shape.samples, bits=shape.bits, stored=shape.stored,
        photometric=shape.photometric.encode(), signed=int(shape.signed), pixels=bytes(shape.frame_bytes),
        planar=shape.planar,
    )  # fmt: skip


def pixel_bytes(shape: Shape, x: int, y: int) -> set[int]:
    """Which bytes of a frame are this pixel's, told again from PS3.3 C.7.6.3.1."""
    size = shape.bits // 8
    if shape.photometric.endswith("422"):
        pair = (y * shape.columns + x // 2 * 2) * 2
        return {pair + x % 2, pair + 2, pair + 3}
    starts = [
        (
            plane * shape.pixels + y * shape.columns + x
            if shape.planar
            else (y * shape.columns + x) * shape.samples + plane
        )
        * size
        for plane in range(shape.samples)
    ]
    return {start + n for start in starts for n in range(size)}


@pytest.mark.parametrize(("shape", "black"), list(zip(SHAPES, BLACK, strict=True)))
def test_what_black_is(shape: Shape, black: int | tuple[int, ...]) -> None:
    told = black if isinstance(black, tuple) else (black,)
    assert background(open_picture(memoryview(picture_of(shape)))) == told


@pytest.mark.parametrize("shape", SHAPES)
@given(found=rectangles)
def test_lossless_outside_and_black_inside(shape: Shape, found: list[Rectangle]) -> None:
    black = encoded(background(open_picture(memoryview(picture_of(shape)))), shape, "<")
    before = (
        bytes(range(1, shape.frame_bytes + 1)) if shape.frame_bytes < 255 else b"\x5a\x5b" * (shape.frame_bytes // 2)
    )
    after = bytearray(before)
    blank(after, found, shape, black)
    cut = [r.within(shape) for r in found]
    inside = {(x, y) for r in cut for x in range(r.x0, r.x1) for y in range(r.y0, r.y1)}
    touched = {place for x, y in inside for place in pixel_bytes(shape, x, y)}
    assert len(after) == len(before)
    assert all(after[n] == before[n] for n in range(len(before)) if n not in touched)
    whole = bytearray(before)
    blank(whole, [Rectangle(0, 0, shape.columns, shape.rows)], shape, black)
    assert all(after[n] == whole[n] for n in touched)
    assert {(x, y) for r in found for x in range(r.x0, min(8, r.x1)) for y in range(r.y0, min(6, r.y1))} <= inside


def test_big_endian_black() -> None:
    assert encoded((2047,), replace(BASE, bits=16, stored=12, signed=True), ">").samples == (b"\x07\xff",)


def test_the_darkest_entry_of_a_palette() -> None:
    tables = [(tag, "OW", struct.pack("<4H", 900, 800, 5, 700)) for tag in (0x00281201, 0x00281202, 0x00281203)]
    shape = replace(BASE, photometric="PALETTE COLOR")
    assert background(open_picture(memoryview(picture_of(shape, *tables)))) == (2,)
    assert background(open_picture(memoryview(picture_of(shape)))) == (0,)


def test_the_header_changes_in_what_is_asked_only() -> None:
    made = picture_of(BASE, (0x00280106, "US", numbers(3)), (0x00280301, "CS", b"YES"), (0xFFFCFFFC, "OB", b"\0\0"))
    before, after = header(open_picture(memoryview(made)), {0x00280106: None})
    changed = b"".join(map(bytes, before))
    expected = made[: made.index(b"\xe0\x7f\x10\x00")].replace(b"CS\x04\0YES ", b"CS\x02\0NO")
    smallest = struct.pack("<HH2sH", 0x28, 0x106, b"US", 2) + numbers(3)
    assert changed == expected.replace(smallest, b"")
    assert b"".join(map(bytes, after)) == made[made.index(b"\xfc\xff\xfc\xff") :]


def test_burned_in_annotation_is_put_in_where_it_belongs() -> None:
    before, _ = header(open_picture(memoryview(picture_of(BASE, (0x00281050, "DS", b"40")))), {})
    changed = b"".join(map(bytes, before))
    assert (
        changed.index(b"\x28\0\x03\x01US")
        < changed.index(b"\x28\0\x01\x03CS\x02\0NO")
        < changed.index(b"\x28\0\x50\x10DS")
    )


def test_another_transfer_syntax() -> None:
    head = open_picture(memoryview(file(syntax="1.2.840.10008.1.2.4.50", pixels=b""))).head
    changed = with_syntax(head, "1.2.840.10008.1.2.1")
    assert b"1.2.840.10008.1.2.1\0" in changed
    assert b"4.50" not in changed
    assert struct.unpack_from("<I", changed, 140)[0] == len(changed) - 144
