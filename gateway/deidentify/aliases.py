"""Merged patients: a project's own list of patient IDs that are another's now. CSV, its first line `patient_id,survivor`.

A list that does not say of each who it is in the end joins nobody: an ID that survives as two, or in a circle, is a mistake.
All are told at once, with file and line, and no message repeats a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gateway.deidentify.crosswalk import DELIMITERS, MOST_TOLD, is_legal
from gateway.errors import BadConfiguration, Mistake

COLUMNS: Final = ("patient_id", "survivor")
NO_ALIASES: Final[Mapping[str, str]] = MappingProxyType({})


def read_aliases(file: str, content: bytes) -> dict[str, str]:
    """`file`: its name, for messages. -> patient ID -> the one that it is in the end. Raises BadConfiguration."""
    found: dict[str, str] = {}
    faults = list(_take(content, found))
    faults += [] if faults else _circles(found)
    if faults:
        told = [Mistake(file, line, "aliases", what, allowed) for line, what, allowed in faults[:MOST_TOLD]]
        raise BadConfiguration(tuple(told))
    return {patient: _end(found, patient) for patient in found}


def _take(content: bytes, found: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield 1, "not UTF-8 text", "a CSV file saved as UTF-8"
        return
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if tuple(name.strip().lower() for name in next(reader, [])[:2]) != COLUMNS:
            yield 1, "not the column names", f"{delimiter.join(COLUMNS)} in the first line"
            return
        for cells in reader:
            patient, survivor, *_ = [cell.strip(" \0") for cell in (*cells, "", "")]
            if any((patient, survivor)):
                yield from _line(reader.line_num, patient, survivor, found)
    except csv.Error:
        yield reader.line_num, "quotes that do not match, or a NUL", "CSV as of RFC 4180"


def _line(number: int, patient: str, survivor: str, found: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    if not is_legal(patient) or not is_legal(survivor):
        yield number, "no legal patient ID", "1 to 64 printable characters, no backslash"
    elif found.setdefault(patient, survivor) != survivor:
        yield number, "a patient ID that survives as two", "each patient_id once"


def _circles(found: Mapping[str, str]) -> list[tuple[int, str, str]]:
    for patient in found:
        seen = {patient}
        while (patient := found.get(patient, "")) not in {"", *seen}:
            seen.add(patient)
        if patient:
            return [(0, "patient IDs that survive in a circle", "a last one that survives")]
    return []


def _end(found: Mapping[str, str], patient: str) -> str:
    while patient in found:
        patient = found[patient]
    return patient


def as_encoded(aliases: Mapping[str, str]) -> dict[bytes, bytes]:
    """As data sets may have them: in UTF-8 and, where it can be written in it, in Latin-1."""
    pairs = ((p, s, code) for p, s in aliases.items() for code in ("utf-8", "latin-1"))
    return {p.encode(code): s.encode(code) for p, s, code in pairs if code == "utf-8" or max(p + s) <= "\xff"}
