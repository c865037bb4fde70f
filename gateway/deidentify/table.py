"""Table E.1-1 of PS3.15 as data: which attributes there are, and what each column of the standard says about them.

The file is `table.csv` beside this module, made by `packaging/make_deid_table.py`; its first line names the edition.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

CODES = frozenset({"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"})
"""The codes of the Basic column (PS3.15 Table E.1-1a)."""


@dataclass(frozen=True)
class Row:
    """One row. `tag`: eight hex digits, or `50xxxxxx`, `60xx3000`, `60xx4000`, `private`. `vr`: "" for those."""

    tag: str
    name: str
    vr: str
    basic: str
    options: Mapping[str, str] = field(default_factory=dict)  # option name of interface.md -> K or C


@dataclass(frozen=True)
class Table:
    """The whole table. `edition` such as "2026c"; `source`: the first line of the file."""

    edition: str
    source: str
    rows: tuple[Row, ...]


def load_table() -> Table:
    """Reads the table that is shipped with the package."""
    return parse_table(files("gateway.deidentify").joinpath("table.csv").read_text(encoding="utf-8"))


def parse_table(text: str) -> Table:
    """`text`: a comment line that names the edition, a header line, a line a row. Raises ValueError on an unknown code."""
    source, *lines = text.splitlines()
    words = source.split()
    edition = words[words.index("E.1-1") + 1].rstrip(";")
    return Table(edition, source.lstrip("# "), tuple(_row(cells) for cells in csv.DictReader(lines)))


def _row(cells: dict[str, str]) -> Row:
    tag, name, vr, basic = (cells.pop(c) for c in ("tag", "name", "vr", "basic"))
    if basic not in CODES:
        raise ValueError(f"unknown code in the row of {tag}")
    return Row(tag, name, vr, basic, {option: code for option, code in cells.items() if code})
