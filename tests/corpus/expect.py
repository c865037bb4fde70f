"""What each set of options owes to an element, read from Table E.1-1 and PS3.15 E.3; nothing here asks the engine.

Only what the standard is clear about is demanded. Where an action depends on the type in the IOD, or one option says keep and
another clean, there is no claim: a leak is still searched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.table import Row, load_table
from tests.corpus.key import Fact, Kind

FULL, MODIFIED = "retain-longitudinal-full-dates", "retain-longitudinal-modified-dates"
TEXTS = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
FREE_TEXTS = frozenset(("LT", "ST", "UC", "UT"))
DATES = frozenset(("DA", "DT", "TM"))
LASTING = frozenset(("D", "U", "Z/D", "X/Z/U*"))
"""Codes of a sequence whose items stay under the Basic Profile in any IOD."""
PERSONAL = frozenset({0x00340001, 0x00401101, 0x0040A073, 0x00081072, 0x00080082})
"""Sequences that name a person, a place or a device, whatever is in them."""
REPOSITORIES = frozenset({0x0040E030, 0x0040E031})
"""Where the original lies: to be removed or mapped as one likes."""
WITHHELD = (0x0010, 0x4010)
"""Groups of the patient and of security screening: who removes what has no row there is careful, not wrong."""
CONTENT_TEXT = 0x0040A160
ANNOTATION_TEXT = 0x00700006


class Owed(StrEnum):
    """What must be found at the element's place in the output."""

    NOTHING = "nothing"
    EQUAL = "equal"
    WORDS = "words"  # the words to keep
    MAPPED = "mapped"  # another UID, the same for the same everywhere
    MAPPED_IF_THERE = "mapped if there"
    SHIFTED = "shifted"
    OTHER = "other"  # anything but what it was
    CLASSED = "classed"  # an age, over 89 years as 090Y


@cache
def rows() -> Mapping[int, Row]:
    """Table E.1-1 by tag."""
    return {int(row.tag, 16): row for row in load_table().rows if row.vr}


def freed(tag: int, vr: str, parents: tuple[int, ...]) -> frozenset[str]:
    """The options that let an original value stay in the element of that tag, in the sequences `parents`."""
    row = rows().get(tag)
    if vr == "PN" or any(one >> 16 & 1 for one in (tag, *parents)):
        return frozenset()
    if row is not None:
        return _keeping(tag, vr)
    if vr == "UI":
        return frozenset(("retain-uids",))
    if vr in DATES:
        return frozenset((FULL, MODIFIED) if vr == "TM" else (FULL,))
    return frozenset(option for parent in parents for option in _keeping(parent, "SQ"))


def _keeping(tag: int, vr: str) -> frozenset[str]:
    """Options that say K, or C of a time of day, which is not moved."""
    row = rows().get(tag)
    cells = row.options.items() if row else ()
    return frozenset(option for option, code in cells if code == "K" or vr == "TM")


def owed(fact: Fact, options: frozenset[str]) -> Owed:
    """What `options` owe to the element."""
    if fact.note == "free":
        return Owed.NOTHING
    if fact.kind is Kind.SAFE:
        return Owed.EQUAL if "retain-safe-private" in options else Owed.NOTHING
    lasting = all(survives(parent, options) for parent in fact.parents)
    if fact.note == "kept":
        return Owed.EQUAL
    claim = _by_row(fact, options) if fact.tag in rows() else _by_default(fact, options)
    if lasting or claim in (Owed.NOTHING, Owed.OTHER):
        return claim
    return Owed.MAPPED_IF_THERE if claim is Owed.MAPPED else Owed.NOTHING


def survives(tag: int, options: frozenset[str]) -> bool:
    """Whether the items of a sequence must be there afterwards."""
    row = rows().get(tag)
    if tag in PERSONAL:
        return False
    if row is None:
        return tag in DicomDictionary and not DicomDictionary[tag][3] and tag >> 16 not in WITHHELD
    return bool(options & set(row.options)) or row.basic in LASTING


def _by_row(fact: Fact, options: frozenset[str]) -> Owed:
    row = rows()[fact.tag]
    cells = {row.options[option] for option in options if option in row.options}
    if fact.vr in DATES and ("C" in cells):
        return Owed.SHIFTED
    if "C" in cells and "K" not in cells:
        return Owed.WORDS if fact.vr in TEXTS else Owed.NOTHING
    if "C" in cells:
        return Owed.NOTHING
    if "K" in cells:
        return Owed.CLASSED if fact.kind is Kind.AGE else Owed.EQUAL
    if fact.tag == ANNOTATION_TEXT and "clean-graphics" in options:
        return Owed.WORDS
    if fact.kind is Kind.UID:
        return Owed.MAPPED
    return Owed.OTHER if fact.kind in (Kind.PATIENT, Kind.NUMBER, Kind.DATE, Kind.TIME, Kind.AGE) else Owed.NOTHING


def _by_default(fact: Fact, options: frozenset[str]) -> Owed:
    if (
        fact.tag >> 16 in WITHHELD
        or fact.tag in REPOSITORIES
        or fact.tag not in DicomDictionary
        or DicomDictionary[fact.tag][3]
    ):
        return Owed.NOTHING
    if fact.vr in DATES:
        return Owed.SHIFTED if MODIFIED in options else Owed.EQUAL if FULL in options else Owed.OTHER
    if fact.kind is Kind.UID:
        return Owed.EQUAL if "retain-uids" in options else Owed.MAPPED
    if fact.tag == CONTENT_TEXT:
        return Owed.WORDS if "clean-structured-content" in options else Owed.NOTHING
    if fact.vr in FREE_TEXTS or (fact.vr in TEXTS and fact.kind is Kind.TEXT and fact.dirty):
        return Owed.WORDS if "clean-descriptors" in options else Owed.NOTHING
    return Owed.EQUAL if fact.kind in (Kind.PLAIN, Kind.TEXT) and not fact.dirty else Owed.NOTHING
