"""When bulk retrieval may run: days and hours of a week, such as "Mon-Fri 19:00-06:00", read strictly. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 'days and hours in local time, such as "Mon-Fri 19:00-06:00" or "Sat,Sun 00:00-24:00"'
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY: Final = 24 * 60

_WINDOW: Final = re.compile(r"([a-z,-]+) +(\d\d):(\d\d) ?- ?(\d\d):(\d\d)", re.ASCII)


@dataclass(frozen=True)
class Window:
    """`days`: on which it begins, 0 is Monday. `start`: minutes of the day; `length`: minutes, over midnight as well."""

    days: frozenset[int]
    start: int
    length: int


def read_window(text: str) -> Window:
    """An end that is before the start is one of the next day. Raises ValueError, whose message is what is allowed."""
    match = _WINDOW.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(WINDOW)
    start, end = _minutes(match[2], match[3]), _minutes(match[4], match[5])
    if start in (end, DAY):
        raise ValueError(f"{WINDOW}; the whole day is 00:00-24:00")
    return Window(_days(match[1]), start, (end - start) % DAY or DAY)


def _minutes(hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > DAY:
        raise ValueError(f"{WINDOW}; a day has 00:00 to 24:00")
    return found


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{WINDOW}; the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        found |= {day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))}
    return frozenset(found)
