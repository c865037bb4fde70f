"""Reads `objects.txt` and `traps.txt`: what a data set holds, as lines.

[ct] 1.2.840.10008.5.1.4.1.1.2          a section and its argument
+patient                                the lines of another section
KVP = 120                               keyword, value
0029,1010:LO = {word}                   tag and VR; also Keyword:VR for a wrong one
ReferencedImageSequence~                of undefined length
  - ReferencedSOPClassUID = 1.2.3       an item, and the next lines that are indented as far
PatientComments = CHEST _for {name}     words to keep; `_word` may go or stay; {…} is planted
StationName = X -- free                 nothing is owed: `free`, `safe` (private, known safe), `kept` (whatever the table says)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword

LINE = re.compile(
    r"(?P<name>[A-Za-z]\w*|[0-9A-Fa-f]{4},[0-9A-Fa-f]{4})(?::(?P<vr>[A-Z]{2}))?(?P<open>~)?(?P<odd>\^)?"
    r"(?: = ?(?P<value>.*?))?(?: -- (?P<note>free|safe|kept))?"
)
SECTION = re.compile(r"\[(\S+)\]\s*(.*)")


@dataclass(frozen=True)
class Line:
    """One element. `items`: of a sequence, else `value` counts. `open`: of undefined length; `odd`: not padded.

    `trap`: the section of `traps.txt` that it came from, "" for the object's own.
    """

    tag: int
    vr: str
    value: str = ""
    items: tuple[tuple[Line, ...], ...] | None = None
    open: bool = False
    odd: bool = False
    note: str = ""
    trap: str = ""


@dataclass
class Section:
    """`argument`: what stands behind the name. `rows`: (depth, begins an item, text), or (0, False, "+other")."""

    name: str
    argument: str
    rows: list[tuple[int, bool, str]] = field(default_factory=list)


@cache
def sections(file: str) -> dict[str, Section]:
    """All sections of a script beside this module."""
    found: dict[str, Section] = {}
    current = Section("", "")
    for text in Path(__file__).with_name(file).read_text("utf-8").splitlines():
        start = SECTION.fullmatch(text)
        if start:
            current = found[start[1]] = Section(start[1], start[2])
        elif text.strip() and not text.startswith("#"):
            current.rows.append(_row(text))
    return found


@cache
def lines(file: str, name: str) -> tuple[Line, ...]:
    """The elements of one section, in the order of the script."""
    rows = list(_included(sections(file), name))
    made, used = _level(rows, 0, 0)
    if used != len(rows):
        raise ValueError(f"[{name}]: cannot read {rows[used][2]!r}")
    return tuple(made)


def _row(text: str) -> tuple[int, bool, str]:
    stripped = text.lstrip()
    indent = len(text) - len(stripped)
    begins = stripped.startswith("- ")
    return (indent + 2) // 2 if begins else indent // 2, begins, stripped[2:] if begins else stripped


def _included(known: dict[str, Section], name: str, shift: int = 0) -> Iterator[tuple[int, bool, str]]:
    """The rows of a section, those of `+other` in their place and at its depth."""
    for depth, begins, text in known[name].rows:
        if text.startswith("+"):
            inner = list(_included(known, text[1:], shift + depth))
            first = inner[0]
            yield from [(first[0], begins or first[1], first[2]), *inner[1:]]
        else:
            yield depth + shift, begins, text


def _level(rows: list[tuple[int, bool, str]], at: int, depth: int) -> tuple[list[Line], int]:
    """The elements of one data set or item, up to the next item or a lesser depth."""
    made: list[Line] = []
    while at < len(rows) and rows[at][0] == depth and not (made and rows[at][1] and depth):
        text, at = rows[at][2], at + 1
        items = []
        while at < len(rows) and rows[at][0] == depth + 2 and rows[at][1]:
            item, at = _level(rows, at, depth + 2)
            items.append(tuple(item))
        made.append(_line(text, tuple(items)))
    return made, at


def _line(text: str, items: tuple[tuple[Line, ...], ...]) -> Line:
    match = LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"cannot read {text!r}")
    tag = tag_for_keyword(match["name"]) if "," not in match["name"] else int(match["name"].replace(",", ""), 16)
    if tag is None:
        raise ValueError(f"no such keyword: {match['name']}")
    vr = match["vr"] or _vr(int(tag))
    sequence = items if items or (match["value"] is None and vr in ("SQ", "UN")) else None
    return Line(
        int(tag), vr, match["value"] or "", sequence, bool(match["open"]), bool(match["odd"]), match["note"] or ""
    )


def _vr(tag: int) -> str:
    """The dictionary's; OW or US where it has a choice."""
    vr = dictionary_VR(tag)
    return "OW" if vr == "OB or OW" else vr[:2]
