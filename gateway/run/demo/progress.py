"""How far the demo is: three bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_SECONDS: Final = 1.0
WORDS: Final = {"requests": "requests settled", "series": "series confirmed", "instances": "instances in the archive"}


@dataclass(frozen=True)
class Seen:
    """How many of each are done, or are to be done."""

    requests: int = 0
    series: int = 0
    instances: int = 0


Show = Callable[[Seen], None]


@contextmanager
def shown(console: Console, goal: Seen) -> Iterator[Show]:
    """Yields what is to be called with each new count."""
    if not console.is_terminal:
        yield _lines(console, goal)
        return
    columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {what: progress.add_task(WORDS[what], total=total) for what, total in asdict(goal).items()}

        def show(seen: Seen) -> None:
            for what, done in asdict(seen).items():
                progress.update(bars[what], completed=done)

        yield show


def _lines(console: Console, goal: Seen) -> Show:
    """A line when something has changed, at most one a second, and the last in any case."""
    last, printed = Seen(), 0.0

    def show(seen: Seen) -> None:
        nonlocal last, printed
        if seen == last or (seen != goal and time.monotonic() - printed < LINE_SECONDS):
            return
        last, printed = seen, time.monotonic()
        totals = asdict(goal)
        console.print("; ".join(f"{WORDS[what]}: {n}/{totals[what]}" for what, n in asdict(seen).items()))

    return show
