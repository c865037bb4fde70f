"""Whether a PACS may be asked for images now, when that changes, and when so much open time will have passed. Pure.

What counts is the clock on the wall of the PACS: an hour that the change to summer time leaves out is no opening, one that comes
twice in autumn is open twice. `wall` turns epoch seconds into that clock's date and time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.settings.window import Window

DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
QUARTER: Final = 15  # minutes: no time zone of today changes its offset between two of them (UTC)
FAR: Final = 15 * DAY  # minutes ahead; what does not change until then is open or closed for good
LONGEST_MARGIN: Final = 600.0


@dataclass(frozen=True)
class Calendar:
    """`open`: a byte for each minute of a week from Monday 00:00, and a quarter of an hour of the next; 1 is open."""

    open: bytes
    wall: Callable[[float], datetime]

    def is_open(self, now: float) -> bool:
        return self.open[_minute(self.wall(now))] == 1

    def next_change(self, now: float) -> float | None:
        """When it will be closed that is open now, or the other way round; None: not within a fortnight."""
        other = b"\0" if self.is_open(now) else b"\1"
        first = now // (60 * QUARTER) * 60 * QUARTER
        for n in range(FAR // QUARTER):
            begin = first + n * 60 * QUARTER
            at = _minute(self.wall(begin))
            skip = max(0, int((now - begin) // 60) + 1)  # the minute in which `now` is has begun
            found = self.open.find(other, at + min(skip, QUARTER), at + QUARTER)
            if found >= 0:
                return begin + (found - at) * 60
        return None

    def after(self, now: float, seconds: float) -> float | None:
        """When that many seconds of open time have passed; None: not within a year."""
        at, end = now, now + 366 * 86400.0
        while at < end:
            change = self.next_change(at)
            if self.is_open(at):
                if change is None or at + seconds <= change:
                    return at + seconds
                seconds -= change - at
            if change is None:
                return None
            at = change
        return None


def calendar(windows: Iterable[Window], wall: Callable[[float], datetime]) -> Calendar:
    """No windows at all: always open."""
    minutes = bytearray(WEEK)
    given = tuple(windows)
    for window in given:
        for day in window.days:
            for minute in range(window.length):
                minutes[(day * DAY + window.start + minute) % WEEK] = 1
    week = bytes(minutes) if given else b"\1" * WEEK
    return Calendar(week + week[:QUARTER], wall)


def last_start(opened: float, closes: float, usual: float) -> float:
    """Until when a move may begin that usually takes so long: one that the end of the window would cut short is not begun.

    At most ten minutes, and never more than half of the window, are given up for that.
    """
    return closes - min(usual, LONGEST_MARGIN, (closes - opened) / 2)


def _minute(wall: datetime) -> int:
    return wall.weekday() * DAY + wall.hour * 60 + wall.minute
