"""Reads an output on its own, apart from the engine and from pydicom: raw values by path. Lenient: it must see all there is."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from pydicom._dicom_dict import DicomDictionary

from tests.corpus.expect import rows

LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
IMPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
CHARACTER_SET = 0x00080005
WORDS = {"OW": 2, "US": 2, "SS": 2, "OF": 4, "OL": 4, "UL": 4, "SL": 4, "FL": 4, "AT": 2, "OD": 8, "FD": 8}
VRS = {tag: entry[0][:2].encode() for tag, entry in DicomDictionary.items()} | {
    tag: row.vr.encode() for tag, row in rows().items()
}


@dataclass(frozen=True)
class Value:
    """One element's raw value, numbers always little endian. `items`: how many, of a sequence."""

    vr: str
    raw: bytes = field(repr=False)
    items: int = -1


@dataclass
class Content:
    """`values`: by path, as in `key`. `whole`: all bytes, inflated, to be searched. `pixels`: the value of the pixel data."""

    syntax: str = ""
    meta: dict[int, bytes] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    whole: bytes = b""
    pixels: bytes | None = None

    @property
    def charset(self) -> str:
        value = self.values.get(f"{CHARACTER_SET:08X}")
        return value.raw.decode("latin-1").strip(" \0") if value else ""


class Unreadable(Exception):
    """The bytes are no DICOM file; says where, not what."""


def read(raw: bytes, syntax: str = "") -> Content:
    """`syntax`: for files that do not say. Raises Unreadable."""
    content, at = Content(), 0
    try:
        if raw[128:132] == b"DICM" or raw[:4] == b"\2\0\0\0":
            at = _meta(raw, content, 132 if raw[128:132] == b"DICM" else 0)
        content.syntax = content.syntax or syntax
        body = zlib.decompress(raw[at:], -15) if content.syntax == DEFLATED else raw[at:]
        content.whole = raw[:at] + body
        order = ">" if content.syntax == BIG else "<"
        _Level(body, order, content.syntax != IMPLICIT, content).read(0, len(body), "")
    except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as err:
        raise Unreadable(type(err).__name__) from err
    return content


def _meta(raw: bytes, content: Content, at: int) -> int:
    while raw[at : at + 2] == b"\2\0":
        tag, _, length, at = _explicit(raw, at, "<")
        content.meta[tag] = raw[at : at + length]
        at += length
    content.syntax = content.meta.get(0x00020010, b"").decode("ascii").strip("\0 ")
    return at


def _explicit(raw: bytes, at: int, order: str) -> tuple[int, bytes, int, int]:
    group, element, vr, length = struct.unpack_from(order + "HH2sH", raw, at)
    if group == 0xFFFE:
        return group << 16 | element, b"", struct.unpack_from(order + "I", raw, at + 4)[0], at + 8
    if vr in LONG:
        return group << 16 | element, vr, struct.unpack_from(order + "I", raw, at + 8)[0], at + 12
    return group << 16 | element, vr, length, at + 8


def _implicit(raw: bytes, at: int, order: str) -> tuple[int, bytes, int, int]:
    group, element, length = struct.unpack_from(order + "HHI", raw, at)
    tag = group << 16 | element
    return tag, VRS.get(tag, b"UN"), length, at + 8


@dataclass
class _Level:
    """Elements in one encoding."""

    raw: bytes
    order: str
    explicit: bool
    content: Content

    def read(self, at: int, end: int, path: str) -> int:
        """One data set or item, up to `end` or its delimiter; -> where it ends."""
        creators: dict[int, str] = {}
        header = _explicit if self.explicit else _implicit
        while at < end:
            tag, vr, length, value = header(self.raw, at, self.order)
            if tag == ITEM_END:
                return value
            here = path + _step(tag, creators)
            if length == UNDEFINED and tag == PIXEL_DATA:
                at = self._fragments(value, here, vr)
                continue
            if vr == b"SQ" or length == UNDEFINED:
                at = self._items(value, value + length if length != UNDEFINED else end, here, vr)
                continue
            at = value + length
            if at > end:
                raise Unreadable("a value ends behind its data set")
            self._leaf(here, tag, vr, self.raw[value:at])
            if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
                creators[tag] = self.raw[value:at].decode("latin-1").strip(" \0")
        return at

    def _leaf(self, path: str, tag: int, vr: bytes, raw: bytes) -> None:
        name = vr.decode("latin-1")
        if self.order == ">" and name in WORDS:
            size = WORDS[name]
            raw = b"".join(raw[i : i + size][::-1] for i in range(0, len(raw), size))
        self.content.values.setdefault(path, Value(name, raw))
        if tag == PIXEL_DATA and path == f"{PIXEL_DATA:08X}":
            self.content.pixels = raw
        if name == "UN":
            self._hidden(path, tag, raw)

    def _hidden(self, path: str, tag: int, raw: bytes) -> None:
        """A sequence of known length as UN is Implicit VR Little Endian inside (PS3.5 6.2.2 note 4)."""
        if VRS.get(tag) != b"SQ" or raw[:4] != b"\xfe\xff\x00\xe0":
            return
        inner = _Level(raw, "<", False, self.content)
        inner._items(0, len(raw), path, b"UN")

    def _items(self, at: int, end: int, path: str, vr: bytes) -> int:
        level = _Level(self.raw, "<", False, self.content) if vr == b"UN" and self.explicit else self
        number = 0
        while at < end:
            tag, _, length, value = _implicit(self.raw, at, level.order)
            if tag == SEQUENCE_END:
                at = value
                break
            if tag != ITEM:
                raise Unreadable("no item where one belongs")
            stop = end if length == UNDEFINED else value + length
            at = level.read(value, stop, f"{path}[{number}].")
            number += 1
        self.content.values[path] = Value("SQ", b"", number)
        return at

    def _fragments(self, at: int, path: str, vr: bytes) -> int:
        pieces = []
        while True:
            tag, _, length, value = _implicit(self.raw, at, self.order)
            at = value + length
            if tag == SEQUENCE_END:
                break
            pieces.append(self.raw[value:at])
        self.content.pixels = b"".join(pieces[1:])
        self.content.values[path] = Value(vr.decode("latin-1"), self.content.pixels)
        return at


def _step(tag: int, creators: dict[int, str]) -> str:
    group, element = tag >> 16, tag & 0xFFFF
    creator = creators.get(group << 16 | element >> 8) if group & 1 and element > 0xFF else None
    return f'{group:04X}"{creator}"{element & 0xFF:02X}' if creator else f"{tag:08X}"
