"""Random data sets, nested and odd, with identifiers planted wherever the profile in force must let none through.

One generator for two drivers: hypothesis (`datasets`), whose own random numbers shrink, and the fuzzer, whose seed is a number.
What must go is told here by reading Table E.1-1 apart from the engine; of the engine only its lists of exceptions are believed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from random import Random

from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.defaults import CLASS_UIDS, HARMLESS_BYTES, HARMLESS_TEXT, ICC_PROFILE
from gateway.deidentify.options import CODES, FULL_DATES, MODIFIED_DATES
from tests.deidentify.writer import Element, Names, base, big, with_, write

Item = tuple[Element, ...]
Options = tuple[str, ...]

ENCAPSULATED = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5")
NATIVE = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
}
EVERYTHING = tuple(option for option in CODES if option != FULL_DATES)
OPTION_SETS: tuple[Options, ...] = (
    (),
    *((option,) for option in CODES),
    EVERYTHING,
    tuple(option for option in CODES if option != MODIFIED_DATES),
    ("clean-descriptors", MODIFIED_DATES, "retain-patient-characteristics", "clean-structured-content")
    + ("clean-graphics", "retain-safe-private"),  # what deidentification.md recommends
    ("retain-uids", FULL_DATES, "retain-device-identity", "retain-institution-identity"),
    ("retain-safe-private", "clean-pixel-data"),
)
TEXT = ("AE", "CS", "LO", "SH", "LT", "ST", "UT", "UC", "PN")
CLEANED = ("LO", "LT", "SH", "ST", "UC", "UT", "DA", "DT", "TM")
"""VRs whose values a C can clean; of any other, the Basic column stands."""
GONE_BY_DEFAULT = ("PN", "ST", "LT", "UT", "UC", "UR", "UI", "DA", "DT", "OB", "UN")
"""Of a standard element without a row. Codes, short labels and numbers stay."""
DOZEN = {"FD": 8, "SV": 8, "UV": 8, "OD": 8, "OV": 8, "FL": 4, "UL": 4, "SL": 4, "AT": 4, "OF": 4, "OL": 4}
"""Bytes of one binary value; two of any other. All bytes of a value are the same here, so that no byte order is wrong."""
FIXED = {0x00080005, 0x00080016, 0x00080060, 0x00120062, 0x00120063, 0x00120064, 0x00280303, 0x00280301}
GEOMETRY = {0x00280002, 0x00280004, 0x00280008, *range(0x00280010, 0x00280012), *range(0x00280100, 0x00280104)}
BASE = {element.tag for element in base()}
"""At the top level these stay what they are: what an instance is known by, and the patient's own values."""
CLASSES = ("1", "2", "4", "6.1", "7", "20", "88.11", "88.33", "104.1", "128", "481.3", "481.5", "66.4", "9.1.1", "2.1")
PEOPLE: tuple[tuple[bytes, str, str], ...] = (
    (b"ISO_IR 100", "Mühlhäußer^Jörgen", "latin-1"),
    (b"ISO_IR 192", "Źdźbłowska^Świętosława=王小东^明明", "utf-8"),
    (b"GB18030", "Wangzhang^Xiaodong=王王^小东东", "gb18030"),
    (b"\\ISO 2022 IR 87", "Yamadagawa^Taroujirou=山田川^太郎次郎", "iso2022_jp"),
    (b"ISO_IR 144", "Люксембургов^Борисович", "iso8859_5"),
    (b"ISO_IR 100", "Quastenberg^Leopoldine", "latin-1"),
)
"""Specific Character Set, the patient's name in it, and Python's word for it."""


@dataclass(frozen=True)
class Planted:
    """`secrets`: raw values that may stand nowhere in the output. `names`: text, the parts of the patient's own name."""

    elements: tuple[Element, ...] = field(repr=False)
    layout: str
    syntax: str
    sort: bool
    options: Options
    secrets: tuple[bytes, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)

    def data(self) -> bytes:
        elements = big(list(self.elements)) if self.layout == "big" else list(self.elements)
        return write(elements, self.layout, sort=self.sort)


@lru_cache(1)
def rows() -> dict[int, dict[str, str]]:
    """Table E.1-1 as text: tag -> column -> code."""
    lines = files("gateway.deidentify").joinpath("table.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {int(row["tag"], 16): row for row in csv.DictReader(lines) if row["vr"]}


@lru_cache(1)
def safe_rows() -> tuple[dict[str, str], ...]:
    folder = files("gateway.deidentify")
    texts = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("safe_private.csv", "safe_private_more.csv")
    )
    return tuple(row for text in texts for row in csv.DictReader(text.splitlines()[1:]))


@lru_cache(1)
def pools() -> dict[str, tuple[tuple[int, str], ...]]:
    """Tag and VR: "rows" of the table, "plain" the rest of the dictionary, "SQ" all sequences, "retired"."""
    known = {
        tag: entry for tag, entry in DicomDictionary.items() if 0x00080000 <= tag < 0x7FE00000 and entry[0] != "NONE"
    }
    tags = {
        tag: "OW" if "OW" in entry[0] else entry[0][:2] for tag, entry in known.items() if tag not in FIXED | GEOMETRY
    }
    leaves = {tag: vr for tag, vr in tags.items() if vr != "SQ"}
    return {
        "rows": tuple((tag, vr) for tag, vr in leaves.items() if tag in rows()),
        "plain": tuple((tag, vr) for tag, vr in leaves.items() if tag not in rows() and not known[tag][3]),
        "retired": tuple((tag, vr) for tag, vr in leaves.items() if known[tag][3] and tag not in rows()),
        "SQ": tuple((tag, vr) for tag, vr in tags.items() if vr == "SQ"),
    }


def may_stay(tag: int, vr: str, options: Options) -> bool:
    """Whether an applied option, or the stated default, lets the value of a standard element through as it came."""
    row = rows().get(tag)
    if row is not None:
        cells = {row[option] for option in options if row.get(option)}
        return (
            cells == {"K"} or (cells == {"K", "C"} and vr not in CLEANED) or (vr == "TM" and MODIFIED_DATES in options)
        )
    technical = tag in HARMLESS_TEXT and vr not in CLEANED
    if technical or tag in CLASS_UIDS | HARMLESS_BYTES or vr not in GONE_BY_DEFAULT:
        return True
    return (vr in ("DA", "DT") and FULL_DATES in options) or (vr == "UI" and "retain-uids" in options)


class Builder:
    """Makes one data set. `rnd`: hypothesis's or Python's own."""

    def __init__(self, rnd: Random, options: Options) -> None:
        self.rnd = rnd
        self.options = options
        self.names = Names()
        self.dates = 0
        self.explicit = True

    def chance(self, percent: int) -> bool:
        return self.rnd.randrange(100) < percent

    def secret(self, vr: str) -> bytes:
        """A value that must go, legal for the VR; of binary ones in an encoding of its own."""
        if vr == "UI":
            return b"\\".join(self.names.uid() for _ in range(self.rnd.choice((1, 1, 1, 3))))
        if vr in ("DA", "DT"):
            self.dates = self.dates % 28 + 1  # all within less than the least shift: none becomes another
            self.names.issued.append(b"193103%02d" % self.dates)
            return self.names.issued[-1] + (b"" if vr == "DA" else b"101530.25")
        token = self.names.token()
        if vr in ("OB", "UN", "OW"):
            wide = token.decode().encode(self.rnd.choice(("ascii", "utf-16-le", "utf-16-be")))
            return wide + b"\0" * (len(wide) & 1)
        if vr == "UR":
            return b"urn:" + token
        if vr in ("LO", "LT", "ST", "UT", "UC") and self.chance(50):
            return b"CT ABDOMEN " + token + b" contrast"
        if vr in ("LO", "SH", "PN", "UC") and self.chance(25):
            return b"A\\" + token + b"\\" + self.names.token()
        return token + b"^" + self.names.token() if vr == "PN" else token

    def harmless(self, vr: str) -> bytes:
        fixed = {
            "DS": b"1.5\\-2", "IS": b"12", "CS": b"AXIAL\\OTHER", "AS": b"045Y", "TM": b"101530", "DA": b"20240301",
            "DT": b"20240301", "UI": b"1.2.840.10008.1.2", "UR": b"urn:x", "PN": b"", "AE": b"STORE",
        }  # fmt: skip
        if vr in fixed:
            return fixed[vr] if self.chance(80) else b""
        return b"plain" if vr in TEXT else b"\1" * DOZEN.get(vr, 2)

    def leaf(self) -> Element:
        """A standard element: of the table, or not; now and then as UN or with an odd length."""
        tag, vr = self.rnd.choice(pools()[self.rnd.choice(("rows", "rows", "plain", "plain", "retired"))])
        retired = DicomDictionary[tag][3] and tag not in rows()
        stays = may_stay(tag, vr, self.options) and not retired
        textual = vr in (*TEXT, "UI", "DA", "DT", "UR", "OB", "UN")
        value = self.secret(vr) if textual and not stays and tag != ICC_PROFILE else self.harmless(vr)
        return Element(tag, "UN" if self.chance(8) else vr, value, odd=self.chance(4))

    def stray(self) -> Element:
        """What no dictionary names: unknown tags, overlays, curves, group lengths, private elements without a creator."""
        tag = self.rnd.choice((0x00087FFE, 0x00209998, 0x00280AFE, 0x33340010, 0x00191055, 0x60003000, 0x60024000))
        tag = self.rnd.choice((tag, 0x50003000, 0x60000022, 0x00290099, 0x00200000, 0x00104444))
        vr = "UL" if not tag & 0xFFFF else self.rnd.choice(("LO", "UN", "OB", "PN", "SH", "UT"))
        return Element(tag, vr, b"\1\1\1\1" if vr == "UL" else self.secret(vr))

    def misfit(self) -> Element:
        """A standard element with a VR that it should not have; in implicit encodings nobody can tell."""
        if not self.explicit:
            return self.leaf()
        tag, known = self.rnd.choice(pools()["plain"])
        vr = self.rnd.choice(("PN", "LT", "UT", "OB", "ST"))
        legal = (
            known == vr
            or (known[0] == "O" and vr == "OB")
            or tag in HARMLESS_TEXT | HARMLESS_BYTES | CLASS_UIDS
            or tag == ICC_PROFILE
        )
        return Element(tag, known, self.harmless(known)) if legal else Element(tag, vr, self.secret(vr))

    def block(self) -> list[Element]:
        """A private block: its creator and a few elements, of a maker that is known to be safe or of one that is not."""
        row, block = self.rnd.choice(safe_rows()), self.rnd.randrange(0x10, 0x14)
        group = int(row["group"], 16)
        safe = self.chance(60)
        creator = row["creator"].encode() if safe else self.names.token()
        head = Element(group << 16 | block, "LO", creator)
        other = Element(group << 16 | block << 8 | 0xF3, "LO", self.secret("LO"))
        tag = group << 16 | block << 8 | int(row["element"], 16)
        textual = row["vr"] in (*TEXT, "UI", "DA", "DT", "UN", "OB")
        stays = safe and "retain-safe-private" in self.options and row["vr"] in ("CS", "AE", "OB", "UN")
        value = self.secret(row["vr"]) if textual and not stays else self.harmless(row["vr"])
        if row["vr"] == "SQ":
            return [head, other]
        return [head, Element(tag, row["vr"], value), *([other] if other.tag != tag else [])]

    def own(self, names: tuple[bytes, ...]) -> Element:
        """One of the patient's own values in an element that stays: only `verify` can know."""
        labels = [(tag, vr) for tag, vr in pools()["plain"] if vr in ("LO", "SH") and may_stay(tag, vr, self.options)]
        tag, vr = self.rnd.choice(labels)
        return Element(tag, vr, self.rnd.choice(names))

    def sequence(self, depth: int) -> Element:
        """A sequence that table or dictionary names, or a private one; as SQ or UN, of defined or undefined length."""
        tag, _ = self.rnd.choice(pools()["SQ"])
        if self.chance(10):
            tag = 0x00091070
        vr, before = "UN" if self.chance(15) else "SQ", self.explicit
        self.explicit = before and vr == "SQ"  # what UN holds is implicit
        items = tuple(self.item(depth - 1) if self.chance(85) else () for _ in range(self.rnd.choice((0, 1, 1, 2))))
        self.explicit = before
        return Element(tag, vr, items, self.chance(50))

    def item(self, depth: int) -> Item:
        return self.ordered([e for _ in range(self.rnd.randrange(5)) for e in self.some(depth)])

    def some(self, depth: int) -> list[Element]:
        kind = self.rnd.randrange(20)
        if kind < 7 and depth:
            return [self.sequence(depth)]
        if kind == 7:
            return self.block()
        if kind in (8, 9):
            return [self.stray() if kind == 8 else self.misfit()]
        return [self.leaf()]

    def ordered(self, elements: list[Element]) -> Item:
        """Each tag once, in order; now and then neither."""
        once = list({e.tag: e for e in elements}.values())
        if self.chance(3):
            self.rnd.shuffle(once)
            return tuple(once)
        return tuple(sorted(once, key=lambda e: e.tag))


def make_planted(rnd: Random, options: Options) -> Planted:
    """One random data set for a profile with `options`."""
    builder = Builder(rnd, options)
    layout = rnd.choice((*NATIVE, "encapsulated"))
    builder.explicit = layout != "implicit"
    charset, name, codec = rnd.choice(PEOPLE)
    more = [e for _ in range(rnd.randrange(1, 8)) for e in builder.some(rnd.randrange(6))]
    if builder.chance(25):
        more.append(builder.own((name.encode(codec), b"PX-774411", b"Quellenhof")))
    fixed = [
        Element(0x00080005, "CS", charset),
        Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1." + rnd.choice(CLASSES).encode()),
        Element(0x00100010, "PN", name.encode(codec)),
    ]
    whole = with_(base(), *builder.ordered([*(e for e in more if e.tag not in BASE), *fixed]))
    if builder.chance(15):
        whole = [e for e in whole if e.tag != 0x7FE00010]
    return Planted(
        tuple(whole),
        layout,
        NATIVE.get(layout) or rnd.choice(ENCAPSULATED),
        not builder.chance(5),
        options,
        (*builder.names.issued, b"PX-774411", b"ACC7744110", b"STU774411", b"19470822"),
        tuple(part for group in name.split("=") for part in group.split("^")),
    )


def without(planted: Planted, keep: Callable[[Element], bool]) -> Planted:
    """The same with only the top-level elements that `keep` says yes to."""
    return replace(planted, elements=tuple(e for e in planted.elements if keep(e)))


@st.composite
def datasets(draw: st.DrawFn, option_sets: tuple[Options, ...] = OPTION_SETS) -> Planted:
    options = draw(st.sampled_from(option_sets))
    return make_planted(draw(st.randoms(use_true_random=False)), options)
