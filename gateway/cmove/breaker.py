"""A PACS that fails is left alone for a while, by all moves at once, and then asked by one C-ECHO. Pure.

Closed: everybody may ask. Open, after three failures of the PACS in a row or one that a person has to put right: nobody asks
until the pause is over. Half-open: one tries with C-ECHO; when that is answered moves go on, but the very next failure opens it
again, for twice as long. An answer of any kind, except one that blames the PACS, closes it for good. Seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

TOLERATED: Final = 3
FIRST: Final = 15.0
LONGEST: Final = 300.0
PROBE: Final = 60.0
"""Seconds that a probe may take until somebody else may try."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class Breaker:
    """`failures`: in a row. `until`: when it may be tried again, None = closed."""

    failures: int = 0
    until: float | None = None

    def state(self, now: float) -> State:
        if self.until is None:
            return State.CLOSED
        return State.OPEN if now < self.until else State.HALF_OPEN

    def failed(self, now: float, after: float | None = None) -> Breaker:
        """`after`: seconds that this kind of failure wants at least; it opens at once."""
        failures = self.failures + 1
        if failures < TOLERATED and after is None:
            return replace(self, failures=failures)
        pause = min(FIRST * 2.0 ** min(max(failures - TOLERATED, 0), 16), LONGEST)
        return Breaker(failures, now + max(pause, after or 0.0))

    def probing(self, now: float) -> Breaker:
        """One tries now; for the others it is open meanwhile."""
        return replace(self, until=now + PROBE)

    def echoed(self) -> Breaker:
        """C-ECHO was answered, which proves little: moves are tried again, on probation."""
        return Breaker(max(self.failures, TOLERATED - 1))

    def answered(self) -> Breaker:
        return Breaker()
