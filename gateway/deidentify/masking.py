"""Blanks rectangles in native pixels, byte for byte, and writes the header's few elements that change with the pixels.

Outside the rectangles no byte changes. Inside, every sample is the darkest there is: 0, or what is shown as black. Standard:
PS3.15 E.3.1 (Clean Pixel Data Option: Burned In Annotation becomes NO), PS3.3 C.7.6.3, PS3.5 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from gateway.deidentify.encoding import Codec
from gateway.deidentify.frames import BURNED_IN, LOSSY, PALETTES, PIXELS, PREAMBLE, SYNTAX, Picture, Shape
from gateway.model import Buffer

NO: Final = b"NO"
NAMED: Final[Mapping[int, bytes]] = {
    0x00280004: b"CS", 0x00280006: b"US", 0x00280100: b"US", 0x00280101: b"US", 0x00280102: b"US", BURNED_IN: b"CS",
    LOSSY: b"CS",
}  # fmt: skip
"""The elements that may be written here, and their VRs."""


class Rectangle(NamedTuple):
    """Pixels x0 <= x < x1, y0 <= y < y1 of every frame."""

    x0: int
    y0: int
    x1: int
    y1: int

    def within(self, shape: Shape) -> Rectangle:
        """Cut at the frame's edges; grown to whole pairs where two pixels share their colour."""
        x0, x1 = max(0, self.x0), min(shape.columns, self.x1)
        if shape.photometric.endswith("422"):
            x0, x1 = x0 // 2 * 2, min(shape.columns, x1 + (x1 & 1))
        return Rectangle(x0, max(0, self.y0), x1, min(shape.rows, self.y1))

    @property
    def area(self) -> int:
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)


def background(picture: Picture) -> tuple[int, ...]:
    """One number per sample: what black is. Of palettes, the darkest entry."""
    shape = picture.shape
    if shape.photometric == "MONOCHROME1":
        return ((1 << shape.stored - 1) - 1 if shape.signed else (1 << shape.stored) - 1,)
    if shape.photometric == "PALETTE COLOR":
        return (_darkest(picture),)
    if shape.photometric in ("YBR_FULL", "YBR_FULL_422"):
        half = 1 << shape.stored - 1
        return (0, half, half)
    if shape.samples == 1 and shape.signed:
        return (-(1 << shape.stored - 1),)
    return (0,) * shape.samples


def _darkest(picture: Picture) -> int:
    """The index of the palette's darkest entry; 0 where its tables are not plain lists."""
    tables = [picture.values.get(tag, b"") for tag in PALETTES]
    size = min(map(len, tables)) // 2 * 2
    if not size:
        return 0
    order = picture.codec.order
    channels = [struct.unpack(f"{order}{size // 2}H", table[:size]) for table in tables]
    sums = [sum(entry) for entry in zip(*channels, strict=True)]
    return min(sums.index(min(sums)), (1 << picture.shape.stored) - 1)


class Blank(NamedTuple):
    """A pixel of background, encoded: `samples`, each as the frame has it; `pair`: two pixels that share their colour."""

    samples: tuple[bytes, ...]
    pair: bytes


def blank(frame: bytearray | memoryview, rectangles: Iterable[Rectangle], shape: Shape, black: Blank) -> None:
    """Overwrites the rectangles in one native frame of 8, 16 or 32 bits."""
    for rectangle in rectangles:
        cut = rectangle.within(shape)
        if cut.area:
            for start, run in _runs(cut, shape, black):
                frame[start : start + len(run)] = run


def encoded(black: tuple[int, ...], shape: Shape, order: str) -> Blank:
    """`black`: as `background` gives it. `order`: "<" or ">"."""
    size = shape.bits // 8
    mask = (1 << shape.bits) - 1  # signed values carry their sign in the bits above the stored ones
    byteorder: Literal["little", "big"] = "little" if order == "<" else "big"
    samples = tuple((v & mask).to_bytes(size, byteorder) for v in black)
    return Blank(samples, samples[0] * 2 + samples[-2] + samples[-1] if len(samples) == 3 else b"")


def _runs(cut: Rectangle, shape: Shape, black: Blank) -> Iterator[tuple[int, bytes]]:
    """Where bytes are overwritten, and with what; whole rows at once where the rectangle is as wide as the frame."""
    size, width = shape.bits // 8, cut.x1 - cut.x0
    whole = width == shape.columns
    rows, count = (1, width * (cut.y1 - cut.y0)) if whole else (cut.y1 - cut.y0, width)
    if shape.photometric.endswith("422"):
        planes, step, run = [0], 2 * size, [black.pair * (count // 2)]
    elif shape.samples > 1 and shape.planar:
        planes = [number * shape.pixels * size for number in range(shape.samples)]
        step, run = size, [sample * count for sample in black.samples]
    else:
        planes, step, run = [0], size * shape.samples, [b"".join(black.samples) * count]
    for plane, bytes_ in zip(planes, run, strict=True):
        for y in range(cut.y0, cut.y0 + rows):
            yield plane + (y * shape.columns + cut.x0) * step, bytes_


def header(
    picture: Picture, changes: Mapping[int, bytes | None], syntax: str = ""
) -> tuple[list[Buffer], list[Buffer]]:
    """The file before its pixel data's element, and behind it. `changes`: tag -> raw value, None: the element goes.

    `syntax`: the new transfer syntax, "" to leave it. All else stays byte for byte. A deflated file's header is written plain.
    """
    codec, data = picture.codec, picture.data
    wanted = {BURNED_IN: NO, **changes}
    before: list[Buffer] = [with_syntax(picture.head, syntax or picture.syntax)]
    after: list[Buffer] = []
    pending = sorted(tag for tag, value in wanted.items() if value is not None)
    for place in picture.places:
        out = before if place.tag <= PIXELS else after
        while pending and pending[0] <= place.tag:
            out.append(_element(codec, pending.pop(0), wanted))
        if place.tag not in wanted and place.tag != PIXELS:
            out.append(data[place.start : place.end])
    return _joined(before), _joined(after)


def _element(codec: Codec, tag: int, wanted: Mapping[int, bytes | None]) -> bytes:
    value = wanted[tag]
    assert value is not None
    return codec.encode(tag, NAMED[tag], value)


def _joined(parts: list[Buffer]) -> list[Buffer]:
    return [b"".join(parts)] if parts else []


def with_syntax(head: Buffer, syntax: str) -> bytes:
    """Preamble and meta information with another transfer syntax; the group's length is counted anew."""
    codec, pos, body = Codec(True, "<", {}), PREAMBLE, b""
    while pos < len(head):
        found = codec.header(memoryview(head), pos)
        end = found.value + found.length
        if found.tag == SYNTAX:
            body += codec.encode(SYNTAX, b"UI", syntax.encode("ascii"))
        elif found.tag & 0xFFFF:
            body += head[pos:end]
        pos = end
    return bytes(head[:PREAMBLE]) + codec.encode(0x00020000, b"UL", struct.pack("<I", len(body))) + body


def number(value: int, codec: Codec) -> bytes:
    """A US value."""
    return struct.pack(codec.order + "H", value)
