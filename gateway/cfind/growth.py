"""Which studies may still grow, and when they are asked for once more (docs/pacs-behaviour.md M15). Pure.

Late reconstructions, a second console, a scanner that sends after its night: what comes later than the plan comes mostly within a
day. A study of today or yesterday is asked for again a day later, and so on until it is older and brings nothing new; a back-fill
of old studies costs no question more.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

YOUNG: Final = 1
"""Days around today (UTC): a study of today or of the day before, wherever on earth it was made."""
LOOK_AGAIN: Final = 86400.0


def look_again(study_date: str, now: float) -> float | None:
    """Epoch second of the next look; None when the study (DA, "" unknown) is too old to grow."""
    try:
        day = date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:8]))
    except ValueError:
        return None
    today = datetime.fromtimestamp(now, UTC).date()
    return now + LOOK_AGAIN if abs(day - today) <= timedelta(days=YOUNG) else None
