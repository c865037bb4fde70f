"""The codes of Table E.1-1 as actions, and the dummy values that keep an element legal for its VR.

How the conditional codes are resolved: by their last letter, which is the strictest attribute type the row foresees
(Table E.1-1a: X for Type 3, Z for Type 2, D for Type 1). A dummy is legal in an element of any type, an empty value in
Types 2 and 3, so the object stays as valid as it was whatever its IOD, and no choice reveals more than another:

    X/Z -> Z      X/D, Z/D, X/Z/D -> D      X/Z/U* -> the sequence is kept, the UIDs in its items are replaced

A sequence cannot hold a dummy value. D on a sequence keeps its items and applies the rules to every element in them; in the
sequences of `PERSONAL`, whose very codes name a person or a place, all text in the items becomes a dummy as well.
An element that came empty stays empty under D and U: there is nothing to hide, and nothing is invented.
"""

from __future__ import annotations

from enum import StrEnum

TEXT_VRS = frozenset(
    (
        b"AE",
        b"AS",
        b"CS",
        b"DA",
        b"DS",
        b"DT",
        b"IS",
        b"LO",
        b"LT",
        b"PN",
        b"SH",
        b"ST",
        b"TM",
        b"UC",
        b"UI",
        b"UR",
        b"UT",
    )
)
NUMBER_VRS = frozenset((b"AT", b"FD", b"FL", b"SL", b"SS", b"SV", b"UL", b"US", b"UV"))


class Action(StrEnum):
    """What is done to one element. The value is the code that `profile` and `explain` show."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    IDENTIFIER = "D (keyed hash)"
    PATIENT_ID = "D (pseudonym)"
    VALUE = "D (fixed value)"
    ITEMS = "K (items cleaned)"
    SCRUB = "D (items cleaned, text replaced)"


DUMMIES: dict[bytes, bytes] = {
    b"AE": b"ANON",
    b"AS": b"000Y",
    b"AT": b"\0\0\0\0",
    b"CS": b"ANON",
    b"DA": b"19000101",
    b"DS": b"0",
    b"DT": b"19000101000000",
    b"FD": b"\0" * 8,
    b"FL": b"\0" * 4,
    b"IS": b"0",
    b"LO": b"ANON",
    b"LT": b"ANON",
    b"OB": b"\0\0",
    b"OD": b"\0" * 8,
    b"OF": b"\0" * 4,
    b"OL": b"\0" * 4,
    b"OV": b"\0" * 8,
    b"OW": b"\0\0",
    b"PN": b"ANON",
    b"SH": b"ANON",
    b"SL": b"\0" * 4,
    b"SS": b"\0\0",
    b"ST": b"ANON",
    b"SV": b"\0" * 8,
    b"TM": b"000000",
    b"UC": b"ANON",
    b"UL": b"\0" * 4,
    b"UN": b"\0\0",
    b"UR": b"urn:anon",
    b"US": b"\0\0",
    b"UT": b"ANON",
    b"UV": b"\0" * 8,
}
"""One legal value per VR (PS3.5 6.2); the same for every patient, so that it says nothing. Zeros have no byte order."""

PATIENT_ID = 0x00100020
IDENTIFIERS = frozenset({0x00080050, 0x00200010, 0x00120040, 0x00120042})
"""Accession Number, Study ID, Clinical Trial Subject ID and Reading ID: Z or D, but as a keyed hash, which a dummy may be
(Table E.1-1a), so that what belonged together still does."""

PERSONAL = frozenset({0x00080082, 0x00081072, 0x00401101, 0x0040A073})
"""Institution Code, Operator Identification, Person Identification Code and Verifying Observer Sequence."""

_LEAF = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.UID,
}


def resolve(code: str, tag: int, vr: bytes) -> Action:
    """The action for a row's Basic code; see the module for the rule. `vr`: the dictionary's."""
    leaf = _LEAF[code]
    if vr == b"SQ":
        if leaf in (Action.REMOVE, Action.EMPTY):
            return leaf
        return Action.SCRUB if tag in PERSONAL else Action.ITEMS
    if tag == PATIENT_ID:
        return Action.PATIENT_ID
    if tag in IDENTIFIERS:
        return Action.IDENTIFIER
    if vr == b"UI" and leaf is Action.DUMMY:
        return Action.UID
    return leaf
