"""Table E.1-1: no row lost against an independent scrape, and each row does what it says; each row, disabled, is missed."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gateway.deidentify.actions import DUMMIES, PERSONAL, Action
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.places import Special, make_special
from gateway.deidentify.profile import Profile, Rule
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.standard import Standard
from gateway.deidentify.table import Row, load_table, parse_table
from gateway.deidentify.types import Types, load_types
from gateway.model import Held, Kept
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import CT, SYNTAXES, Element, base, with_, write

SR, PR = b"1.2.840.10008.5.1.4.1.1.88.33", b"1.2.840.10008.5.1.4.1.1.11.1"
PRIVATE_CLASS = b"1.2.826.0.1.3680043.9.7411.99"

LISTS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
VALUES = {
    "UR": b"urn:oid:1.2.826.0.1.5",
    "DA": b"19470822",
    "TM": b"134759",
    "DT": b"19470822134759",
    "AS": b"047Y",
    "DS": b"47.1122",
    "IS": b"471122",
}
VALUES |= {"US": b"\x71\x47", "UI": b"1.2.826.0.1.3680043.9.4711"}
TOKEN = b"QZXPLANTEDXQ"
ROWS = load_table().rows
EXPECTED_BY_TAG = {
    0x00100020: "id",
    0x00080050: "id",
    0x00200010: "id",
    0x00120040: "id",
    0x00120042: "id",
    0x00400512: "id",
    0x00400551: "id",
    0x006A0003: "uid",
}


def scraped() -> dict[str, str]:
    """dicom-anonymizer's 2026c lists as tag -> code; its repeating groups as ours are named."""
    module: Any = importlib.import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    repeating = {"50000000": "50xxxxxx", "60003000": "60xx3000", "60004000": "60xx4000"}
    tags = {f"{t[0]:04X}{t[1]:04X}": code for name, code in LISTS.items() for t in getattr(module, name)}
    return {repeating.get(tag, tag): code for tag, code in tags.items()}


def test_no_row_is_lost_or_different() -> None:
    ours = {row.tag: row.basic for row in ROWS if row.tag != "private"}
    assert ours == scraped()
    assert len(ROWS) == 656 and load_table().edition == "2026c"


def test_rows_have_names_and_options_have_the_standards_counts() -> None:
    assert all(row.name for row in ROWS) and len({row.tag for row in ROWS}) == len(ROWS)
    counts = Counter(option for row in ROWS for option in row.options)
    assert counts["retain-uids"] == 60 and counts["retain-institution-identity"] == 10 and counts["clean-graphics"] == 4
    assert counts["retain-longitudinal-full-dates"] == counts["retain-longitudinal-modified-dates"] == 169
    assert counts["retain-safe-private"] == 1 and set("".join(c for r in ROWS for c in r.options.values())) == {
        "C",
        "K",
    }


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="00100010"):
        parse_table("# PS3.15 Table E.1-1 2026c; x\ntag,name,vr,basic\n00100010,Patient's Name,PN,Q\n")


def planted(row: Row) -> list[Element]:
    if row.tag == "private":
        return [Element(0x00290010, "LO", TOKEN), Element(0x00291001, "LO", TOKEN)]
    if not row.vr:
        return [
            Element(int(row.tag.replace("xxxxxx", "023000").replace("xx", g), 16), "OW", TOKEN)
            for g in ("00", "02", "1E")
        ]
    if row.vr == "SQ":
        code = Element(0x00080104, "LO", TOKEN)
        return [Element(int(row.tag, 16), "SQ", ((Element(0x00080090, "PN", TOKEN), code),))]
    return [Element(int(row.tag, 16), row.vr, VALUES.get(row.vr, TOKEN))]


def letter(row: Row, sop_class: bytes) -> str:
    """X, Z, D or U: the Basic code in an instance of that class, by the type at the top level (PS3.15 Table E.1-1a)."""
    if row.tag == "00120081":  # D, but PS3.3 forbids it without (0012,0082), which is X (ADR 15)
        return "X"
    types = load_types().classes.get(sop_class)
    if row.basic in ("D", "U") or not row.vr:
        return row.basic
    if row.basic.endswith("U*") or types is None:
        return row.basic.rstrip("*")[-1]
    kind = types.get(0, {}).get(int(row.tag, 16), "3")
    if row.basic == "X" and kind == "1C":
        return "X"
    return {"1": "D", "2": "Z"}.get(kind[0], row.basic[0])


def obeyed(row: Row, cleaner: Cleaner, sop_class: bytes = CT) -> bool:
    """Whether a data set with this row's element planted comes out as the row says."""
    elements = planted(row)
    whole = with_(base(), Element(0x00080016, "UI", sop_class), *elements)
    result = cleaner.clean(write(whole, "explicit", sort=True), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept | Held)
    body = b"".join(result.parts[1:])
    said = "X" if not row.vr or int(row.tag[:4], 16) < 8 else letter(row, sop_class)
    if row.vr == "SQ" and said in "DU":
        scrubbed = elements[0].tag in PERSONAL or row.basic in ("X", "Z")
        codes_right = TOKEN not in body if scrubbed else TOKEN in body
        return _head(elements[0]) in body and b"PN\x0c\0" + TOKEN not in body and codes_right
    return all(_as_said(said, e, body) for e in elements)


def _head(element: Element) -> bytes:
    return (
        (element.tag >> 16).to_bytes(2, "little") + (element.tag & 0xFFFF).to_bytes(2, "little") + element.vr.encode()
    )


def _as_said(said: str, element: Element, body: bytes) -> bool:
    start = body.find(_head(element))
    if said == "X" or start < 0:
        return said == "X" and start < 0
    if body.count(_head(element)) > 1:
        return False
    long = element.vr in ("OB", "UN", "UT", "UC", "UR", "SQ")
    size = int.from_bytes(body[start + 8 : start + 12] if long else body[start + 6 : start + 8], "little")
    at = start + (12 if long else 8)
    value = body[at : at + size].strip(b" \0")
    kind = EXPECTED_BY_TAG.get(element.tag, "")
    if kind == "id":
        return len(value) == 16 and value != element.value
    if said == "U" or kind == "uid":
        return value.startswith(b"2.25.")
    return value == (b"" if said == "Z" else DUMMIES[element.vr.encode()].strip(b" \0"))


@pytest.fixture
def profile(unverified: Cleaner) -> Profile:
    return unverified.profile


@pytest.mark.parametrize("sop_class", [CT, SR, PR, PRIVATE_CLASS])
def test_each_row_is_obeyed(unverified: Cleaner, sop_class: bytes) -> None:
    assert [row.tag for row in ROWS if not obeyed(row, unverified, sop_class)] == []


def test_each_row_disabled_in_turn_is_noticed(profile: Profile) -> None:
    """Mutation: the row's rule becomes "keep". Rows below group 0008 and groups of tags have no rule of their own to disable."""
    single = [row for row in ROWS if row.vr and int(row.tag, 16) >> 16 >= 8]
    survivors = [row.tag for row in single if obeyed(row, _cleaner(_disabled(profile, int(row.tag, 16))))]
    assert len(single) == 648 and survivors == []


def test_types_ignored_are_noticed(profile: Profile) -> None:
    """Mutation: every IOD is an unknown one."""
    blind = _cleaner(replace(profile, special=_nothing_special(profile)))
    assert [row.tag for row in ROWS if not obeyed(row, blind, SR)] != []
    assert [row.tag for row in ROWS if not obeyed(row, blind, PRIVATE_CLASS)] == []


def _cleaner(profile: Profile) -> Cleaner:
    return Cleaner(profile, None, Pseudonyms(KEY, profile.patient_id))


def _nothing_special(profile: Profile) -> Special:
    return make_special(Standard({}, {}, profile.vrs), (), Types("none", {}))


def _disabled(profile: Profile, tag: int) -> Profile:
    changed = {tag: Rule(Action.ITEMS if profile.vrs[tag] == b"SQ" else Action.KEEP, "mutant")}
    if _in_force(profile, tag) is Action.ITEMS:
        changed = {tag: Rule(Action.REMOVE, "mutant")}
    near = {t: r for t, r in profile.rules.items() if t in _NEEDED}  # a small profile, quick to compile
    return replace(profile, rules=near | changed, special=_nothing_special(profile))


def _in_force(profile: Profile, tag: int) -> Action:
    return (profile.rules_at(CT, 0).get(tag) or profile.rules[tag]).action


_NEEDED = {e.tag for e in base()} | {0x00080090, 0x00080104}
