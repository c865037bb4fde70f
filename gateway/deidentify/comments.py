"""Words inside compressed frames: comment and application segments of JPEG and JPEG-LS, comments of JPEG 2000, made blank.

The length of every segment stays, so nothing else moves: only its payload becomes zeros. What decides about colours and about the
picture is left alone (JFIF, Adobe and JPEG-LS segments; ISO/IEC 10918-1 B.1.1.3, 14495-1 C.1, 15444-1 A.9.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gateway.deidentify.encoding import ITEM, Codec

JPEG, JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
COMMENT, COMMENT_2000 = 0xFE, 0x64
APPLICATION = range(0xE0, 0xF0)
SCAN, TILE, END = 0xDA, 0x90, 0xD9
COLOUR = (b"JFIF\0", b"JFXX\0", b"Adobe", b"mrfx", b"HDR")
"""Beginnings of application segments that decoders need."""
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""


def without_comments(value: memoryview, codec: Codec) -> memoryview:
    """`value`: whole encapsulated pixel data. The same view where there is nothing to blank, else one of a mended copy."""
    spans = list(_spans(value, codec))
    if not spans:
        return value
    mended = bytearray(value)
    for start, end in spans:
        mended[start:end] = bytes(end - start)
    return memoryview(mended)


def _spans(value: memoryview, codec: Codec) -> Iterator[tuple[int, int]]:
    """Payloads to blank, of every fragment that begins a picture."""
    pos = 0
    while pos + 8 <= len(value):
        group, element, length = codec.long.unpack_from(value, pos)
        if group << 16 | element != ITEM:
            return
        pos += 8
        if value[pos : pos + 3] == JPEG:
            yield from _segments(value, pos + 2, pos + length, (COMMENT, SCAN))
        elif value[pos : pos + 4] == JPEG_2000:
            yield from _segments(value, pos + 2, pos + length, (COMMENT_2000, TILE))
        pos += length


def _segments(value: memoryview, pos: int, end: int, words: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """`words`: the marker of a comment, and that behind which the picture begins."""
    comment, stop = words
    while pos + 4 <= end and value[pos] == 0xFF:
        marker = value[pos + 1]
        if marker == 0xFF or marker in ALONE:
            pos += 1 if marker == 0xFF else 2
            continue
        if marker in (stop, END):
            return
        (length,) = struct.unpack_from(">H", value, pos + 2)
        start, after = pos + 4, min(pos + 2 + length, end)
        payload = bytes(value[start:after])
        named = marker == comment or (stop == SCAN and marker in APPLICATION and not payload.startswith(COLOUR))
        if named and payload.strip(b"\0"):
            yield start, after
        pos += 2 + max(length, 2)
