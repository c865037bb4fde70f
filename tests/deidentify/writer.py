"""An encoder of data sets for tests, written apart from the engine: every oddity of PS3.5 on demand."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "encapsulated": "1.2.840.10008.1.2.4.50",
}


@dataclass(frozen=True)
class Element:
    """`value`: raw bytes, or a tuple of items (tuples of elements). `undefined`: length of sequence and items."""

    tag: int
    vr: str
    value: bytes | tuple[tuple[Element, ...], ...] = b""
    undefined: bool = False
    odd: bool = False  # do not pad


@dataclass(frozen=True)
class Layout:
    explicit: bool = True
    order: str = "<"

    def element(self, element: Element) -> bytes:
        if isinstance(element.value, tuple):
            return self._sequence(element)
        value = element.value
        if len(value) & 1 and not element.odd:
            value += b"\0" if element.vr in ("UI", "OB", "UN") else b" "
        return self.head(element.tag, element.vr, len(value)) + value

    def head(self, tag: int, vr: str, length: int) -> bytes:
        start = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit:
            return start + struct.pack(self.order + "I", length)
        if vr in LONG:
            return start + vr.encode() + struct.pack(self.order + "HI", 0, length)
        return start + vr.encode() + struct.pack(self.order + "H", length)

    def _sequence(self, element: Element) -> bytes:
        inner = Layout(False, "<") if element.vr == "UN" else self
        assert isinstance(element.value, tuple)
        body = b"".join(inner.item(item, undefined=element.undefined) for item in element.value)
        if element.undefined:
            return self.head(element.tag, element.vr, 0xFFFFFFFF) + body + inner.delimiter(0xE0DD)
        return self.head(element.tag, element.vr, len(body)) + body

    def item(self, elements: tuple[Element, ...], *, undefined: bool) -> bytes:
        body = b"".join(map(self.element, elements))
        length = 0xFFFFFFFF if undefined else len(body)
        tail = self.delimiter(0xE00D) if undefined else b""
        return struct.pack(self.order + "HHI", 0xFFFE, 0xE000, length) + body + tail

    def delimiter(self, element: int) -> bytes:
        return struct.pack(self.order + "HHI", 0xFFFE, element, 0)


def write(elements: list[Element], syntax: str, *, sort: bool = True) -> bytes:
    """The bytes of a data set. Encapsulated: (7FE0,0010) is wrapped into fragments."""
    layout = Layout(syntax != "implicit", ">" if syntax == "big" else "<")
    ordered = sorted(elements, key=lambda e: e.tag) if sort else elements
    data = b"".join(
        _encapsulate(layout, e) if syntax == "encapsulated" and e.tag == 0x7FE00010 else layout.element(e)
        for e in ordered
    )
    if syntax != "deflated":
        return data
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


def _encapsulate(layout: Layout, element: Element) -> bytes:
    assert isinstance(element.value, bytes)
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, len(element.value)) + element.value
    table = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    return layout.head(element.tag, "OB", 0xFFFFFFFF) + table + fragment + layout.delimiter(0xE0DD)


CT = b"1.2.840.10008.5.1.4.1.1.2"
ROOT = b"1.2.826.0.1.3680043.9.7411."


def base(number: int = 1, *, patient: bytes = b"PX-774411", study: int = 1) -> list[Element]:
    """A small whole CT image: what every data set here starts from. Values of the patient's are unmistakable."""
    pixels = struct.pack("<64H", *range(64))
    return [
        Element(0x00080005, "CS", b"ISO_IR 100"),
        Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
        Element(0x00080016, "UI", CT),
        Element(0x00080018, "UI", ROOT + b"1.%d.%d" % (study, number)),
        Element(0x00080020, "DA", b"20240317"),
        Element(0x00080050, "SH", b"ACC7744110"),
        Element(0x00080060, "CS", b"CT"),
        Element(0x00080080, "LO", b"Quellenhof Klinikum"),
        Element(0x00080090, "PN", b"Zwackelmann^Petrosilius"),
        Element(0x00100010, "PN", b"Quastenberg^Leopoldine^^Dr."),
        Element(0x00100020, "LO", patient),
        Element(0x00100030, "DA", b"19470822"),
        Element(0x00180050, "DS", b"2.5"),
        Element(0x0020000D, "UI", ROOT + b"2.%d" % study),
        Element(0x0020000E, "UI", ROOT + b"3.%d" % study),
        Element(0x00200010, "SH", b"STU774411"),
        Element(0x00200013, "IS", b"%d" % number),
        Element(0x00280002, "US", b"\1\0"),
        Element(0x00280010, "US", b"\x08\0"),
        Element(0x00280011, "US", b"\x08\0"),
        Element(0x7FE00010, "OW", pixels),
    ]


def with_(elements: list[Element], *more: Element) -> list[Element]:
    """`more` in place of elements of the same tag."""
    tags = {e.tag for e in more}
    return [*(e for e in elements if e.tag not in tags), *more]


def big(elements: list[Element]) -> list[Element]:
    """Numbers turned to big endian."""
    return [replace(e, value=e.value[::-1]) if e.vr == "US" and isinstance(e.value, bytes) else e for e in elements]


@dataclass
class Names:
    """Unique tokens to plant: letters only, eleven of them, in no dictionary."""

    issued: list[bytes] = field(default_factory=list)

    def token(self) -> bytes:
        number, letters = len(self.issued) + 1, b""
        for _ in range(4):
            number, digit = divmod(number, 20)
            letters += b"BCDFGHJKLMNPQRSTVWXZ"[digit : digit + 1]
        self.issued.append(b"QZX" + letters + b"XQJK")
        return self.issued[-1]

    def uid(self) -> bytes:
        self.issued.append(b"1.2.826.0.1.3680043.9.8800.%d.77" % (len(self.issued) + 1000))
        return self.issued[-1]
