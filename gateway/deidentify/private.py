"""Which private elements are known to be safe (PS3.15 E.3.10), by the text of their creator: block numbers move (PS3.5 7.8.1).

The files are beside this module, the first line of each names its source: `safe_private.csv` is the standard's table, made by
`packaging/make_safe_private.py`; `safe_private_more.csv` has, by hand, numbers that diffusion and mosaic images cannot do without.
An element is kept only with the table's own VR, and a value that is legal for it (`forms`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.encoding import UNDEFINED, Codec, Header
from gateway.deidentify.options import DATES, FREE_TEXT

TABLES = {"safe_private.csv": "PS3.15 Table E.3.10-1", "safe_private_more.csv": "PS3.15 E.3.10, beyond its table:"}
"""File -> who says so, in the source of its rules."""
CREATORS = range(0x10, 0x100)
"""Elements of a private group that reserve a block (PS3.5 7.8.1)."""

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


Creators = Mapping[int, Mapping[int, Safe]]
"""Group and block number (0x001910) -> the rows of its creator, {} where nothing is known of it."""
CREATOR = Safe(b"LO", Rule(Action.KEEP, "PS3.15 Table E.3.10-1: creator of safe elements"))


@cache
def load_safe_private() -> SafePrivate:
    """Reads the tables that are shipped with the package."""
    folder = files("gateway.deidentify")
    table, more = (parse_safe_private(folder.joinpath(n).read_text("utf-8"), said) for n, said in TABLES.items())
    rows = {c: {**table.rows.get(c, {}), **more.rows.get(c, {})} for c in (*table.rows, *more.rows)}
    return SafePrivate(f"{table.source}; {more.source}", rows)


def parse_safe_private(text: str, said: str) -> SafePrivate:
    """`text`: a comment line, a header line, a line an element. `said`: who says that they are safe."""
    source, *lines = text.splitlines()
    rows: dict[bytes, dict[int, Safe]] = {}
    for cells in csv.DictReader(lines):
        vr = cells["vr"].encode()
        rule = Rule(_action(vr), f"{said} {cells['creator']}: {cells['name']}")
        place = int(cells["group"] + "00" + cells["element"], 16)
        rows.setdefault(cells["creator"].encode(), {})[place] = Safe(vr, rule)
    return SafePrivate(source.lstrip("# "), rows)


def note_creator(creators: Creators, tag: int, value: bytes) -> Creators:
    """`creators` and the block that (gggg,00bb) reserves; who reserved it first has it."""
    block = tag >> 8 & 0xFFFF00 | tag & 0xFF
    if block in creators:
        return creators
    rows = load_safe_private().rows.get(value.strip(b" \0"), {})
    return {**creators, block: rows if any(place >> 16 == tag >> 16 for place in rows) else {}}


def safe_rule(creators: Creators, tag: int) -> Safe | None:
    """The row of a private element, or `CREATOR` for the reservation of a block that has rows; None: not known to be safe."""
    if tag & 0xFFFF in CREATORS:
        return CREATOR if creators.get(tag >> 8 & 0xFFFF00 | tag & 0xFF) else None
    rows = creators.get(tag >> 8)
    return rows.get(tag & 0xFFFF00FF) if rows else None


def past_private(buf: bytes, head: Header, end: int, codec: Codec) -> int:
    """Behind all private elements in a row that begins with `head`, whatever their order: at `end`, or at what is none."""
    pos, low = head.value + head.length, codec.order == ">"
    while pos + 1 < end and buf[pos + low] & 1:
        head = codec.header(buf, pos)
        if head.length == UNDEFINED:
            break
        pos = head.value + head.length
    return pos


def unnumbered(tag: int) -> int:
    """`tag`, that of a private element without its block's number, which moves (PS3.5 7.8.1)."""
    return tag & 0xFFFF00FF if tag >> 16 & 1 else tag


def _action(vr: bytes) -> Action:
    """The table says what is safe, but not what somebody typed there: text is cleaned, a UID replaced, a date emptied."""
    if vr in DATES or vr == b"PN":
        return Action.EMPTY
    return Action.TEXT if vr in FREE_TEXT else _BY_VR.get(vr, Action.KEEP)
