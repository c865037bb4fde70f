"""`requests trace`: what became of each number of a list. Told by its line: no number and no other cell is repeated."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import click

from gateway.accession import csvfile
from gateway.accession.csvfile import Numbered
from gateway.run import console
from gateway.run.commands.options import config_option, json_option, settings_for, some_project_option
from gateway.run.commands.state import opened
from gateway.state.views import Traced

COLUMNS: Final = ("line", "project", "key", "state", "reason", "series")
ASIDE: Final = "set aside"
UNKNOWN: Final = "unknown"
NOT_WELL: Final = frozenset({"failed", ASIDE, UNKNOWN})

Row = dict[str, Any]


@click.command()
@some_project_option
@click.argument("file", type=click.File("rb"), default="-", metavar="[FILE.csv|-]")
@click.option("--csv", "as_csv", is_flag=True, help="A line for each line of the list, to be put beside it.")
@config_option
@json_option
def trace(project: str | None, file: IO[bytes], as_csv: bool, config: Path, as_json: bool) -> int:
    """Tell what became of each accession number of a CSV file or standard input, line by line.

    The file is one as for `requests add`. Without --csv or --json: how many lines are in which state, and why. A number
    that several projects asked for has a row for each. 1 when a number is unknown, set aside or failed.
    """
    if as_csv and as_json:
        raise click.UsageError("either --csv or --json")
    settings = settings_for(config)
    numbers = csvfile.numbers(file)
    with opened(settings, project=project) as here:
        traced = here.views.traced([(one.text, one.issuer) for one in numbers], project=project)
    rows = [row for one, found in zip(numbers, traced, strict=True) for row in _rows(one, found)]
    if as_json:
        console.emit(rows)
    elif as_csv:
        click.echo(_csv(rows), nl=False)
    else:
        _summary(rows)
    return int(any(row["state"] in NOT_WELL for row in rows))


def _rows(one: Numbered, found: Traced) -> Iterator[Row]:
    """What has no number is alike by its reason alone: rows of the RIS without one, and lines with too many cells."""
    aside = [a for a in found.aside if one.text or a.reason == one.reason]
    cells = [(r.project, r.key, r.state, r.why, dict(r.series)) for r in found.requests]
    cells += [(a.project, "", ASIDE, a.reason, {}) for a in aside]
    for row in cells or [("", "", UNKNOWN, "", {})]:
        yield dict(zip(COLUMNS, (one.line, *row), strict=True))


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(COLUMNS)
    write.writerows([*list(row.values())[:-1], console.counted(row["series"])] for row in rows)
    return text.getvalue()


def _summary(rows: Sequence[Row]) -> None:
    alike = Counter((row["project"], row["state"], row["reason"]) for row in rows)
    console.table(
        "What became of the list", ("Project", "State", "Reason", "Lines"), [(*k, n) for k, n in sorted(alike.items())]
    )
    series: Counter[str] = Counter()
    for row in rows:
        series.update(row["series"])
    console.say(f"series: {console.counted(series) or 'none'}")
