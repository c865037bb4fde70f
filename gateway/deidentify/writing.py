"""The file to release: the one that came, its rectangles blanked in every frame, and the header's few elements that change.

| came as | goes as |
|---|---|
| native, deflated | native, byte for byte outside the rectangles |
| RLE, JPEG-LS lossless, JPEG 2000 lossless | the same, encoded again, each frame proved equal by decoding it |
| any other encapsulation | Explicit VR Little Endian with the samples that the decoder gave: no second loss |
| anything, nothing to blank | its pixel data untouched |

One frame is in memory at a time: the others are in the `Scratch`, header clean and pixels blanked.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

import numpy as np

from gateway.deidentify import codecs, masking
from gateway.deidentify.codecs import Frame, Pixels
from gateway.deidentify.encoding import EXPLICIT_LITTLE, UNDEFINED
from gateway.deidentify.fragments import fragments
from gateway.deidentify.frames import LENGTHS, LOSSY, OFFSETS, PIXELS, PLANAR, Picture, Unscreenable
from gateway.deidentify.masking import Rectangle
from gateway.deidentify.pixels import PHOTOMETRIC
from gateway.model import Buffer

LARGEST: Final = UNDEFINED - 1
"""Bytes of a native value: its length has 32 bits (PS3.5 7.1.2)."""
MOST_BITS: Final = 1 << 28
EXTREMES: Final = (0x00280106, 0x00280107, 0x00280108, 0x00280109)
"""Smallest and largest values, of image and series: no longer true where something was blanked."""
LOSSY_SYNTAXES: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81))


Changes: TypeAlias = Mapping[int, bytes | None]


class Scratch(Protocol):
    """Where bytes are written one after the other and then seen as one; nothing is written after `view`."""

    def write(self, data: Buffer) -> object: ...
    def view(self) -> memoryview: ...


MakeScratch: TypeAlias = Callable[[], Scratch]


class Reader:
    """The frames of one picture, decoded one at a time."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        if picture.native:
            self._fragments: Sequence[memoryview] = ()
        else:
            codecs.check_syntax(picture.syntax)
            self._fragments = fragments(picture)

    def __len__(self) -> int:
        return self.picture.shape.frames

    def frame(self, number: int) -> Frame:
        """Raises Unscreenable: `pixels.undecodable`, `pixels.dimensions`."""
        if self.picture.native:
            return codecs.native(self.picture, number)
        return codecs.decode(self._fragments[number], self.picture)


def blanked(frame: Frame, rectangles: Sequence[Rectangle], picture: Picture) -> Pixels:
    """A copy of the frame with the rectangles at the background's value."""
    told = replace(picture, shape=replace(picture.shape, photometric=frame.photometric))
    pixels = frame.pixels.copy()
    black = masking.background(told)
    for cut in (r.within(picture.shape) for r in rectangles):
        pixels[cut.y0 : cut.y1, cut.x0 : cut.x1] = black if pixels.ndim == 3 else black[0]
    return pixels


def release(reader: Reader, rectangles: Sequence[Rectangle], make: MakeScratch) -> tuple[Buffer, ...]:
    """The parts of the file to release. Raises Unscreenable."""
    picture = reader.picture
    if not rectangles:
        before, after = masking.header(picture, {})
        place = picture.pixels
        return (*before, picture.data[place.start : place.end], *after)
    changes: dict[int, bytes | None] = dict.fromkeys(EXTREMES)
    if picture.native:
        return _native(picture, rectangles, changes, make)
    changes |= {OFFSETS: None, LENGTHS: None}
    if picture.syntax in codecs.ENCODER:
        return _encoded(reader, rectangles, changes, make)
    return _decoded(reader, rectangles, changes, make)


def _native(
    picture: Picture, rectangles: Sequence[Rectangle], changes: Changes, make: MakeScratch
) -> tuple[Buffer, ...]:
    before, after = masking.header(picture, changes)
    place, shape = picture.pixels, picture.shape
    scratch = make()
    if shape.bits == 1:
        scratch.write(_bits(picture, rectangles))
    else:
        black = masking.encoded(masking.background(picture), shape, picture.codec.order)
        for number in range(shape.frames):
            frame = bytearray(picture.frame(number))
            masking.blank(frame, rectangles, shape, black)
            scratch.write(frame)
    pixels = scratch.view()
    padding = picture.data[place.value + len(pixels) : place.end]
    return (*before, picture.data[place.start : place.value], pixels, padding, *after)


def _bits(picture: Picture, rectangles: Sequence[Rectangle]) -> bytes:
    """All frames of 1-bit pixels: they begin in the middle of bytes, and are packed together."""
    shape = picture.shape
    if shape.pixels * shape.frames > MOST_BITS:
        raise Unscreenable("pixels.too-large")
    frames = [blanked(codecs.native(picture, n), rectangles, picture) for n in range(shape.frames)]
    return np.packbits(np.stack(frames).astype(np.uint8).ravel(), bitorder="little").tobytes()


def _encoded(
    reader: Reader, rectangles: Sequence[Rectangle], changes: Changes, make: MakeScratch
) -> tuple[Buffer, ...]:
    picture = reader.picture
    before, after = masking.header(picture, changes)
    scratch = make()
    scratch.write(picture.codec.encode_header(PIXELS, b"OB", UNDEFINED) + b"".join(codecs.item(b"")))
    for frame in _frames(reader):
        for part in codecs.item(codecs.encode(replace(frame, pixels=blanked(frame, rectangles, picture)), picture)):
            scratch.write(part)
    scratch.write(codecs.END)
    return (*before, scratch.view(), *after)


def _decoded(
    reader: Reader, rectangles: Sequence[Rectangle], changes: Changes, make: MakeScratch
) -> tuple[Buffer, ...]:
    picture, shape = reader.picture, reader.picture.shape
    size = shape.pixels * shape.samples * shape.bits // 8 * shape.frames
    if size > LARGEST:
        raise Unscreenable("pixels.too-large")
    scratch, photometric = make(), ""
    vr = b"OW" if shape.bits > 8 else b"OB"
    scratch.write(picture.codec.encode_header(PIXELS, vr, size + (size & 1)))
    for frame in _frames(reader):
        photometric = frame.photometric
        pixels = blanked(frame, rectangles, picture)
        scratch.write(pixels.astype(codecs.sample_type(shape, "<"), copy=False).tobytes())
    scratch.write(b"\0" * (size & 1))
    now = {**changes, PHOTOMETRIC: photometric.encode("ascii")}
    if shape.samples > 1:
        now[PLANAR] = struct.pack("<H", 0)
    if picture.syntax in LOSSY_SYNTAXES:
        now[LOSSY] = b"01"
    before, after = masking.header(picture, now, EXPLICIT_LITTLE)
    return (*before, scratch.view(), *after)


def _frames(reader: Reader) -> Iterator[Frame]:
    return (reader.frame(number) for number in range(len(reader)))
