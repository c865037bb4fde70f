"""Pixel data for the corpus: patterns, pictures with text burnt in, overlays in unused bits, JPEG with words between the lines."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.deidentify.writer import Element

PIXEL_DATA = 0x7FE00010
JPEG_SIDE = 16
WIDE, HIGH, SCALE = 512, 384, 2
"""Size of a picture with text, and of the text's dots."""


@dataclass(frozen=True)
class Shape:
    """As (0028,xxxx) says."""

    rows: int
    columns: int
    samples: int
    bits: int
    frames: int

    @property
    def size(self) -> int:
        return self.rows * self.columns * self.samples * self.bits // 8 * self.frames


def shape_of(values: Mapping[int, str]) -> Shape | None:
    """`values`: of an object's elements, by tag, as written in the script; None for one without pixels."""
    if 0x00280100 not in values:
        return None
    rows, columns, samples, bits = (int(values[tag]) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100))
    return Shape(rows, columns, samples, bits, int(values.get(0x00280008, "1")))


def native(shape: Shape, order: str, *, high: int = 0) -> Element:
    """A pattern of twelve bits at the most. `high`: bits to put over it, of each second pixel."""
    count = shape.rows * shape.columns * shape.samples * shape.frames
    if shape.bits == 8:
        return Element(PIXEL_DATA, "OB", bytes(n * 7 % 251 for n in range(count)))
    words = [n * 37 % 4096 | (high if n & 1 else 0) for n in range(count)]
    return Element(PIXEL_DATA, "OW", struct.pack(f"{order}{count}H", *words))


def jpeg(frames: int, words: Sequence[str]) -> tuple[bytes, bytes]:
    """-> (the fragments' bytes as written, the same with the words blanked out). Grey, 16 x 16; a comment and an EXIF segment."""
    dirty: list[bytes] = []
    clean: list[bytes] = []
    for number in range(frames):
        comment = " ".join(words).encode("utf-8")
        exif = b"Exif\0\0MM\0*" + comment + b"%d" % number
        for out, texts in ((dirty, (comment, exif)), (clean, (bytes(len(comment)), bytes(len(exif))))):
            picture = _jpeg_file(*texts)
            out.append(picture + b"\0" * (len(picture) & 1))
    return _fragments(dirty), b"".join(clean)


def _fragments(pictures: Sequence[bytes]) -> bytes:
    table = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(picture)) + picture for picture in pictures)
    return table + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _jpeg_file(comment: bytes, exif: bytes) -> bytes:
    """A whole baseline JPEG (ITU-T T.81 Annex B): four blocks without a difference, which is grey."""
    frame = struct.pack(">BHHBBBB", 8, JPEG_SIDE, JPEG_SIDE, 1, 1, 0x11, 0)
    one_code = b"\1" + bytes(15) + b"\0"
    return b"".join((
        b"\xff\xd8",
        _segment(0xE1, exif),
        _segment(0xFE, comment),
        _segment(0xDB, b"\0" + b"\1" * 64),
        _segment(0xC0, frame),
        _segment(0xC4, b"\0" + one_code),
        _segment(0xC4, b"\x10" + one_code),
        _segment(0xDA, b"\1\1\0\0\x3f\0"),
        b"\0",
        b"\xff\xd9",
    ))  # fmt: skip


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def captioned(text: str, samples: int, order: str = "<") -> bytes:
    """One frame, 384 x 512: `text` white on black at the top, a grey round below."""
    canvas = bytearray(WIDE * HIGH)
    for line in range(60, HIGH - 20):
        half = int((1 - ((line - 212) / 152) ** 2) ** 0.5 * 150)
        canvas[line * WIDE + 256 - half : line * WIDE + 256 + half] = bytes((60 + line // 6,)) * (2 * half)
    for place, letter in enumerate(text.upper()[: (WIDE - 32) // (6 * SCALE)]):
        for row, bits in enumerate(_LETTERS.get(letter, _LETTERS["?"])):
            for column in range(5):
                if bits >> (4 - column) & 1:
                    _dot(canvas, (place * 6 + column) * SCALE + 16, row * SCALE + 16)
    return bytes(value for value in canvas for _ in range(samples)) if samples > 1 else bytes(canvas)


def _dot(canvas: bytearray, x: int, y: int) -> None:
    for line in range(y, y + SCALE):
        canvas[line * WIDE + x : line * WIDE + x + SCALE] = b"\xff" * SCALE


_ROWS = (
    "A0E.11.11.1F.11.11.11 B1E.11.11.1E.11.11.1E C0E.11.10.10.10.11.0E D1E.11.11.11.11.11.1E E1F.10.10.1E.10.10.1F "
    "F1F.10.10.1E.10.10.10 G0E.11.10.17.11.11.0F H11.11.11.1F.11.11.11 I0E.04.04.04.04.04.0E J07.02.02.02.02.12.0C "
    "K11.12.14.18.14.12.11 L10.10.10.10.10.10.1F M11.1B.15.15.11.11.11 N11.11.19.15.13.11.11 O0E.11.11.11.11.11.0E "
    "P1E.11.11.1E.10.10.10 Q0E.11.11.11.15.12.0D R1E.11.11.1E.14.12.11 S0F.10.10.0E.01.01.1E T1F.04.04.04.04.04.04 "
    "U11.11.11.11.11.11.0E V11.11.11.11.11.0A.04 W11.11.11.15.15.15.0A X11.11.0A.04.0A.11.11 Y11.11.11.0A.04.04.04 "
    "Z1F.01.02.04.08.10.1F 00E.11.13.15.19.11.0E 104.0C.04.04.04.04.0E 20E.11.01.02.04.08.1F 31F.02.04.02.01.11.0E "
    "402.06.0A.12.1F.02.02 51F.10.1E.01.01.11.0E 606.08.10.1E.11.11.0E 71F.01.02.04.08.08.08 80E.11.11.0E.11.11.0E "
    "90E.11.11.0F.01.02.0C -00.00.00.1F.00.00.00 ?0E.11.01.02.04.00.04"
)
_LETTERS = {entry[0]: [int(row, 16) for row in entry[1:].split(".")] for entry in _ROWS.split()} | {" ": [0] * 7}
