"""A strict reader of data sets for tests, written apart from the engine: it says no to whatever PS3.5 says no to."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from tests.deidentify.writer import LONG

SHORT = {
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
}
SHORT |= {"UL", "US"}
OPEN = 0xFFFFFFFF
WIDTHS = {
    "US": 2,
    "SS": 2,
    "OW": 2,
    "AT": 4,
    "UL": 4,
    "SL": 4,
    "FL": 4,
    "OF": 4,
    "OL": 4,
    "FD": 8,
    "OD": 8,
    "SV": 8,
    "UV": 8,
}
FORMS = {
    "UI": rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+",
    "DA": rb"[0-9]{8}",
    "TM": rb"[0-9]{2,6}(?:\.[0-9]{1,6})?",
    "DT": rb"[0-9]{4,14}(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})?",
    "DS": rb" *[+-]?[0-9]*\.?[0-9]+(?:[Ee][+-]?[0-9]+)? *",
    "IS": rb" *[+-]?[0-9]+ *",
    "CS": rb"[A-Z0-9 _]{1,16}",
    "AS": rb"[0-9]{3}[DWMY]",
    "SH": rb"[^\\]{1,16}",
    "AE": rb"[^\\]{1,16}",
    "LO": rb"[^\\]{1,64}",
}
"""One value of a VR (PS3.5 6.2); an empty one is legal in all of them."""


class Read(NamedTuple):
    """`path`: tags and item numbers down to the element: "0040A730[0].00080100"."""

    path: str
    tag: int
    vr: str
    value: bytes


def body_of(file: bytes) -> bytes:
    """The data set of a Part 10 file."""
    assert file[:132] == b"\0" * 128 + b"DICM"
    (length,) = struct.unpack_from("<I", file, 140)
    return file[144 + length :]


def elements(body: bytes, layout: str) -> list[Read]:
    """Every element at every depth, sequences too. `layout`: of `writer.SYNTAXES`, inflated."""
    reader = Reader(body, explicit=layout != "implicit", order=">" if layout == "big" else "<")
    found = list(reader.level(0, len(body), ""))
    assert reader.pos == len(body)
    return found


class Reader:
    def __init__(self, buf: bytes, *, explicit: bool, order: str) -> None:
        self.buf, self.explicit, self.order, self.pos = buf, explicit, order, 0

    def level(self, pos: int, end: int, path: str) -> Iterator[Read]:
        """The elements from `pos` to `end`, or to an item delimiter, in ascending order of their tags."""
        last = -1
        while pos < end:
            tag, vr, length, value = self.head(pos)
            if tag == 0xFFFEE00D:
                assert length == 0 and end == len(self.buf)
                pos = value
                break
            assert tag > last, f"{path}{tag:08X}: out of order, or twice"
            last, here = tag, f"{path}{tag:08X}"
            if vr == "SQ" or (length == OPEN and not is_pixels(tag)) or (vr == "UN" and length and known(tag) == "SQ"):
                yield Read(here, tag, "SQ", b"")
                inner = self if vr == "SQ" else Reader(self.buf, explicit=False, order="<")  # PS3.5 6.2.2 note 4
                yield from inner.items(value, length, here)
                pos = inner.pos
                continue
            after = self.after_fragments(value) if length == OPEN else value + length
            assert after <= len(self.buf) and (length == OPEN or not length & 1), f"{here}: length"
            yield Read(here, tag, vr, self.buf[value:after])
            pos = after
        self.pos = pos

    def head(self, pos: int) -> tuple[int, str, int, int]:
        group, element, length = struct.unpack_from(self.order + "HHI", self.buf, pos)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", length, pos + 8
        if not self.explicit:
            return tag, known(tag), length, pos + 8
        vr = self.buf[pos + 4 : pos + 6].decode("ascii")
        assert vr in SHORT | LONG, f"{tag:08X}: no VR"
        if vr in SHORT:
            return tag, vr, struct.unpack_from(self.order + "H", self.buf, pos + 6)[0], pos + 8
        return tag, vr, struct.unpack_from(self.order + "I", self.buf, pos + 8)[0], pos + 12

    def items(self, pos: int, length: int, path: str) -> Iterator[Read]:
        end, number = (len(self.buf) if length == OPEN else pos + length), 0
        while pos < end:
            tag, _, size, value = self.head(pos)
            if tag == 0xFFFEE0DD:
                assert size == 0 and length == OPEN
                pos = value
                break
            assert tag == 0xFFFEE000, f"{path}: no item"
            yield from self.level(value, len(self.buf) if size == OPEN else value + size, f"{path}[{number}].")
            assert size == OPEN or self.pos == value + size, f"{path}: item length"
            pos, number = self.pos, number + 1
        assert length == OPEN or pos == end, f"{path}: sequence length"
        self.pos = pos

    def after_fragments(self, pos: int) -> int:
        while True:
            tag, _, length, value = self.head(pos)
            if tag == 0xFFFEE0DD:
                return value
            assert tag == 0xFFFEE000 and length != OPEN
            pos = value + length


def is_pixels(tag: int) -> bool:
    return tag in (0x7FE00010, 0x7FE00008, 0x7FE00009)


@lru_cache(8192)
def known(tag: int) -> str:
    """The dictionary's VR, "UN" where it has none."""
    vr = DicomDictionary[tag][0] if tag in DicomDictionary else "UN"
    return "OW" if "OW" in vr else vr[:2]


def illegal(read: Read) -> str:
    """ "" or what is wrong with the value."""
    width, form = WIDTHS.get(read.vr), FORMS.get(read.vr)
    if width and not is_pixels(read.tag) and len(read.value) % width:
        return f"{read.path} {read.vr}: {len(read.value)} bytes"
    if form is None:
        return ""
    values = read.value.rstrip(b"\0 ").split(b"\\")
    wrong = [v for v in values if v.strip(b" ") and not re.fullmatch(form, v.strip(b" "))]
    return f"{read.path} {read.vr}: value" if wrong else ""


@lru_cache(4096)
def disguises(secret: bytes, text: str) -> tuple[bytes, ...]:
    """The nine forms in which a value may stand in a file: raw, UTF-8, Latin-1, UTF-16 both ways, base64 at three offsets, hex."""
    plain = text.encode()
    coded = [base64.b64encode(b"\0" * shift + plain + b"\0\0")[(shift * 8 + 5) // 6 : -4] for shift in range(3)]
    cores = [core[: (len(plain) * 8 - (6 - shift * 8 % 6) % 6) // 6] for shift, core in enumerate(coded)]
    latin = text.encode("latin-1", "ignore")
    wide = [text.encode("utf-16-le"), text.encode("utf-16-be")]
    return tuple(
        dict.fromkeys([secret, plain, latin if len(latin) == len(text) else plain, *wide, *cores, plain.hex().encode()])
    )


def survivors(output: bytes, secrets: Iterable[tuple[bytes, str]]) -> list[int]:
    """Which of `secrets` (by number) stand anywhere in the bytes, in any of nine forms, large or small."""
    folded = output.lower()
    return [
        number
        for number, (raw, text) in enumerate(secrets)
        if any(form in output or form.lower() in folded for form in disguises(raw, text))
    ]
