"""The result as verification reads it: elements and where their values are, without a line of the walk's own reading.

Items and delimiters are stepped over, so that no nesting is kept and none is too deep; only where the encoding changes (UN, whose
items are Implicit VR Little Endian, PS3.5 6.2.2) is it noted until when. UN that is no sequence after all is a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from gateway.deidentify.encoding import Codec

UNDEFINED = 0xFFFFFFFF
DELIMITERS = 0xFFFE
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
_SHORT = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
_LONG = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
_ITEM = b"\xfe\xff\x00\xe0"
_HOLDING = (b"SQ", b"")
_FRAGMENTED = frozenset((b"OB", b"OW"))


class Unreadable(Exception):
    """The bytes are no data set. Never leaves verification."""


class Leaf(NamedTuple):
    """An element with a value of its own: `start` to `end` in the bytes. `vr` of an implicit one: the dictionary's, else UN."""

    tag: int
    vr: bytes
    start: int
    end: int


class _Level(NamedTuple):
    """How to read up to `end`. `tag`: of the UN element that it is in, 0 for none. `opened`: delimiters until it is over."""

    end: int
    explicit: bool
    order: str
    tag: int = 0
    opened: int = 0


def leaves(buf: bytes, codec: Codec) -> Iterator[Leaf]:
    """Every element with a value, at all depths, in order. Raises Unreadable."""
    levels, pos = [_Level(len(buf), codec.explicit, codec.order)], 0
    while True:
        while len(levels) > 1 and pos >= levels[-1].end:
            levels.pop()
        level = levels[-1]
        if pos >= level.end:
            return
        try:
            leaf, length = _header(buf, pos, level, codec)
        except (Unreadable, struct.error):
            level = _blob(levels)
            yield Leaf(level.tag, b"UN", pos, level.end)
            pos = level.end
            continue
        pos = leaf.start
        if leaf.vr == b"UN" and (length == UNDEFINED or buf[pos : pos + 4] == _ITEM):
            end = level.end if length == UNDEFINED else leaf.end
            levels.append(_Level(end, False, "<", leaf.tag, int(length == UNDEFINED)))
        elif leaf.vr in _HOLDING or (length == UNDEFINED and leaf.vr not in _FRAGMENTED):
            _delimit(levels, leaf.tag, length)
        else:
            pos = leaf.end
            if leaf.end > leaf.start:
                yield leaf


def _header(buf: bytes, pos: int, level: _Level, codec: Codec) -> tuple[Leaf, int]:
    """The element at `pos` and its length; what holds others need not end where it says. Raises Unreadable, struct.error."""
    group, element, length = struct.unpack_from(level.order + "HHI", buf, pos)
    tag, vr, start = group << 16 | element, b"", pos + 8
    if group != DELIMITERS:
        vr = buf[pos + 4 : pos + 6] if level.explicit else codec.vrs.get(tag, b"UN")
        if level.explicit and vr in _SHORT:
            (length,) = struct.unpack_from(level.order + "H", buf, pos + 6)
        elif level.explicit and vr in _LONG:
            start = pos + 12
            (length,) = struct.unpack_from(level.order + "I", buf, pos + 8)
        elif level.explicit:
            raise Unreadable
    if length == UNDEFINED:
        return Leaf(tag, vr, start, _fragments_end(buf, start, level) if vr in _FRAGMENTED else start), length
    if vr and start + length > level.end:
        raise Unreadable
    return Leaf(tag, vr, start, start + length), length


def _blob(levels: list[_Level]) -> _Level:
    """The UN element of known length that holds what cannot be read: it is a value. Raises Unreadable where there is none."""
    while not levels[-1].tag or levels[-1].opened:
        if len(levels) == 1:
            raise Unreadable
        levels.pop()
    return levels[-1]


def _delimit(levels: list[_Level], tag: int, length: int) -> None:
    """One undefined length more or less; the last one ends the level of an UN element of undefined length."""
    level = levels[-1]
    if not level.opened:
        return
    ended = tag in (ITEM_END, SEQUENCE_END)
    opened = level.opened + (-1 if ended else length == UNDEFINED)
    levels.pop()
    if opened:
        levels.append(level._replace(opened=opened))


def _fragments_end(buf: bytes, pos: int, level: _Level) -> int:
    """Behind the sequence delimiter of fragments (PS3.5 A.4). Raises Unreadable, struct.error."""
    while True:
        group, element, length = struct.unpack_from(level.order + "HHI", buf, pos)
        pos += 8
        if group << 16 | element == SEQUENCE_END:
            return pos
        if group != DELIMITERS or pos + length > level.end:
            raise Unreadable
        pos += length
