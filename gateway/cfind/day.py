"""Days as DICOM writes them: DA, YYYYMMDD (PS3.5 6.2). Pure."""

from __future__ import annotations

import re
from datetime import date


def read_day(text: object) -> date | None:
    """None for what is no day."""
    if not isinstance(text, str) or re.fullmatch(r"[0-9]{8}", text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def written(day: date) -> str:
    return day.isoformat().replace("-", "")
