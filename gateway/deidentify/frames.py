"""A Part 10 file as the screening of pixels sees it: where its elements are, what kind of image, which bytes are which frame.

Nothing is decoded and nothing copied: offsets into the file, and views. Standard: PS3.5 8 and A.4, PS3.3 C.7.6.3, PS3.10 7.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.deidentify.encoding import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Codec,
    Malformed,
    codec_of,
    make_codecs,
)
from gateway.deidentify.pixels import BITS, COLUMNS, FRAMES, HIGH, PHOTOMETRIC, ROWS, SAMPLES, STORED, pixel_end

PREAMBLE: Final = 132
SYNTAX: Final = 0x00020010
SOP_CLASS, IMAGE_TYPE, MODALITY, CONVERSION = 0x00080016, 0x00080008, 0x00080060, 0x00080064
MANUFACTURER, MODEL, DESCRIPTION = 0x00080070, 0x00081090, 0x0008103E
REGIONS: Final = 0x00186011
PLANAR, SIGNED, BURNED_IN, LOSSY = 0x00280006, 0x00280103, 0x00280301, 0x00282110
PALETTES: Final = (0x00281201, 0x00281202, 0x00281203)
DESCRIPTOR: Final = 0x00281101
PIXELS, FLOATS, OFFSETS, LENGTHS = 0x7FE00010, (0x7FE00008, 0x7FE00009), 0x7FE00001, 0x7FE00002
WANTED: Final = frozenset({
    SOP_CLASS, IMAGE_TYPE, MODALITY, CONVERSION, MANUFACTURER, MODEL, DESCRIPTION, REGIONS, SAMPLES, PHOTOMETRIC, PLANAR,
    FRAMES, ROWS, COLUMNS, BITS, STORED, HIGH, SIGNED, BURNED_IN, LOSSY, OFFSETS, DESCRIPTOR, *PALETTES,
})  # fmt: skip
NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG})
COLOURS: Final = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"),
}  # fmt: skip
"""Samples per pixel -> photometric interpretations that are understood."""
MAX_PIXELS: Final = 1 << 26
"""Of one frame, 8192 x 8192: twice a mammogram. Larger ones would fill the memory while they are looked at."""
MAX_INFLATED: Final = 1 << 29
"""Bytes of a deflated data set; beyond that nobody looks at it."""


class Unscreenable(Exception):
    """This object's pixels cannot be looked at. `reason`: a slug, `pixels.*`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Place(NamedTuple):
    """One top-level element: `start` to `end` in the data set, its value from `value` on."""

    tag: int
    vr: bytes
    start: int
    value: int
    end: int
    undefined: bool = False


@dataclass(frozen=True)
class Shape:
    """What one frame is made of. `photometric`, `planar`, `signed`, `bits`, `stored`: PS3.3 C.7.6.3."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits: int
    stored: int
    photometric: str
    planar: int = 0
    signed: bool = False

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def frame_bytes(self) -> int:
        """Of one native frame; of 1-bit pixels, rounded up."""
        if self.photometric.endswith("422"):
            return self.pixels * 2 * self.bits // 8
        return (self.pixels * self.samples * self.bits + 7) // 8


@dataclass(frozen=True)
class Picture:
    """A file taken apart. `head`: preamble and meta; `data`: the data set, inflated; `syntax`: how `data` is encoded now."""

    head: memoryview = field(repr=False)
    data: memoryview = field(repr=False)
    syntax: str
    codec: Codec = field(repr=False)
    places: tuple[Place, ...] = field(repr=False)
    values: Mapping[int, bytes] = field(repr=False)
    shape: Shape
    pixels: Place = field(repr=False)

    @property
    def native(self) -> bool:
        return self.syntax in NATIVE

    def text(self, tag: int) -> str:
        """A value as upper-case ASCII; "" when absent."""
        return self.values.get(tag, b"").decode("ascii", "replace").strip(" \0").upper()

    def frame(self, number: int) -> memoryview:
        """The bytes of a native frame."""
        size = self.shape.frame_bytes
        start = self.pixels.value + number * size
        return self.data[start : start + size]


def open_picture(file: memoryview) -> Picture:
    """Raises Unscreenable: `pixels.malformed`, `.too-large`, `.syntax`, `.none`, `.unsupported`, `.dimensions`."""
    try:
        return _opened(file)
    except (Malformed, struct.error, UnicodeDecodeError, ValueError, zlib.error):
        raise Unscreenable("pixels.malformed") from None


def _opened(file: memoryview) -> Picture:
    if bytes(file[128:PREAMBLE]) != b"DICM":
        raise Malformed
    body, syntax = _meta(file)
    data = file[body:]
    if syntax in DEFLATED:
        data, syntax = _inflated(data), EXPLICIT_LITTLE
    codec = codec_of(make_codecs({}), syntax)
    if codec is None:
        raise Unscreenable("pixels.syntax")
    places = tuple(_places(data, codec))
    values = {p.tag: bytes(data[p.value : p.end]) for p in places if p.tag in WANTED}
    if any(p.tag in FLOATS for p in places):
        raise Unscreenable("pixels.unsupported")
    found = [p for p in places if p.tag == PIXELS]
    if len(found) != 1:
        raise Unscreenable("pixels.none")
    picture = Picture(file[:body], data, syntax, codec, places, values, _shape(values, codec), found[0])
    if picture.native is found[0].undefined:
        raise Malformed
    if picture.native:
        _check_size(picture)
    return picture


def _meta(file: memoryview) -> tuple[int, str]:
    """Where the data set begins, and its transfer syntax."""
    codec, pos, syntax = Codec(True, "<", {}), PREAMBLE, ""
    while pos < len(file) and struct.unpack_from("<H", file, pos)[0] == 2:
        head = codec.header(file, pos)
        pos = head.value + head.length
        if head.tag == SYNTAX:
            syntax = bytes(file[head.value : pos]).decode("ascii").strip(" \0")
    if pos > len(file) or not syntax:
        raise Malformed
    return pos, syntax


def _inflated(data: memoryview) -> memoryview:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(data, MAX_INFLATED)
    if not inflater.eof and inflater.unconsumed_tail:
        raise Unscreenable("pixels.too-large")
    return memoryview(plain)


def _places(data: memoryview, codec: Codec) -> Iterator[Place]:
    """The top level, in the order of the file."""
    pos, last = 0, -1
    while pos < len(data):
        head = codec.header(data, pos)
        if head.tag <= last:
            raise Malformed
        if head.length != UNDEFINED:
            end = head.value + head.length
        elif head.tag == PIXELS:
            end = pixel_end(data, head.value, head.length, codec)
        else:
            end = _close(data, head.value, codec, head.vr)
        if end > len(data):
            raise Malformed
        yield Place(head.tag, head.vr, pos, head.value, end, head.length == UNDEFINED)
        pos, last = end, head.tag


def _close(data: memoryview, pos: int, codec: Codec, vr: bytes) -> int:
    """Where a sequence of undefined length ends; what UN holds is implicit (PS3.5 6.2.2)."""
    plain = Codec(False, codec.order, {})
    inside = [plain if vr == b"UN" else codec]
    while inside:
        head = inside[-1].header(data, pos)
        pos = head.value
        if head.tag in (ITEM_END, SEQUENCE_END):
            inside.pop()
        elif head.length != UNDEFINED:
            pos += head.length
        else:
            inside.append(plain if head.vr == b"UN" and head.tag != ITEM else inside[-1])
    return pos


def _shape(values: Mapping[int, bytes], codec: Codec) -> Shape:
    def number(tag: int, default: int | None = None) -> int:
        raw = values.get(tag, b"")
        if not raw and default is not None:
            return default
        found: int = struct.unpack(codec.order + "H", raw)[0]
        return found

    shape = Shape(
        rows=number(ROWS),
        columns=number(COLUMNS),
        frames=int(values.get(FRAMES, b"").strip(b" \0") or 1),
        samples=number(SAMPLES, 1),
        bits=number(BITS),
        stored=number(STORED),
        photometric=values.get(PHOTOMETRIC, b"").decode("ascii").strip(" \0"),
        planar=number(PLANAR, 0),
        signed=number(SIGNED, 0) == 1,
    )
    if not (shape.rows and shape.columns and shape.frames > 0 and shape.samples in COLOURS):
        raise Unscreenable("pixels.dimensions")
    if (
        shape.bits not in (1, 8, 16, 32)
        or not 0 < shape.stored <= shape.bits
        or (shape.bits == 1 and shape.samples > 1)
    ):
        raise Unscreenable("pixels.unsupported")
    odd = shape.photometric.endswith("422") and shape.columns & 1
    if odd or number(HIGH, shape.stored - 1) != shape.stored - 1 or shape.photometric not in COLOURS[shape.samples]:
        raise Unscreenable("pixels.unsupported")
    if shape.pixels > MAX_PIXELS:
        raise Unscreenable("pixels.too-large")
    return shape


def _check_size(picture: Picture) -> None:
    """Exactly the frames that the header tells of, and at most one byte of padding."""
    shape, has = picture.shape, picture.pixels.end - picture.pixels.value
    wants = (shape.pixels * shape.frames + 7) // 8 if shape.bits == 1 else shape.frame_bytes * shape.frames
    if has not in (wants, wants + (wants & 1)):
        raise Unscreenable("pixels.dimensions")
