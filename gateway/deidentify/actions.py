"""The codes of Table E.1-1 as actions, and the dummy values that keep an element legal for its VR.

How the conditional codes are resolved (PS3.15 Table E.1-1a): by the attribute's type in the instance's own IOD, which
`types.csv` knows, the strictest of all modules in which it occurs. Where the IOD is unknown (or private), by the code's last
letter, whose outcome is legal in an element of any type:

    Type        X      Z      X/Z    X/D    Z/D    X/Z/D  X/Z/U*
    1           D      D      D      D      D      D      U
    1C          X      D      D      D      D      D      U
    2           Z      Z      Z      Z      Z      Z      U
    2C          Z      Z      Z      Z      Z      Z      U
    3, absent   X      Z      X      X      Z      X      U
    IOD unknown X      Z      Z      D      D      D      U

X of a Type 1, 2 or 2C element would break the object, so it becomes the dummy or the empty value that its type asks for; one
of Type 1C is removed. X/Z/U* is always U: the items hold references alone, and a mapped UID tells no more than none.

A sequence cannot hold a dummy value. D on a sequence keeps its items and applies the rules to every element in them; in the
sequences of `PERSONAL`, whose very codes name a person or a place, and in those that should have been removed, all text in
the items becomes a dummy as well; dates there are what they are elsewhere. An element that came empty stays empty under D
and U: nothing is invented.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    SHIFT = "C (date shifted)"
    ZONE = "C (offset checked)"
    TEXT = "C (text cleaned)"
    AGE = "K (over 89 as 090Y)"
    BIRTH = "D (date shifted)"
    ICC = "K (text blanked)"
    DOCUMENT = "D (empty document)"


@dataclass(frozen=True)
class Rule:
    """What is done to an element and which rule says so. `value`: of Action.VALUE.

    `spared`: an option or the project lets the original value through, so `verify` must not call it a leak elsewhere.
    """

    action: Action
    source: str
    value: bytes = b""
    spared: bool = False


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
DOCUMENT = 0x00420011
IDENTIFIERS = frozenset({0x00080050, 0x00200010, 0x00120040, 0x00120042, 0x00400512, 0x00400551})
"""Accession Number, Study ID, Clinical Trial Subject ID and Reading ID, Container and Specimen Identifier: Z or D, but as a keyed
hash, which a dummy may be (Table E.1-1a), so that what belonged together still does, and slides and their blocks stay apart."""

PERSONAL = frozenset({0x00080082, 0x00081072, 0x00401101, 0x0040A073})
"""Institution Code, Operator Identification, Person Identification Code and Verifying Observer Sequence."""

_LEAF = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}
_BY_TYPE: dict[str, dict[str, str]] = {
    "1": dict.fromkeys(("X", "Z", "X/Z", "X/D", "Z/D", "X/Z/D"), "D"),
    "1C": {"X": "X"} | dict.fromkeys(("Z", "X/Z", "X/D", "Z/D", "X/Z/D"), "D"),
    "2": dict.fromkeys(("X", "Z", "X/Z", "X/D", "Z/D", "X/Z/D"), "Z"),
    "2C": dict.fromkeys(("X", "Z", "X/Z", "X/D", "Z/D", "X/Z/D"), "Z"),
    "3": {"Z": "Z", "Z/D": "Z"} | dict.fromkeys(("X", "X/Z", "X/D", "X/Z/D"), "X"),
    "": {"X": "X", "Z": "Z", "X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D"},
}
"""The table above. "3" stands for an absent one too, "" for an unknown IOD."""

UNKNOWN_IOD = ""


def resolve(code: str, tag: int, vr: bytes, kind: str = UNKNOWN_IOD) -> Action:
    """The action for a row's Basic code. `vr`: the dictionary's. `kind`: the type in the IOD, "3" where it has none such."""
    letter = _BY_TYPE[kind].get(code, code[-1] if code != "X/Z/U*" else "U")
    if vr == b"SQ":
        return _of_sequence(code, letter, tag)
    if tag == PATIENT_ID:
        return Action.PATIENT_ID
    if tag in IDENTIFIERS:
        return Action.IDENTIFIER
    if letter == "D" and tag == DOCUMENT:
        return Action.DOCUMENT
    if letter == "D" and vr == b"UI":
        return Action.UID
    return _LEAF[letter]


def _of_sequence(code: str, letter: str, tag: int) -> Action:
    if letter in "XZ":
        return _LEAF[letter]
    return Action.SCRUB if tag in PERSONAL or code in ("X", "Z") else Action.ITEMS
