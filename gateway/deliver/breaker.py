"""When an archive that is in trouble is tried again, and how fast one may be filled. Pure: time comes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_WAIT: Final = 30.0  # seconds
LONGEST_WAIT: Final = 3600.0


@dataclass
class Breaker:
    """Open while an archive rests; then one series is tried, and its end decides. `since`, `until`: epoch seconds."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0

    def rests(self, now: float) -> bool:
        """Not for longer because the clock was set back."""
        return self.since <= now < self.until

    def failed(self, now: float, at_least: float | None = None) -> None:
        """`at_least`: seconds that the archive, or the kind of trouble, wants to be left alone."""
        self.failures += 1
        self.since, self.until = now, now + max(wait(self.failures), at_least or 0.0)

    def worked(self) -> None:
        self.failures, self.since, self.until = 0, 0.0, 0.0


@dataclass
class Pace:
    """So many bytes a second, on average from one file to the next; None: as they come."""

    rate: float | None
    free_at: float = 0.0
    seen: float = 0.0

    def due(self, now: float) -> float:
        """Seconds until the next file may go."""
        if now < self.seen:  # the clock was set back
            self.free_at -= self.seen - now
        self.seen = now
        return max(0.0, self.free_at - now)

    def sent(self, size: int, now: float) -> None:
        """`now`: when its sending began."""
        if self.rate:
            self.free_at = max(self.free_at, now) + size / self.rate


def wait(times: int) -> float:
    """Seconds before the next try after `times` failures in a row: 30 s, doubled, at most an hour."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(max(times - 1, 0), 16))
