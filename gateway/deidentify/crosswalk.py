"""The crosswalk: a project's own list of patient IDs and pseudonyms, CSV with a line of column names `patient_id,pseudonym`.

Every line must tell who becomes what, alone: a patient ID or a pseudonym that occurs twice would join or split patients, and a
pseudonym that is a patient ID of the list would tell what it is to hide. All mistakes are told at once, with file and line, and
no message repeats a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from gateway.errors import BadConfiguration, Mistake

PATIENT, PSEUDONYM = "patient_id", "pseudonym"
DELIMITERS = ",;\t"
LONGEST = 64
"""Characters of LO (PS3.5 6.2)."""
MOST_TOLD = 20
"""Mistakes: a file that is wrong throughout needs no longer list."""


class Line(NamedTuple):
    """`number` counts from 1, the line of column names included."""

    number: int
    patient: str
    pseudonym: str


class Fault(NamedTuple):
    line: int
    column: str
    found: str
    allowed: str


def read_crosswalk(file: str, content: bytes) -> dict[bytes, bytes]:
    """`file`: its name, for messages. -> patient ID, in UTF-8 and in Latin-1, -> pseudonym. Raises BadConfiguration."""
    text = _text(file, content)
    lines, faults = _lines(text)
    faults = sorted([*faults, *_illegal(lines), *_repeated(lines), *_disclosing(lines)])
    if faults:
        raise BadConfiguration(tuple(_told(file, faults)))
    return {line.patient.encode(c): line.pseudonym.encode() for line in lines for c in _encodings(line.patient)}


def _text(file: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
    raise BadConfiguration((Mistake(file, line, "crosswalk", "not UTF-8 text", "a CSV file saved as UTF-8"),))


def _lines(text: str) -> tuple[list[Line], list[Fault]]:
    """The lines below the column names; blank ones and further columns do not count."""
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if names.count(PATIENT) != 1 or names.count(PSEUDONYM) != 1:
            return [], [
                Fault(1, "crosswalk", "not the column names", f"{PATIENT}{delimiter}{PSEUDONYM} in the first line")
            ]
        columns = names.index(PATIENT), names.index(PSEUDONYM)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                patient, pseudonym = (cells[n].strip(" \0") if n < len(cells) else "" for n in columns)
                lines.append(Line(reader.line_num, patient, pseudonym))
    except csv.Error:
        return lines, [Fault(reader.line_num, "crosswalk", "quotes that do not match, or a NUL", "CSV as of RFC 4180")]
    return lines, []


def _illegal(lines: list[Line]) -> Iterator[Fault]:
    for line in lines:
        if not is_legal(line.patient):
            yield Fault(
                line.number, PATIENT, "no legal patient ID", f"1 to {LONGEST} printable characters, no backslash"
            )
        if not is_legal(line.pseudonym) or not line.pseudonym.isascii():
            yield Fault(line.number, PSEUDONYM, "no legal pseudonym", f"1 to {LONGEST} printable ASCII, no backslash")


def is_legal(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable() and "\\" not in text


def _repeated(lines: list[Line]) -> Iterator[Fault]:
    patients: dict[str, int] = {}
    pseudonyms: dict[str, int] = {}
    for number, patient, pseudonym in lines:
        if patient and patients.setdefault(patient, number) != number:
            yield Fault(number, PATIENT, f"the patient ID of line {patients[patient]}", "each patient once")
        if pseudonym and pseudonyms.setdefault(pseudonym, number) != number:
            yield Fault(number, PSEUDONYM, f"the pseudonym of line {pseudonyms[pseudonym]}", "one of their own for all")


def _disclosing(lines: list[Line]) -> Iterator[Fault]:
    patients = {line.patient for line in lines if line.patient}
    for line in lines:
        if line.pseudonym in patients:
            yield Fault(line.number, PSEUDONYM, "a patient ID of this file", "a word that says nothing about a patient")


def _told(file: str, faults: list[Fault]) -> Iterator[Mistake]:
    for fault in faults[:MOST_TOLD]:
        yield Mistake(file, fault.line, fault.column, fault.found, fault.allowed)
    if len(faults) > MOST_TOLD:
        yield Mistake(file, 0, "crosswalk", f"{len(faults) - MOST_TOLD} more mistakes", "none")


def _encodings(text: str) -> list[str]:
    """What a data set may have it in. In any other character set the patient is not found, and so refused, never mistaken."""
    return ["utf-8"] if text.isascii() or not _is_latin(text) else ["utf-8", "latin-1"]


def _is_latin(text: str) -> bool:
    return max(text) <= "\xff"
