"""How many moves at once a PACS bears: one more after each round that goes well, half after a sign of strain (AIMD). Pure.

Strain is a rejected association, a failure in the middle of an operation, or an answer to the list question that takes much
longer than usual. The configured number is where it begins and what it never exceeds; one is the least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

SLOW: Final = 4.0
"""An answer that takes so many times as long as usual,"""
SLOW_SECONDS: Final = 1.0
"""and longer than this, is a sign of strain."""
SETTLES: Final = 10.0
"""Seconds after halving in which further signs say nothing new: they are of what was under way."""
WEIGHT: Final = 0.125
ROWS: Final = 100
"""A list that is longer may take longer, in proportion."""


@dataclass(frozen=True)
class Pressure:
    """`most`: max_moves. `usual`: seconds, smoothed, of an answer; None before the first. `halved`: when last."""

    most: int
    borne: float
    usual: float | None = None
    halved: float = float("-inf")

    @property
    def moves(self) -> int:
        """How many may run at once."""
        return max(1, int(self.borne + 1e-9))

    def went_well(self, seconds: float, rows: int, now: float) -> Pressure:
        """A series came; its list of that many rows had taken so many seconds."""
        taken = seconds / max(1.0, rows / ROWS)
        usual = taken if self.usual is None else self.usual
        told = replace(self, usual=usual + WEIGHT * (min(taken, 2 * usual + 0.01) - usual))
        if taken > max(SLOW * usual, SLOW_SECONDS):
            return told.strained(now)
        return replace(told, borne=min(float(self.most), self.borne + 1.0 / self.borne))

    def strained(self, now: float) -> Pressure:
        if now - self.halved < SETTLES:
            return self
        return replace(self, borne=max(1.0, self.borne / 2), halved=now)


def pressure(most: int) -> Pressure:
    return Pressure(most, float(most))
