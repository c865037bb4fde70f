"""The rules of the standard under a set of options: Table E.1-1 first, `defaults` for what it does not name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.actions import Action, Rule, resolve
from gateway.deidentify.defaults import RETIRED_NUMBERS, default_for
from gateway.deidentify.encoding import DELIMITERS, PIXEL_TAGS
from gateway.deidentify.options import MODIFIED_DATES, Options, allowed, cell_of
from gateway.deidentify.table import Row, Table

DATA_SET = 0x0008  # the first group of a data set (PS3.5 7.1)
MARKS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
BIRTH_DATE = 0x00100030
TIME_ZONE = 0x00080201
"""Timezone Offset From UTC: a part of every time, which cleaning it as text would empty."""
UNFORMATTED_TEXT = 0x00700006
"""The text of graphic and of waveform annotations: the table has it under Clean Descriptors, E.3.3 and E.3.4 are about it too."""

ALWAYS = ("D", "U")
"""Basic codes that no type changes."""


class Fork(NamedTuple):
    """What an element's type in the IOD decides on: the Basic code, or the like of a default; and who says so."""

    code: str
    source: str


@dataclass(frozen=True)
class Standard:
    """`rules`: every tag of table and dictionary, as in an unknown IOD. `forks`: those that a known IOD may change."""

    rules: dict[int, Rule] = field(repr=False)
    forks: dict[int, Fork] = field(repr=False)
    vrs: Mapping[int, bytes] = field(repr=False)


def make_standard(table: Table, options: Options) -> Standard:
    vrs = {tag: _one_vr(entry[0]) for tag, entry in DicomDictionary.items() if tag >> 16 != DELIMITERS}
    rows = {int(row.tag, 16): row for row in table.rows if row.vr}  # groups of tags fall under `unnamed`: removed
    vrs |= {tag: row.vr.encode() for tag, row in rows.items()}
    made = Standard({}, {}, vrs)
    for tag, vr in vrs.items():
        if tag in MARKS:
            made.rules[tag] = Rule(Action.REMOVE, "PS3.15 E.1.1: written anew")
        elif tag in PIXEL_TAGS:
            made.rules[tag] = Rule(Action.REMOVE, "default: pixel data, kept at the top level only")
        elif tag in rows:
            _put_row(made, tag, rows[tag], table.edition, options)
        else:
            _put_default(made, tag, vr, options)
    return made


def _one_vr(vr: str) -> bytes:
    """One VR where the dictionary has a choice: OW if it is one, which implicit encodings use (PS3.5 A.1), else the first."""
    return b"OW" if vr in ("OB or OW", "US or OW") else vr[:2].encode()


def _put_row(made: Standard, tag: int, row: Row, edition: str, options: Options) -> None:
    table = f"PS3.15 Table E.1-1 {edition}"
    source = f"{table} basic {row.basic}"
    if tag >> 16 < DATA_SET:  # of a command or of the file meta information
        made.rules[tag] = Rule(Action.REMOVE, f"{source}; no part of a data set")
        return
    rule = _by_option(row, tag, made.vrs[tag], table, options)
    made.rules[tag] = rule or Rule(resolve(row.basic, tag, made.vrs[tag]), source)
    if rule is None and row.basic not in ALWAYS:
        made.forks[tag] = Fork(row.basic, source)


def _by_option(row: Row, tag: int, vr: bytes, table: str, options: Options) -> Rule | None:
    """The rule that an applied option makes of a row; None where the Basic column stands."""
    cell = cell_of(row.options, options)
    action = allowed(cell.code, vr) if cell else None
    if tag == TIME_ZONE and action is Action.TEXT:
        action = Action.ZONE
    if cell and action:
        return Rule(action, f"{table} {cell.option} {cell.code}", spared=action in (Action.KEEP, Action.AGE))
    if tag == BIRTH_DATE and options.shift_dates:
        return Rule(Action.BIRTH, f"{table} basic {row.basic}, a dummy: {MODIFIED_DATES}")
    annotates = options.clean_graphics or options.clean_structured
    if tag == UNFORMATTED_TEXT and annotates:
        return Rule(
            Action.TEXT,
            f"PS3.15 {'E.3.3 clean-graphics' if options.clean_graphics else 'E.3.4 clean-structured-content'}",
        )
    return None


def _put_default(made: Standard, tag: int, vr: bytes, options: Options) -> None:
    if DicomDictionary[tag][3] and tag not in RETIRED_NUMBERS:
        made.rules[tag] = Rule(Action.REMOVE, "default: retired")
        return
    rule = default_for(tag, vr, options)
    made.rules[tag] = rule
    if tag >> 16 >= DATA_SET and rule.action in (Action.REMOVE, Action.EMPTY):
        made.forks[tag] = Fork("X" if rule.action is Action.REMOVE else "Z", rule.source)
