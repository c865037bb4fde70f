"""How fast the series of a PACS come while they are asked for: what `status` foretells from. Pure.

Counted over busy time only (moves under way), so that nights without a window, pauses and an empty queue say nothing about it;
what is an hour of busy time old counts half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HALF_LIFE: Final = 3600.0  # seconds of busy time
LEAST: Final = 3.0
"""So many series must have come before anything is foretold."""


@dataclass(frozen=True)
class Pace:
    """`series` in `seconds` of busy time, both fading. `busy`: since when moves run, None = none does; monotonic seconds."""

    series: float = 0.0
    seconds: float = 0.0
    busy: float | None = None

    def began(self, now: float) -> Pace:
        """The first of the moves under way."""
        return Pace(self.series, self.seconds, now)

    def ended(self, now: float) -> Pace:
        """The last of them."""
        series, seconds = self._passed(now)
        return Pace(series, seconds)

    def came(self, now: float) -> Pace:
        """One more series is complete, its move perhaps over by now."""
        series, seconds = self._passed(now)
        return Pace(series + 1.0, seconds, None if self.busy is None else now)

    def needed(self, series: int, now: float) -> float | None:
        """Busy seconds for that many more series; None while too few have come to tell."""
        done, seconds = self._passed(now)
        if not series:
            return 0.0
        return series * seconds / done if done >= LEAST and seconds > 0 else None

    def _passed(self, now: float) -> tuple[float, float]:
        more = 0.0 if self.busy is None else max(0.0, now - self.busy)
        fades = 0.5 ** (more / HALF_LIFE)
        return self.series * fades, self.seconds * fades + more
