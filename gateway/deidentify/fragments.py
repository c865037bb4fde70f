"""Which bytes of encapsulated pixel data are which frame (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.deidentify.comments import BOXES, JPEG, JPEG_2000
from gateway.deidentify.encoding import ITEM
from gateway.deidentify.frames import OFFSETS, Picture, Unscreenable

RLE_HEADER: Final = 64


def fragments(picture: Picture) -> list[memoryview]:
    """The encoded frames of encapsulated pixel data, each whole. Raises Unscreenable: `pixels.fragments`."""
    items = list(_items(picture))
    table, parts = items[0], items[1:]
    frames = picture.shape.frames
    if len(parts) == frames:
        return [part for _, part in parts]
    if frames == 1:
        return [_whole([part for _, part in parts])]
    starts = _starts(picture, bytes(table[1]))
    first = parts[0][0] if parts else 0
    groups: dict[int, list[memoryview]] = {start: [] for start in starts}
    if len(starts) != frames or not starts or starts != sorted(groups):
        raise Unscreenable("pixels.fragments")
    here = -1
    for start, part in parts:
        here = start - first if start - first in groups else here
        if here < 0:
            raise Unscreenable("pixels.fragments")
        groups[here].append(part)
    if not all(groups.values()):
        raise Unscreenable("pixels.fragments")
    return [_whole(group) for group in groups.values()]


def _whole(parts: Sequence[memoryview]) -> memoryview:
    """One frame. Raises Unscreenable where a part begins another picture, at which no decoder and so nobody would look."""
    if any(bytes(part[:12]).startswith((JPEG, JPEG_2000, *BOXES)) or _is_rle(part) for part in parts[1:]):
        raise Unscreenable("pixels.fragments")
    return memoryview(b"".join(parts))


def _is_rle(part: memoryview) -> bool:
    """A header of 16 numbers: how many segments, up to 15, and where the first one is, behind the header (PS3.5 G.5)."""
    return len(part) >= RLE_HEADER and part[1:8] == b"\0\0\0" + RLE_HEADER.to_bytes(4, "little") and 0 < part[0] < 16


def _items(picture: Picture) -> Iterator[tuple[int, memoryview]]:
    """Each item's start, and its bytes; the first one is the offset table."""
    pos, data, codec = picture.pixels.value, picture.data, picture.codec
    while True:
        head = codec.header(data, pos)
        if head.tag != ITEM:
            return
        yield pos, data[head.value : head.value + head.length]
        pos = head.value + head.length


def _starts(picture: Picture, table: bytes) -> list[int]:
    """Where frames begin, counted from the first fragment's item: by the basic or the extended offset table."""
    extended = picture.values.get(OFFSETS, b"")
    form, raw = ("Q", extended) if extended else ("I", table)
    size = struct.calcsize("<" + form)
    return [start for (start,) in struct.iter_unpack("<" + form, raw[: len(raw) // size * size])]
