"""`requests add`: a CSV file, or what a pipe brings, with a line of column names. No message ever shows a cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from gateway.accession.rows import COLUMN, OPTIONAL, admit
from gateway.errors import Refused
from gateway.model import SetAside, Wanted

DELIMITERS: Final = ",;\t"


@dataclass(frozen=True)
class BadLine:
    """A line that cannot become a request. `line` counts from 1, the line of column names included."""

    line: int
    row: SetAside


@dataclass(frozen=True)
class Listed:
    """What a file holds. `repeated`: lines whose accession number stood on an earlier line."""

    wanted: tuple[Wanted, ...]
    bad: tuple[BadLine, ...]
    repeated: int = 0

    @property
    def aside(self) -> tuple[SetAside, ...]:
        return tuple(bad.row for bad in self.bad)


def read(project: str, file: IO[str] | IO[bytes]) -> Listed:
    """Reads an opened file (bytes: UTF-8, or UTF-16 with a mark). Delimiter `,` `;` or tab, by the first line.

    Raises Refused: `csv.empty`, `csv.encoding`, `csv.header`, `csv.quoting`, each with what to do.
    """
    content = file.read()
    text = _decode(content) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    wanted: dict[tuple[str, str], Wanted] = {}
    bad: list[BadLine] = []
    lines = 0
    for line, one in _admitted(project, text):
        if isinstance(one, SetAside):
            bad.append(BadLine(line, one))
        else:
            lines += 1
            wanted.setdefault((one.accession.value, one.issuer), one)
    return Listed(tuple(wanted.values()), tuple(bad), repeated=lines - len(wanted))


def _decode(content: bytes) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("csv.encoding", "the file is not UTF-8 text: save it as CSV UTF-8") from None


def _admitted(project: str, text: str) -> Iterator[tuple[int, Wanted | SetAside]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        names = _header(next(reader, []))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, _line(project, names, cells)
    except csv.Error:
        raise Refused("csv.quoting", f"line {reader.line_num}: a quotation mark is out of place") from None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(DELIMITERS, key=first.count)


def _header(cells: list[str]) -> list[str]:
    """The column names. A file without them may begin with a patient, so the line is never shown."""
    if not cells:
        raise Refused("csv.empty", f"the file is empty: its first line must name the columns, {COLUMN} among them")
    names = [cell.strip().lower() for cell in cells]
    if COLUMN in names:
        return names
    if len(names) == 1:
        raise Refused("csv.header", f"the first line names no column: put a line `{COLUMN}` above the numbers")
    also = ", ".join(OPTIONAL)
    raise Refused("csv.header", f"the first line has no column {COLUMN}; besides it {also} are read, others ignored")


def _line(project: str, names: list[str], cells: list[str]) -> Wanted | SetAside:
    if len(cells) > len(names):
        return SetAside(project, "", "csv.columns")
    return admit(project, dict(zip(names, cells, strict=False)))
