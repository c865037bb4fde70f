"""When a poll runs: an interval (`"30s"`) or five cron fields, read strictly.

The fields come out as lists of numbers, the weekdays as names: schedulers do not agree on which day is 0, cron says Sunday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.settings.units import duration

SCHEDULE: Final = (
    'five cron fields (minute hour day month weekday), such as "*/5 * * * *", '
    'or an interval of at least "1s" and at most "3650d", such as "30s"'
)
MONTHS: Final = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days a month can have

_PART: Final = re.compile(r"(\*|(?P<first>[a-z0-9]{1,3})(?:-(?P<last>[a-z0-9]{1,3}))?)(?:/(?P<step>[0-9]{1,2}))?")


@dataclass(frozen=True)
class Cron:
    """Each field is "*" or a list such as "0,15,30,45"; `day_of_week` of names such as "mon,tue". Local time."""

    minute: str
    hour: str
    day: str
    month: str
    day_of_week: str


def read_schedule(text: str) -> float | Cron:
    """Seconds between two runs, or the cron fields. Raises ValueError, whose message is what is allowed."""
    fields = text.lower().split()
    if len(fields) != 5:
        return _interval(text)
    minute, hour = _expand(fields[0], 0, 59), _expand(fields[1], 0, 23)
    day, month = _expand(fields[2], 1, 31), _expand(fields[3], 1, 12, MONTHS)
    weekday = {n % 7 for n in _expand(fields[4], 0, 7, WEEKDAYS)}
    if len(day) < 31 and len(weekday) < 7:
        raise ValueError(
            "either a day of the month or a weekday, with * for the other (cron means either, people mean both)"
        )
    if min(day) > max(LONGEST[m] for m in month):
        raise ValueError("a day that the month has: this schedule never runs")
    names = ",".join(WEEKDAYS[n] for n in sorted(weekday))
    return Cron(
        _listed(minute, 60),
        _listed(hour, 24),
        _listed(day, 31),
        _listed(month, 12),
        "*" if len(weekday) == 7 else names,
    )


def _interval(text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError:
        seconds = 0.0
    if seconds < 1:
        raise ValueError(SCHEDULE)
    return seconds


def _expand(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    return {n for part in field.split(",") for n in _part(part, low, high, names)}


def _part(part: str, low: int, high: int, names: tuple[str, ...]) -> Iterable[int]:
    match = _PART.fullmatch(part)
    if match is None or (match["step"] and not match["last"] and match[1] != "*"):
        raise ValueError(SCHEDULE)
    first = _number(match["first"], names) if match["first"] else low
    last = _number(match["last"], names) if match["last"] else first
    if match[1] == "*":
        last = high
    if names is WEEKDAYS and last == 0 < first:
        last = 7  # "fri-sun"
    step = int(match["step"] or 1)
    if not low <= first <= last <= high or not step:
        raise ValueError(SCHEDULE)
    return range(first, last + 1, step)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text)
    if not text.isdecimal():
        raise ValueError(SCHEDULE)
    return int(text)


def _listed(numbers: set[int], full: int) -> str:
    return "*" if len(numbers) == full else ",".join(str(n) for n in sorted(numbers))
