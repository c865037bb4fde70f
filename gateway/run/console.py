"""What a person reads: tables and sentences, or JSON for a program. Results on standard output, the rest on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from gateway.ops.health import iso

WHOLE: Final = 10_000
"""Columns of what is no terminal: a table in a pipe is never wrapped or cut."""


def out() -> Console:
    """Made anew each time: standard output may be another one by now."""
    return _console(Console())


def err() -> Console:
    return _console(Console(stderr=True))


def _console(made: Console) -> Console:
    """Nothing that is shown is markup: `[0]` is an index, `:file:` a name."""
    width = None if made.is_terminal else WHOLE
    return Console(stderr=made.stderr, width=width, markup=False, emoji=False, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output. A None is an empty cell; no rows at all are a sentence."""
    made = Table()
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(plain("" if cell is None else str(cell)) for cell in row))
    if made.row_count:
        _print(title, made)
    else:
        say(f"{title}: none")


def facts(title: str, told: Mapping[str, object]) -> None:
    """A table of two columns without a head."""
    made = Table(show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in told.items():
        made.add_row(name, plain("" if value is None else str(value)))
    _print(title, made)


def _print(title: str, made: Table) -> None:
    screen = out()
    screen.print(plain(title), style="bold")  # a title of the table's own would be wrapped to its width
    screen.print(made)


def say(text: str) -> None:
    """A sentence on standard output."""
    click.echo(plain(text))


def warn(text: str) -> None:
    """A sentence on standard error."""
    click.echo(plain(text), err=True)


def emit(document: object) -> None:
    """JSON on standard output, ASCII only: it must survive any locale."""
    click.echo(json.dumps(document, indent=2, default=str))


def plain(text: str) -> str:
    """`text` without what would steer a terminal or not fit an encoding."""
    return "".join(c if c.isprintable() else "?" for c in text)


def when(at: float | None) -> str:
    """Epoch seconds as ISO time, "" for None."""
    return iso(at) or ""


def counted(numbers: Mapping[str, int]) -> str:
    """`planned 2, confirmed 7`."""
    return ", ".join(f"{name} {n}" for name, n in sorted(numbers.items()))


def duration(seconds: float) -> str:
    """`2d 3h 12m 5s`, the parts that are not zero."""
    left, parts = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def size(number: float) -> str:
    """`1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"
