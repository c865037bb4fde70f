"""`requests add`: a CSV file, or what a pipe brings, with a line of column names. No message ever shows a cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Final

from gateway.accession.rows import COLUMN, OPTIONAL, admit
from gateway.errors import Refused
from gateway.model import BAD_DATE, CONTRADICTED, SetAside, Wanted, strip_invisible

DELIMITERS: Final = ",;\t"
SEPARATOR: Final = "sep="
"""The first cell of the line above the names in which Excel is told the delimiter: sep=;"""
AS_TEXT: Final = re.compile(r'="([^"]*)"')
NUL: Final = "\0"
KNOWN: Final = (COLUMN, *OPTIONAL)


@dataclass(frozen=True)
class BadLine:
    """A line that cannot become a request. `line` counts from 1, the line of column names included."""

    line: int
    row: SetAside


@dataclass(frozen=True)
class Listed:
    """What a file holds. `repeated`: lines that only add to an earlier one.

    `unread`: the columns that are not read, by their place from 1: a name may be a value, where the first line names nothing.
    """

    wanted: tuple[Wanted, ...]
    bad: tuple[BadLine, ...]
    repeated: int = 0
    unread: tuple[int, ...] = ()

    @property
    def aside(self) -> tuple[SetAside, ...]:
        return tuple(bad.row for bad in self.bad)


def read(project: str, file: IO[str] | IO[bytes]) -> Listed:
    """Reads an opened file (bytes: UTF-8, or UTF-16 with a mark). Delimiter `,` `;` or tab, by the first line.

    Raises Refused: `csv.empty`, `csv.encoding`, `csv.header`, `csv.quoting`, each with what to do.
    """
    names, lines = _opened(project, file)
    said: dict[tuple[str, str], list[tuple[int, Wanted]]] = {}
    bad: list[BadLine] = []
    for line, one in lines:
        if isinstance(one, SetAside):
            bad.append(BadLine(line, one))
        else:
            said.setdefault((one.accession.value, one.issuer), []).append((line, one))
    wanted: list[Wanted] = []
    repeated = 0
    for same in said.values():
        joined = _joined([one for _, one in same])
        if joined is None:
            bad += [BadLine(line, SetAside(project, one.accession.value, CONTRADICTED)) for line, one in same]
        else:
            wanted.append(joined)
            repeated += len(same) - 1
    unread = tuple(place for place, name in enumerate(names, 1) if name not in KNOWN)
    return Listed(tuple(wanted), tuple(sorted(bad, key=lambda b: b.line)), repeated=repeated, unread=unread)


@dataclass(frozen=True)
class Numbered:
    """A line, and its accession number. `issuer`: "" where none is named. `reason`: why the line by itself is set aside, or ""."""

    line: int
    text: str
    issuer: str = ""
    reason: str = ""


def numbers(file: IO[str] | IO[bytes]) -> list[Numbered]:
    """Raises what `read` raises."""
    _, lines = _opened("", file)
    return [
        Numbered(line, one.text, reason=one.reason)
        if isinstance(one, SetAside)
        else Numbered(line, one.accession.value, one.issuer)
        for line, one in lines
    ]


def _opened(project: str, file: IO[str] | IO[bytes]) -> tuple[list[str], Iterator[tuple[int, Wanted | SetAside]]]:
    """The column names, and each line with what it is."""
    content = file.read()
    text = _decode(content) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    records = _records(text)
    _, first = next(records, (0, []))
    names = _header(first)
    return names, ((line, _line(project, names, cells)) for line, cells in records)


def _joined(said: Sequence[Wanted]) -> Wanted | None:
    """What lines say together of one number; None where they name two patients or two days: whose it is is not guessed.

    Of several modalities it is the first: an examination of two has a line for each in many an export.
    """
    patients, days = {one.patient_id for one in said} - {""}, {one.study_date for one in said} - {""}
    if len(patients) > 1 or len(days) > 1:
        return None
    modality = next((one.modality for one in said if one.modality), "")
    return replace(said[0], patient_id="".join(patients), study_date="".join(days), modality=modality)


def _decode(content: bytes) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        text = NUL
    if NUL in text.partition("\n")[0]:  # UTF-16 without a mark, UTF-32, a workbook
        raise Refused("csv.encoding", "the file is not UTF-8 text: save it as CSV UTF-8")
    return text


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number, cells) of each line that says something."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    begun = 1
    try:
        for cells in reader:
            begun = reader.line_num + 1
            if any(cell.strip() for cell in cells) and not (reader.line_num == 1 and cells[0] == SEPARATOR):
                yield reader.line_num, [_unwrapped(cell) for cell in cells]
    except csv.Error:  # it is noticed where the file ends, or much later
        raise Refused("csv.quoting", f"line {begun}: a quotation mark is out of place") from None


def _delimiter(text: str) -> str:
    """By the first line that says something: what stands in quotation marks separates nothing."""
    first = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    return max(DELIMITERS, key=re.sub(r'"[^"]*"', "", first).count)


def _unwrapped(cell: str) -> str:
    """What a spreadsheet is told to leave as it is, with its leading zeros: ="00123"."""
    found = AS_TEXT.fullmatch(cell.strip())
    return found[1] if found else cell


def _header(cells: list[str]) -> list[str]:
    """The column names. A file without them may begin with a patient, so the line is never shown."""
    if not cells:
        raise Refused("csv.empty", f"the file is empty: its first line must name the columns, {COLUMN} among them")
    names = [strip_invisible(cell).strip().lower() for cell in cells]
    meant = {place: KEYS[_key(name)] for place, name in enumerate(names, 1) if name not in KNOWN and _key(name) in KEYS}
    if COLUMN not in names and COLUMN not in meant.values():
        raise Refused("csv.header", _nameless(names))
    if meant:
        places = ", ".join(f"column {place} is {name}" for place, name in meant.items())
        raise Refused(
            "csv.header", f"{places} in another spelling: write these names as they are here, in the first line"
        )
    twice = [name for name in KNOWN if names.count(name) > 1]
    if twice:
        raise Refused("csv.header", f"{', '.join(twice)} stands twice in the first line: leave one column of this name")
    return names


def _nameless(names: list[str]) -> str:
    if len(names) == 1:
        return f"the first line names no column: put a line `{COLUMN}` above the numbers"
    return f"the first line has no column {COLUMN}; besides it {', '.join(OPTIONAL)} are read, others ignored"


def _key(name: str) -> str:
    """A column name without what people spell differently: PatientID, Patient ID and patient-id are one."""
    return "".join(c for c in name.lower() if c.isalnum())


def _line(project: str, names: list[str], cells: list[str]) -> Wanted | SetAside:
    if len(cells) > len(names):
        return SetAside(project, "", "csv.columns")
    row = dict(zip(names, cells, strict=False))
    one = admit(project, row)
    if isinstance(one, Wanted) and not one.study_date and strip_invisible(row.get("study_date", "")):
        # without its date, the request would take a study of another day for its own
        return SetAside(project, one.accession.value, BAD_DATE)
    return one


KEYS: Final = {_key(name): name for name in KNOWN}
