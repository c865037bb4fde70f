"""ICC profiles (0028,2000) without their words: copyright, description, device names and whatever hides between the tags.

What makes colours stays to the byte (ICC.1:2022 7 to 9): header, tag table and the tags of `COLOUR`. All else is blanked in its
place: the text of the two tags that every profile must have, whole tags that are not needed, and bytes that belong to no tag.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = 128
COLOUR = frozenset(
    b"A2B0 A2B1 A2B2 A2B3 B2A0 B2A1 B2A2 B2A3 D2B0 D2B1 D2B2 D2B3 B2D0 B2D1 B2D2 B2D3 rXYZ gXYZ bXYZ wtpt bkpt lumi chad "
    b"rTRC gTRC bTRC kTRC gamt pre0 pre1 pre2 chrm clro cicp meas view tech rig0 rig2 ciis".split()
)
TEXTS = frozenset((b"text", b"desc", b"mluc"))
MOST_TAGS = 256
_TAG = struct.Struct(">4sII")
_CLEARED = ((24, 36), (48, 56), (80, 100))
"""Of the header: when it was made, the device's maker and model, its creator and the checksum of what it was (7.2)."""


class Tag(NamedTuple):
    name: bytes
    start: int
    end: int


def clean_icc(raw: bytes) -> bytes:
    """The profile without text, as long as it says it is; b"" for bytes that are no profile."""
    size = int.from_bytes(raw[:4], "big")
    if len(raw) < HEADER + 4 or raw[36:40] != b"acsp" or not HEADER + 4 <= size <= len(raw):
        return b""
    tags = _tags(raw, size)
    if not tags:
        return b""
    first = HEADER + 4 + len(tags) * _TAG.size
    clean = bytearray(raw[:first].ljust(size, b"\0"))
    for start, end in _CLEARED:
        clean[start:end] = bytes(end - start)
    for tag in sorted(tags, key=lambda tag: _order(raw, tag)):
        clean[tag.start : tag.end] = raw[tag.start : tag.end] if _order(raw, tag) == 1 else _blanked(raw, tag)
    return bytes(clean) + b"\0" * (size & 1)


def _tags(raw: bytes, size: int) -> list[Tag]:
    """The tag table; [] when it points outside the profile or into its own head."""
    count = int.from_bytes(raw[HEADER : HEADER + 4], "big")
    first = HEADER + 4 + count * _TAG.size
    if not 0 < count <= MOST_TAGS or first > size:
        return []
    found = [Tag(name, start, start + length) for name, start, length in _TAG.iter_unpack(raw[HEADER + 4 : first])]
    return found if all(first <= tag.start and tag.start + 8 <= tag.end <= size for tag in found) else []


def _order(raw: bytes, tag: Tag) -> int:
    """Tags may share bytes: colour (1) is written over what is not needed (0), blank text (2) over both."""
    if raw[tag.start : tag.start + 4] in TEXTS:
        return 2
    return 1 if tag.name in COLOUR else 0


def _blanked(raw: bytes, tag: Tag) -> bytes:
    """An element of the same type and length that says nothing (10.15, 10.24; ICC.1:2001 6.5.17 for "desc")."""
    kind, length = raw[tag.start : tag.start + 4], tag.end - tag.start
    if kind == b"mluc" and length >= 16:
        return (b"mluc" + bytes(4) + struct.pack(">II", 0, 12)).ljust(length, b"\0")
    if kind == b"desc" and length >= 12:
        return (b"desc" + bytes(4) + struct.pack(">I", 1)).ljust(length, b"\0")
    return (kind if kind in TEXTS else b"text").ljust(length, b"\0")
