"""Which type an attribute has in the IOD of an instance's SOP class, at the top level and in each sequence (PS3.3, PS3.5 7.4).

The file is `types.csv` beside this module, made by `packaging/make_type_table.py`; its first line names the source. It holds
what an action depends on: the types of attributes that the profile would remove or empty, and where a cleaned one must not
be empty. Of several modules and macros in which an attribute occurs the strictest type counts; what is not listed is Type 3
or absent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

TYPES = frozenset({"1", "1C", "2", "2C"})
STORAGE = "1.2.840.10008.5.1.4.1.1."
"""The root of nearly all storage classes (PS3.4 B.5), left out in the file where a UID begins with it."""

Places = Mapping[int, Mapping[int, str]]
"""Tag of the enclosing sequence, 0 at the top level -> tag -> type."""


@dataclass(frozen=True)
class Types:
    """`source`: the first line of the file. `classes`: SOP class -> where -> tag -> type."""

    source: str
    classes: Mapping[bytes, Places] = field(repr=False)

    def needs_value(self, sop_class: bytes, parent: int, tag: int) -> bool:
        """Whether an element that is there must not be empty, as far as the file tells."""
        return self.classes.get(sop_class, {}).get(parent, {}).get(tag, "3")[0] == "1"


@cache
def load_types() -> Types:
    """Reads the table that is shipped with the package."""
    return parse_types(files("gateway.deidentify").joinpath("types.csv").read_text(encoding="utf-8"))


def parse_types(text: str) -> Types:
    """`text`: a comment line, a header line, a line per parent, tag and type. Raises ValueError on an unknown type."""
    source, *lines = text.splitlines()
    classes: dict[bytes, dict[int, dict[int, str]]] = {}
    for row in csv.DictReader(lines):
        if row["type"] not in TYPES:
            raise ValueError(f"unknown type in the row of {row['tag']}")
        parent, tag = int(row["parent"], 16), int(row["tag"], 16)
        for uid in _expanded(row["classes"].split()):
            classes.setdefault(uid, {}).setdefault(parent, {})[tag] = row["type"]
    return Types(source.lstrip("# "), classes)


def _expanded(names: Iterable[str]) -> Iterable[bytes]:
    return ((name if name.startswith("1.2.840.") else STORAGE + name).encode() for name in names)
