"""Traps made from tables, so that no row is forgotten: every row of Table E.1-1, at the top and in an item, and every
element of the dictionary that has no row and holds a name, a date, a UID or free text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from tests.corpus.expect import TEXTS, rows
from tests.corpus.script import Line, lines

SIZE = 24
"""Elements of one trap."""
PLANTS = {
    "AE": "{ae}",
    "AS": "041Y",
    "CS": "{id}",
    "DA": "{date-7}",
    "DS": "{digits}",
    "DT": "{datetime-7 114511.250000}",
    "IS": "{digits}",
    "LO": "{} _{{name}}",
    "LT": "{} _{{name}} _{{phone}}",
    "OB": "{name} {id}",
    "PN": "{name}",
    "SH": "{id}",
    "ST": "{} _{{name}}",
    "TM": "{moment}",
    "UC": "{} _{{name}}",
    "UI": "{uid:new}",
    "UN": "{name}",
    "UR": "{url}",
    "UT": "{} _{{name}} _{{address}}",
}
"""What is planted in an element, by its VR."""
SPOKEN = re.compile(r"^[a-z]+ _")
SAID = ("chest", "abdomen", "head", "kidney", "liver", "knee", "spine", "pelvis", "thorax", "shoulder")
UNNAMED = ("DA", "DT", "LT", "PN", "ST", "TM", "UC", "UI", "UR", "UT")
"""VRs of which a value is no coded one, whatever the element."""
NO_INSTANCE = (
    "Class",
    "Transfer Syntax",
    "Coding Scheme",
    "Context UID",
    "Resource UID",
    "Encoding",
    "Context Group",
    "Syntax",
)
NO_PART = frozenset({0x00420011, 0xFFFAFFFA, 0xFFFCFFFC, 0x04000500})
"""Rows that have a trap of their own."""
PARENT = 0x00082218
"""A sequence that Table E.1-1 does not name."""


@cache
def table_traps() -> dict[str, tuple[Line, ...]]:
    """Name of the trap -> its lines."""
    known = [_line(tag, row.vr) for tag, row in sorted(rows().items()) if tag >> 16 >= 8 and tag not in NO_PART]
    taken = {line.tag for line in lines("objects.txt", "base")}
    found = _grouped("row", [line for line in known if line.tag not in taken])
    nested = _grouped("row-nested", known)
    found |= {name: (_sequence(group, number),) for number, (name, group) in enumerate(nested.items())}
    return found | _grouped("default", _unnamed())


def _grouped(name: str, made: Sequence[Line]) -> dict[str, tuple[Line, ...]]:
    """Every so many apart, so that one file has of everything."""
    number = -(-len(made) // SIZE)
    return {f"{name}-{n + 1:02d}": tuple(made[n::number]) for n in range(number)}


def _sequence(group: tuple[Line, ...], number: int) -> Line:
    """One item with a whole code and the elements of the group; of undefined length every second time."""
    return Line(PARENT, "SQ", items=((*lines("traps.txt", "row-code"), *group),), open=bool(number & 1))


def _line(tag: int, vr: str) -> Line:
    if vr == "SQ":
        return Line(tag, vr, items=(lines("traps.txt", "row-item"),))
    plant = PLANTS.get(vr, "7")
    if vr in TEXTS - {"SH"}:
        plant = plant.format(SAID[tag // 4 % len(SAID)])
    row = rows().get(tag)
    if row is not None and "C" not in row.options.values():
        plant = SPOKEN.sub("", plant)  # an identifier: everyday words in it would be the patient's own
    return Line(tag, vr, plant)


def _unnamed() -> list[Line]:
    """Elements of the standard without a row, none of them retired."""
    return [
        _line(tag, entry[0])
        for tag, entry in sorted(DicomDictionary.items())
        if tag not in rows()
        and entry[0] in UNNAMED
        and not entry[3]
        and 8 <= tag >> 16 < 0xFFFC
        and not _is_class(entry)
    ]


def _is_class(entry: tuple[str, str, str, str, str]) -> bool:
    """A UID that names no instance."""
    return entry[0] == "UI" and any(word in entry[2] for word in NO_INSTANCE)
