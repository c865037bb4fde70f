"""Which studies may still grow, and when they are asked for once more (docs/pacs-behaviour.md M15). Pure.

Late reconstructions, a second console, a scanner that sends after its night: what comes later than the plan comes mostly within a
day. A study of today or yesterday is asked for again a day later, and so on until it is older and brings nothing new; a back-fill
of old studies costs no question more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.cfind.day import read_day

YOUNG: Final = 1
"""Days around today (UTC): a study of today or of the day before, wherever on earth it was made."""
LOOK_AGAIN: Final = 86400.0


def look_again(study_date: str, now: float) -> float | None:
    """Epoch second of the next look; None when the study (DA, "" unknown) is too old to grow."""
    day, today = read_day(study_date), datetime.fromtimestamp(now, UTC).date()
    return now + LOOK_AGAIN if day is not None and abs(day - today) <= timedelta(days=YOUNG) else None
