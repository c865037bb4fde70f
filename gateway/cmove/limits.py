"""What is still missing of a series, what arrived, and whether its silence has lasted long enough. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import LedgerLine, Outcome
from gateway.state import rows
from gateway.state.rows import Tally

Ledger = Mapping[str, LedgerLine]


@dataclass(frozen=True)
class Wanted:
    """What a series should have. `instances`: keyed hashes from the PACS's list, None when it gave none.

    `count`: NumberOfSeriesRelatedInstances, the next best; None when unknown too.
    """

    instances: frozenset[str] | None
    count: int | None = None

    def missing(self, ledger: Ledger) -> int | None:
        """How many have not arrived; refused and excluded ones have. None: nobody can say."""
        if self.instances is not None:
            return len(self.instances - ledger.keys())
        return None if self.count is None else max(0, self.count - len(ledger))

    def is_short(self, ledger: Ledger) -> bool:
        """The list ends before the count: cut off (F7), or the count is wrong. What arrived counts for the list."""
        return len((self.instances or frozenset()) | ledger.keys()) < (self.count or 0)


def wanted(listed: frozenset[str] | None, count: int | None) -> Wanted:
    """An empty list is believed only when C-FIND at SERIES level said 0, too: an empty answer may as well be a mistake."""
    if listed or (listed is not None and count == 0):
        return Wanted(listed, count)
    return Wanted(None, count or None)


def is_complete(wanted: Wanted, ledger: Ledger, *, success: bool, news: bool = False) -> bool:
    """`success`: the move ended with 0x0000; it is asked only where the PACS told no number, or two that differ.

    `news`: it brought something. While the series is short that is no proof, for it may as well have ended early (M4): it is asked
    for once more, and the count is wrong when nothing else comes.
    """
    missing = wanted.missing(ledger)
    if missing is None:
        return success and bool(ledger)
    return missing == 0 and (not wanted.is_short(ledger) or (success and not news))


def is_kept(wanted: Wanted, ledger: Ledger) -> bool:
    """All of it is here and clean, pixels not yet proven included. What was excluded or refused may be judged otherwise by now:
    it is sent again."""
    whole = wanted.missing(ledger) == 0 and not wanted.is_short(ledger)
    return whole and all(line.outcome in (Outcome.KEPT, Outcome.HELD) for line in ledger.values())


FEW: Final = 50
"""Instances that are asked for one by one: as many operations."""


def singly(missing: int, listed: int, attempts: int) -> bool:
    """Whether what is missing is asked for one by one: little of a series of which the rest is here (M5).

    Every other retry asks for the whole again: a PACS may not know the IMAGE level, or not say so.
    """
    some_is_here = 0 < missing < listed
    return some_is_here and missing <= FEW and (attempts == 0 or attempts % 2 == 1)


def tally(wanted: Wanted, ledger: Ledger) -> Tally:
    """The balance of a series: expected are those listed and those that came besides."""
    expected = max(len((wanted.instances or frozenset()) | ledger.keys()), wanted.count or 0)
    return rows.tally(ledger, expected=expected)


@dataclass(frozen=True)
class Arrivals:
    """How many instances there were when something last changed, and when (seconds of any clock)."""

    number: int
    since: float

    def seen(self, number: int, now: float) -> Arrivals:
        return self if number == self.number else Arrivals(number, now)

    def quiet(self, now: float, seconds: float) -> bool:
        """Nothing has come for so long (M8: instances may arrive after the final response)."""
        return now - self.since >= seconds
