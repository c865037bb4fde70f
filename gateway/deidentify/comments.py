"""Words inside compressed frames: comments and application segments of JPEG and JPEG-LS, comments of JPEG 2000, boxes of files
around JPEG 2000 and JPEG XL, and what stands behind the end of a picture, made blank.

The length of everything stays, so nothing else moves: only its payload becomes zeros. What decides about colours and about the
picture is left alone (JFIF, Adobe and JPEG-LS segments; ISO/IEC 10918-1 B.1.1.3, 14495-1 C.1, 15444-1 A.4 and A.9.2; boxes: 15444-1
annex I, 18181-2 9.2). A picture in several fragments is looked at as a whole.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from gateway.deidentify.encoding import ITEM, Codec

JPEG, JPEG_2000, JPEG_XL = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xff\x0a"
BOXES = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n")
PICTURES = frozenset((b"jP  ", b"JXL ", b"ftyp", b"rreq", b"jp2h", b"jp2c", b"jxll", b"jxlc", b"jxlp", b"jxli"))
"""Boxes that decoders need. What a JPEG was made of, for who wants it back (jbrd), has its comments, too."""
COMMENT, COMMENT_2000 = 0xFE, 0x64
APPLICATION = range(0xE0, 0xF0)
TILE, DATA, END = 0x90, 0x93, 0xD9
NEEDED = {b"JFIF": 12, b"Adobe": 12, b"mrfx": 5, b"HDR": 1 << 16}
"""Beginnings of application segments that decoders need -> how many bytes of them; a JFIF thumbnail comes behind these."""
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
"""Of a segment, or of the end. Coded bytes of a scan have none of them (10918-1 B.1.1.5, 14495-1 A.1), so they are stepped over."""
END_2000 = re.compile(rb"(?<!\xff\x91\0\x04)(?<!\xff\x91\0\x04.)\xff\xd9", re.DOTALL)
"""Behind a tile-part without a length; a packet's number (SOP) may spell it, coded bytes do not (15444-1 A.4.2, A.8.1, B.10)."""
Fragments = Sequence[tuple[int, int]]
"""Where they begin and end."""
Spans = Iterator[tuple[int, int]]


def without_comments(value: memoryview, codec: Codec) -> memoryview:
    """`value`: whole encapsulated pixel data. The same view where there is nothing to blank, else one of a mended copy."""
    mended: bytearray | None = None
    for start, end in _spans(value, codec):
        mended = bytearray(value) if mended is None else mended
        mended[start:end] = bytes(end - start)
    return value if mended is None else memoryview(mended)


def _spans(value: memoryview, codec: Codec) -> Spans:
    """What to blank and is not blank, of every picture."""
    for parts in _pictures(value, codec):
        whole = value[slice(*parts[0])] if len(parts) == 1 else memoryview(b"".join(value[a:b] for a, b in parts))
        begins = list(accumulate((end - start for start, end in parts), initial=0))
        for start, end in _of_picture(whole, 0, len(whole)):
            if bytes(whole[start:end]).strip(b"\0"):
                yield from _placed(start, end, parts, begins)


def _placed(start: int, end: int, parts: Fragments, begins: Sequence[int]) -> Spans:
    """A span of a whole picture, as it lies in its fragments. `begins`: where in the picture each of them does, and its end."""
    at = bisect_right(begins, start) - 1
    while begins[at] < end:
        moved = parts[at][0] - begins[at]
        yield max(start, begins[at]) + moved, min(end, begins[at + 1]) + moved
        at += 1


def _pictures(value: memoryview, codec: Codec) -> Iterator[Fragments]:
    """Fragments of each picture, from one that begins it to the next that begins one; none where the first begins none: a video."""
    parts: list[tuple[int, int]] = []
    for number, (start, end) in enumerate(_items(value, codec)):
        beginning = bytes(value[start : min(start + 12, end)])
        begins = beginning.startswith((JPEG, JPEG_2000, *BOXES)) or (not parts and beginning.startswith(JPEG_XL))
        if begins and parts:
            yield parts
            parts = []
        if begins or parts:
            parts.append((start, end))
        elif number and beginning:  # the first item is the offset table
            return
    if parts:
        yield parts


def _items(value: memoryview, codec: Codec) -> Spans:
    pos = 0
    while pos + 8 <= len(value):
        group, element, length = codec.long.unpack_from(value, pos)
        if group << 16 | element != ITEM:
            return
        start, pos = pos + 8, pos + 8 + length
        yield start, min(pos, len(value))


def _of_picture(value: memoryview, pos: int, end: int) -> Spans:
    if value[pos : pos + 3] == JPEG:
        yield from _jpeg(value, pos + 2, end)
    elif value[pos : pos + 4] == JPEG_2000:
        yield from _jpeg_2000(value, pos + 2, end)
    elif value[pos : pos + 12] in BOXES:
        yield from _boxes(value, pos, end)


def _jpeg(value: memoryview, pos: int, end: int) -> Spans:
    """From the first marker behind the start of the image on."""
    while (found := MARKER.search(value, pos, end)) is not None:
        pos, marker = found.end(), value[found.end() - 1]
        if marker == END:
            yield pos, end  # another picture, too: no decoder shows it
            return
        if pos + 2 > end:
            return
        start, after = pos + 2, pos + max(2, int.from_bytes(value[pos : pos + 2], "big"))
        if marker in APPLICATION:
            beginning = bytes(value[start : start + 5])
            yield start + next((NEEDED[name] for name in NEEDED if beginning.startswith(name)), 0), min(after, end)
        elif marker == COMMENT:
            yield start, min(after, end)
        pos = after


def _jpeg_2000(value: memoryview, pos: int, end: int) -> Spans:
    """Main header and headers of tile-parts, whose lengths lead from one to the next."""
    next_tile = 0
    while pos + 4 <= end and value[pos] == 0xFF:
        marker = value[pos + 1]
        if marker == END:
            yield pos + 2, end
            return
        if marker == DATA:
            found = None if next_tile else END_2000.search(value, pos, end)
            if next_tile <= pos and found is None:
                return
            pos = next_tile if found is None else found.start()
            continue
        after = pos + 2 + max(2, int.from_bytes(value[pos + 2 : pos + 4], "big"))
        if marker == TILE and pos + 10 <= end:
            (size,) = struct.unpack_from(">I", value, pos + 6)
            next_tile = pos + size if size else 0
        elif marker == COMMENT_2000:
            yield pos + 4, min(after, end)
        pos = after


def _boxes(value: memoryview, pos: int, end: int) -> Spans:
    """A box's length, its type, its content; one whose type is blank is nobody's, and stepped over by all."""
    while pos + 8 <= end:
        size, kind, head = int.from_bytes(value[pos : pos + 4], "big"), bytes(value[pos + 4 : pos + 8]), 8
        if size == 1:
            size, head = int.from_bytes(value[pos + 8 : pos + 16], "big"), 16
        after = min(pos + size, end) if size else end
        if kind not in PICTURES:
            yield pos + 4, pos + 8
            yield pos + head, after
        elif kind == b"jp2c" and value[pos + head : pos + head + 4] == JPEG_2000:
            yield from _jpeg_2000(value, pos + head + 2, after)
        pos = max(after, pos + 8)
