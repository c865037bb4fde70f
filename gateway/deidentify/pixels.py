"""Where pixel data ends: it is passed through as a view of the input and never copied (PS3.5 A.4, PS3.3 C.7.6.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.deidentify.encoding import ITEM, ITEM_END, PIXEL_TAGS, SEQUENCE_END, UNDEFINED, Codec, Header, Malformed
from gateway.model import Buffer

WORD = {order: struct.Struct(order + "H") for order in "<>"}
PIXEL_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OV", b"UN"))
"""What pixel data may come as; text in its place is no pixel data."""
_ITEM_HEAD = 8
SEARCHED = 1 << 14
"""Bytes of native pixel data that is searched for the patient's values although it is an image."""
GUESSED_FIRST, GUESSED_MOST = 1 << 14, 1 << 24
"""Bytes that are searched for pixel data before its place is found the slow way."""
TRIES = 64
"""Of what looks like pixel data and is none: each may take as long as there are bytes behind it."""
SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, BITS = (
    0x00280002,
    0x00280004,
    0x00280008,
    0x00280010,
    0x00280011,
    0x00280100,
)
STORED, HIGH = 0x00280101, 0x00280102
GEOMETRY = frozenset((SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, BITS, STORED, HIGH))
"""What the size of native pixel data follows from (PS3.5 8.1.1)."""
OVERLAYS = frozenset(0x60000102 | group << 17 for group in range(16))
"""Overlay Bit Position of each overlay group: not 0 where the overlay lies in unused bits of the pixels (PS3.3 C.9.2, retired)."""


class Cut(NamedTuple):
    """Pixel data taken out of the bytes. `at`: where its value began; the walk takes it for pixel data nowhere else."""

    at: int
    value: memoryview


def pixel_end(data: Buffer, pos: int, length: int, codec: Codec) -> int:
    """`pos`: where the value begins. -> where the next element begins. Raises Malformed, struct.error."""
    if length == UNDEFINED:
        return fragments_end(data, pos, codec)
    if length & 1 or pos + length > len(data):
        raise Malformed
    return pos + length


def fragments_end(data: Buffer, pos: int, codec: Codec) -> int:
    """The end of encapsulated pixel data: items of explicit length, then the sequence delimiter (PS3.5 A.4)."""
    size = len(data)
    while True:
        group, element, length = codec.long.unpack_from(data, pos)
        pos += _ITEM_HEAD
        tag = group << 16 | element
        if tag == SEQUENCE_END and length == 0:
            return pos
        if tag != ITEM or length == UNDEFINED or pos + length > size:
            raise Malformed
        pos += length


def native_image(value: memoryview, seen: Mapping[int, bytes], codec: Codec) -> memoryview:
    """What of native pixel data stays: the image, without overlays in its unused bits. `seen`: raw values of `GEOMETRY`.

    Raises Malformed.
    """
    return without_overlays(value[: image_size(seen, len(value), codec) or len(value)], seen, codec)


def unproven(parts: Sequence[Buffer], seen: Mapping[int, bytes], codec: Codec) -> list[tuple[int, memoryview]]:
    """Tag and value of native pixel data that has to be searched: a broken file may have elements among its pixels.

    That is where one cannot know it for an image of just this size, or where it is so short that a search costs nothing.
    """
    views = [(codec.header(bytes(head), 0), value) for head, value in pairwise(parts) if isinstance(value, memoryview)]
    native = [(head.tag, value) for head, value in views if head.length != UNDEFINED]
    return [(t, v) for t, v in native if len(v) <= SEARCHED or image_size(seen, len(v), codec) != len(v)]


def image_size(seen: Mapping[int, bytes], length: int, codec: Codec) -> int:
    """How many bytes of native pixel data are image, its padding included; what is behind them could be anything.

    `seen`: raw values of `GEOMETRY`. -> 0 where these do not tell, or tell of more than there is.
    """
    word = WORD[codec.order]
    try:
        rows, columns, bits = (word.unpack(seen.get(tag, b""))[0] for tag in (ROWS, COLUMNS, BITS))
        samples = word.unpack(seen.get(SAMPLES, word.pack(1)))[0]
        frames = int(seen.get(FRAMES, b"").strip(b" \0") or 1)
    except (struct.error, ValueError):
        return 0
    size = (rows * columns * samples * bits * frames + 7) // 8
    if b"422" in seen.get(PHOTOMETRIC, b"") and length < size:  # some senders write it out all the same
        size = size * 2 // 3  # two pixels share their colour (PS3.3 C.7.6.3.1.2)
    size += size & 1
    return size if 0 < size <= length else 0


def has_overlays(seen: Mapping[int, bytes]) -> bool:
    return not OVERLAYS.isdisjoint(seen) and any(seen.get(tag, b"").strip(b"\0") for tag in OVERLAYS)


def without_overlays(value: memoryview, seen: Mapping[int, bytes], codec: Codec) -> memoryview:
    """Native pixels without overlays in their unused bits: the same view where there are none, else one of a mended copy."""
    if not has_overlays(seen):
        return value
    word = WORD[codec.order]
    allocated, stored, high = (word.unpack(seen.get(tag, b""))[0] for tag in (BITS, STORED, HIGH))
    if allocated not in (8, 16) or not 0 < stored <= high + 1 <= allocated:
        raise Malformed
    mask = ((1 << stored) - 1) << (high + 1 - stored)
    mended, width = bytearray(value), allocated // 8
    for place in range(width):
        shift = 8 * (place if codec.order == "<" else width - 1 - place)
        kept = bytes(byte & mask >> shift & 0xFF for byte in range(256))
        mended[place::width] = mended[place::width].translate(kept)
    return memoryview(mended)


def pixel_spans(data: bytes, codec: Codec) -> list[tuple[int, int]]:
    """Where the values of pixel data are likely to be, found by their header's bytes alone; `walker.spans` are the true ones."""
    return list(_likely(data, codec))


def _likely(data: bytes, codec: Codec) -> Iterator[tuple[int, int]]:
    group, pos, left = codec.key(0x7FE00010, b"")[:2], 0, TRIES
    while left and (pos := data.find(group, pos)) >= 0:
        head = _looks_like_pixels(data, pos, codec)
        end = _end_of(data, head, codec) if head else 0
        if head and end:
            yield head.value, end
        elif head:
            left -= 1
        pos = end or pos + 1


def _looks_like_pixels(data: bytes | memoryview, pos: int, codec: Codec) -> Header | None:
    try:
        head = codec.header(data, pos)
    except (Malformed, struct.error):
        return None
    return head if head.tag in PIXEL_TAGS and head.vr in PIXEL_VRS else None


def _end_of(data: bytes | memoryview, head: Header, codec: Codec) -> int:
    """0 where it is no pixel data after all."""
    try:
        return pixel_end(data, head.value, head.length, codec)
    except (Malformed, struct.error):
        return 0


def is_encapsulated(data: Buffer, codec: Codec) -> bool:
    """Whether a value is one whole run of fragments; used to check what is passed through unread."""
    try:
        return fragments_end(data, 0, codec) == len(data)
    except (Malformed, struct.error):
        return False


def guess(view: memoryview, codec: Codec) -> tuple[bytes, Cut] | None:
    """As `splice`, found by the header's bytes: the first value of pixel data that reaches to the very end of `view`.

    It is as good as always the top level's. Whether it is, only the walk can tell.
    """
    size, group, left = GUESSED_FIRST, codec.key(0x7FE00010, b"")[:2], TRIES
    while size <= GUESSED_MOST and left:
        start = bytes(view[:size])
        pos = start.find(group)
        while pos >= 0 and left:
            head = _looks_like_pixels(view, pos, codec)
            if head and _end_of(view, head, codec) == len(view):
                return bytes(view[: head.value]), Cut(head.value, view[head.value :])
            left -= head is not None
            pos = start.find(group, pos + 1)
        size = size * 8 if size < len(view) else GUESSED_MOST + 1
    return None


def splice(view: memoryview, codec: Codec) -> tuple[bytes, Cut | None]:
    """For input that is not bytes: a copy of all but the first top-level pixel data's value, and that value.

    Nothing is judged here: what cannot be skimmed is copied whole, and the walk says what is wrong with it.
    """
    try:
        return _spliced(view, codec)
    except (Malformed, struct.error):
        return bytes(view), None


def _spliced(view: memoryview, codec: Codec) -> tuple[bytes, Cut | None]:
    """A skim over the top level; undefined lengths are stepped into, delimiters over. Raises Malformed, struct.error."""
    pos, inside = 0, [codec]  # the encoding of each open level; what UN holds is implicit (PS3.5 6.2.2)
    while pos < len(view):
        head = inside[-1].header(view, pos)
        pos = head.value
        if head.tag in PIXEL_TAGS and len(inside) == 1:
            end = pixel_end(view, pos, head.length, codec)
            return b"".join((view[:pos], view[end:])), Cut(pos, view[pos:end])
        if head.tag in (ITEM_END, SEQUENCE_END):
            inside.pop()
            if not inside:
                raise Malformed
        elif head.length == UNDEFINED:
            inside.append(Codec(False, "<", codec.vrs) if head.vr == b"UN" and head.tag != ITEM else inside[-1])
        else:
            pos += head.length
    return bytes(view), None
