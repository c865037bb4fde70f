"""The options of PS3.15 E.3 by their names in the configuration: what each allows, and which code records its use.

Precedence. "A requirement for an Option, when implemented, overrides any requirement for the underlying Profile" (E.1.1): where
an applied option has a cell in the row, the cell decides, else the Basic column. Between options the standard sets no order:

- Full Dates and Modified Dates ask for opposites (E.3.6): together they are refused;
- where one applied option says C and another K (dates of a device under Retain Device Identity and Modified Dates), C decides:
  E.3.6 says that any date in the table *shall* be modified, and a cleaned value discloses less;
- a cell that says C where nothing can clean the value (a code string, an AE title, bytes) leaves the Basic column in force.

What a cell does: K keeps the value, in a sequence it applies the rules to each item (E.1.1); C shifts a date, cleans text, and
applies the rules to each item of a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.deidentify.actions import Action
from gateway.deidentify.override import BadProfile

FULL_DATES = "retain-longitudinal-full-dates"
MODIFIED_DATES = "retain-longitudinal-modified-dates"
BASIC_PROFILE = ("113100", "Basic Application Confidentiality Profile")

CODES: Mapping[str, tuple[str, str]] = {
    "clean-pixel-data": ("113101", "Clean Pixel Data Option"),
    "clean-graphics": ("113103", "Clean Graphics Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
}
"""Option -> code value and meaning (PS3.16 CID 7050), in the order of the codes. Clean Recognizable Visual Features: not there."""

FREE_TEXT = frozenset((b"LO", b"LT", b"SH", b"ST", b"UC", b"UT"))
DATES = frozenset((b"DA", b"DT", b"TM"))


@dataclass(frozen=True)
class Options:
    """The options of one profile. `names`: each once, in the order of `CODES`. `methods`: for the method code sequence.

    `temporal`: of Longitudinal Temporal Information Modified (0028,0303), "REMOVED", "MODIFIED" or "UNMODIFIED".
    """

    names: tuple[str, ...] = ()
    methods: tuple[tuple[str, str], ...] = (BASIC_PROFILE,)
    temporal: str = "REMOVED"

    @property
    def shift_dates(self) -> bool:
        return MODIFIED_DATES in self.names

    @property
    def full_dates(self) -> bool:
        return FULL_DATES in self.names

    @property
    def clean_text(self) -> bool:
        return "clean-descriptors" in self.names

    @property
    def clean_structured(self) -> bool:
        return "clean-structured-content" in self.names

    @property
    def clean_graphics(self) -> bool:
        return "clean-graphics" in self.names

    @property
    def safe_private(self) -> bool:
        return "retain-safe-private" in self.names

    @property
    def screen_pixels(self) -> bool:
        return "clean-pixel-data" in self.names

    @property
    def retain_uids(self) -> bool:
        return "retain-uids" in self.names


class Cell(NamedTuple):
    """What an applied option says in one row."""

    option: str
    code: str  # K or C


def applied(options: Sequence[str]) -> Options:
    """The options by name; order and repetition do not matter. Raises BadProfile for one that is unknown or excludes another."""
    unknown = sorted(set(options) - set(CODES))
    if unknown:
        raise BadProfile(f"{unknown[0]}: no option that this version can apply")
    if FULL_DATES in options and MODIFIED_DATES in options:
        raise BadProfile(f"{FULL_DATES} together with {MODIFIED_DATES}: one of the two (PS3.15 E.3.6)")
    names = tuple(name for name in CODES if name in options)
    temporal = "UNMODIFIED" if FULL_DATES in names else "MODIFIED" if MODIFIED_DATES in names else "REMOVED"
    return Options(names, (BASIC_PROFILE, *(CODES[name] for name in names)), temporal)


def cell_of(row: Mapping[str, str], options: Options) -> Cell | None:
    """The cell that decides in a row, `row`: option -> K or C; C comes before K. None: no applied option has one."""
    cells = [Cell(name, row[name]) for name in options.names if name in row]
    return min(cells, key=lambda cell: cell.code) if cells else None


def allowed(code: str, vr: bytes) -> Action | None:
    """The action of a cell's K or C for an element of that VR; None: it cannot be cleaned, the Basic column stands."""
    if vr == b"SQ":
        return Action.ITEMS
    if code == "K":
        return Action.AGE if vr == b"AS" else Action.KEEP
    if vr in DATES:
        return Action.SHIFT
    return Action.TEXT if vr in FREE_TEXT else None
