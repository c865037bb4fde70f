"""How long an item that failed waits, and whether a failure without an answer is the item's or the PACS's.

Pure: no clock, no chance. The jitter comes from the item's own key, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
from typing import Final

FIRST: Final = 30.0
LONGEST: Final = 6 * 3600.0
MAX_ATTEMPTS: Final = 8
"""With the back-off below, the last attempt comes about two hours after the first."""

NO_ANSWER: Final = frozenset({
    "find.timeout", "find.unfinished", "pacs.aborted", "find.out-of-resources", "move.out-of-resources", "move.suboperations",
})  # fmt: skip
"""Failures in the middle of an operation: nobody can tell from one of them whether the PACS or the question is at fault."""
REFUSED_ONE: Final = frozenset(
    f"{operation}.{why}" for operation in ("find", "move") for why in ("unsupported", "not-authorised", "protocol")
)
"""Status answers that mean a wrong set-up when every question gets them, and a poisonous question when one does."""
REMEMBERED: Final = 50_000
"""Items, a few MB. Where more fail than are remembered, all are forgotten before they fail again, and none ever ends."""


def back_off(attempts: int, key: str) -> float:
    """Seconds to wait after `attempts` earlier failures: 30 s doubling up to 6 h, spread by +-25 % over the items."""
    return spread(min(FIRST * 2.0 ** min(attempts, 32), LONGEST), attempts, key)


def spread(seconds: float, attempts: int, key: str) -> float:
    """`seconds`, up to a quarter more or less: no two items come back at the same moment."""
    share = int.from_bytes(hashlib.blake2b(f"{key}/{attempts}".encode(), digest_size=4).digest()) / 2**32
    return seconds * (0.75 + 0.5 * share)


class Suspicion:
    """An item is charged for a failure without an answer once the PACS has answered others since its last one.

    So an outage costs no item an attempt, and one poisonous question cannot be asked for ever.
    """

    def __init__(self) -> None:
        self._answered = 0
        self._failed: dict[str, int] = {}

    def answered(self, key: str) -> None:
        """The PACS answered for this item, whatever it said."""
        self._answered += 1
        self.cleared(key)

    def cleared(self, key: str) -> None:
        """It was not this item's fault. Says nothing for the others."""
        self._failed.pop(key, None)

    def charges(self, key: str, reason: str) -> bool:
        """True when this failure counts against the item."""
        return reason in NO_ANSWER | REFUSED_ONE and self.overtaken(key)

    def overtaken(self, key: str) -> bool:
        """It failed just now, and others were answered since it had failed before."""
        before = self._failed.pop(key, None)
        if len(self._failed) >= REMEMBERED:
            self._failed.clear()
        self._failed[key] = self._answered
        return before is not None and before < self._answered
