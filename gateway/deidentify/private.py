"""Which private elements are known to be safe (PS3.15 E.3.10), by the text of their creator: block numbers move (PS3.5 7.8.1).

The file is `safe_private.csv` beside this module, made by `packaging/make_safe_private.py`; its first line names the source.
An element is kept only with the table's own VR and a value that is legal for it: a name in a number's place is not a number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.options import DATES, FREE_TEXT

CREATORS = range(0x10, 0x100)
"""Elements of a private group that reserve a block (PS3.5 7.8.1)."""

_DECIMAL = rb" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)? *"
_LEGAL = {
    b"CS": re.compile(rb"[A-Z0-9 _]{0,16}(?:\\[A-Z0-9 _]{0,16})*"),
    b"DS": re.compile(rb"(?:" + _DECIMAL + rb")?(?:\\(?:" + _DECIMAL + rb")?)*"),
    b"IS": re.compile(rb" *(?:[+-]?[0-9]{1,10} *)?(?:\\ *(?:[+-]?[0-9]{1,10} *)?)*"),
    b"AS": re.compile(rb"(?:[0-9]{3}[DWMY])?(?:\\[0-9]{3}[DWMY])*"),
}
_SIZES = {b"US": 2, b"SS": 2, b"AT": 4, b"UL": 4, b"SL": 4, b"FL": 4, b"FD": 8, b"SV": 8, b"UV": 8}
_BY_VR = {b"SQ": Action.ITEMS, b"UI": Action.UID, b"AS": Action.AGE}


@dataclass(frozen=True)
class Safe:
    """One row of the table. `rule`: what is done to the element, and that the row says so."""

    vr: bytes
    rule: Rule


@dataclass(frozen=True)
class SafePrivate:
    """`rows`: creator -> group and low byte of the element (0x0019000C) -> row."""

    source: str
    rows: Mapping[bytes, Mapping[int, Safe]] = field(repr=False)


@cache
def load_safe_private() -> SafePrivate:
    """Reads the table that is shipped with the package."""
    return parse_safe_private(files("gateway.deidentify").joinpath("safe_private.csv").read_text(encoding="utf-8"))


def parse_safe_private(text: str) -> SafePrivate:
    """`text`: a comment line, a header line, a line an element."""
    source, *lines = text.splitlines()
    rows: dict[bytes, dict[int, Safe]] = {}
    for cells in csv.DictReader(lines):
        vr = cells["vr"].encode()
        rule = Rule(_action(vr), f"PS3.15 Table E.3.10-1 {cells['creator']}: {cells['name']}")
        place = int(cells["group"] + "00" + cells["element"], 16)
        rows.setdefault(cells["creator"].encode(), {})[place] = Safe(vr, rule)
    return SafePrivate(source.lstrip("# "), rows)


def is_legal(vr: bytes, raw: bytes) -> bool:
    """Whether `raw` can be a value of that VR at all, of those that are kept as they are."""
    size = _SIZES.get(vr)
    if size:
        return len(raw) % size == 0
    form = _LEGAL.get(vr)
    return form is None or form.fullmatch(raw.rstrip(b" \0")) is not None


def _action(vr: bytes) -> Action:
    """The table says what is safe, but not what somebody typed there: text is cleaned, a UID replaced, a date emptied."""
    if vr in DATES or vr == b"PN":
        return Action.EMPTY
    return Action.TEXT if vr in FREE_TEXT else _BY_VR.get(vr, Action.KEEP)
