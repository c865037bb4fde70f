"""How a data set is laid out in bytes: the four encodings of PS3.5 7 and Annex A, and the header of one element."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

UNDEFINED = 0xFFFFFFFF
DELIMITERS = 0xFFFE
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT_VRS = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS")
    + (b"ST", b"TM", b"UI", b"UL", b"US")
)
NUL_PADDED = frozenset((b"UI", b"OB", b"UN"))

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
EXPLICIT_BIG = "1.2.840.10008.1.2.2"


class Malformed(Exception):
    """The bytes are no data set: truncated, lengths that do not add up, an impossible VR or delimiter. Never leaves the room."""


class Header(NamedTuple):
    """One element's header. `vr` of an implicit element is the dictionary's, b"UN" when unknown. `value`: where it begins."""

    tag: int
    vr: bytes
    length: int
    value: int


made = tuple.__new__
"""Calling `Header` would cost as much as reading one."""


@dataclass(frozen=True, eq=False)
class Codec:
    """One encoding. `order`: "<" or ">". `vrs`: tag -> VR, for implicit.

    What the walker's fast path reads by itself: `width`, and `length_of` (a short element's, `width` bytes on).
    """

    explicit: bool
    order: str
    vrs: Mapping[int, bytes] = field(repr=False)
    long: struct.Struct = field(init=False, repr=False)
    short: struct.Struct = field(init=False, repr=False)
    count: struct.Struct = field(init=False, repr=False)
    length_of: Callable[[bytes, int], tuple[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "long", struct.Struct(self.order + "HHI"))
        object.__setattr__(self, "short", struct.Struct(self.order + "HH2sH"))
        object.__setattr__(self, "count", struct.Struct(self.order + "I"))
        object.__setattr__(self, "length_of", struct.Struct(self.order + ("H" if self.explicit else "I")).unpack_from)

    @property
    def width(self) -> int:
        """How many leading bytes of a short element name it: tag and VR, or the tag alone."""
        return 6 if self.explicit else 4

    def header(self, buf: bytes | memoryview, pos: int) -> Header:
        """Raises Malformed for a VR that is none, struct.error at the end of the bytes.

        An item has no VR, but its length may spell one: 16708 is DA.
        """
        if self.explicit:
            group, element, vr, length = self.short.unpack_from(buf, pos)
            if group != DELIMITERS:
                if vr in SHORT_VRS:
                    return made(Header, (group << 16 | element, vr, length, pos + 8))
                if vr not in LONG_VRS:
                    raise Malformed
                (length,) = self.count.unpack_from(buf, pos + 8)
                return made(Header, (group << 16 | element, vr, length, pos + 12))
        group, element, length = self.long.unpack_from(buf, pos)
        tag = group << 16 | element
        return Header(tag, self.vrs.get(tag, b"UN"), length, pos + 8)

    def encode_header(self, tag: int, vr: bytes, length: int) -> bytes:
        if not self.explicit:
            return self.long.pack(tag >> 16, tag & 0xFFFF, length)
        if vr in LONG_VRS:
            return self.short.pack(tag >> 16, tag & 0xFFFF, vr, 0) + self.count.pack(length)
        return self.short.pack(tag >> 16, tag & 0xFFFF, vr, length)

    def encode(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """A whole element; `value` is padded to even length (PS3.5 7.1.1). As UN where it is too long for the VR (6.2.2)."""
        if len(value) & 1:
            value += b"\0" if vr in NUL_PADDED else b" "
        if self.explicit and vr not in LONG_VRS and len(value) > 0xFFFE:
            vr = b"UN"
        return self.encode_header(tag, vr, len(value)) + value

    def item(self, length: int) -> bytes:
        return self.long.pack(0xFFFE, 0xE000, length)

    def key(self, tag: int, vr: bytes) -> bytes:
        """The `width` bytes that begin an element of this tag and VR."""
        head = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        return head + vr if self.explicit else head


@dataclass(frozen=True)
class Codecs:
    """The encodings, made once with the dictionary's VRs. `little_implicit` is also that of UN sequences (PS3.5 6.2.2)."""

    little_explicit: Codec
    little_implicit: Codec
    big_explicit: Codec


def make_codecs(vrs: Mapping[int, bytes]) -> Codecs:
    return Codecs(Codec(True, "<", vrs), Codec(False, "<", vrs), Codec(True, ">", vrs))


def codec_of(codecs: Codecs, transfer_syntax: str) -> Codec | None:
    """The encoding of a transfer syntax (deflated ones: once inflated); None for what is not DICOM's own."""
    if transfer_syntax == IMPLICIT_LITTLE:
        return codecs.little_implicit
    if transfer_syntax == EXPLICIT_BIG:
        return codecs.big_explicit
    return codecs.little_explicit if transfer_syntax.startswith(IMPLICIT_LITTLE + ".") else None
