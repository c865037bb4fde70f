"""Durations, sizes and rates as people write them: `"5m"` is 300.0 s, `"5 GiB"` 5 * 2**30 bytes, `"40 MiB/s"` bytes per second."""

from __future__ import annotations

import re
from typing import Final

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FACTORS: Final = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip

LONGEST: Final = 3650 * 86400  # seconds; calendars and the system's timers end within three hundred years
DURATION: Final = 'a duration in quotes: a number and s, m, h or d, such as "30s", "5m", "2h", "1d"; at most "3650d"'
SIZE: Final = 'a size in quotes: a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as "5 GiB"'
RATE: Final = 'a rate in quotes: a size per second, such as "40 MiB/s"'

_NUMBER: Final = r"(\d{1,9}(?:\.\d{1,3})?)"  # bounded: what is longer is no time or size a machine knows
_DURATION: Final = re.compile(_NUMBER + r" ?([smhd])", re.ASCII)
_SIZE: Final = re.compile(_NUMBER + " ?(" + "|".join(FACTORS) + ")", re.ASCII)


def duration(text: str) -> float:
    """Seconds. Raises ValueError, whose message is what is allowed."""
    match = _DURATION.fullmatch(text)
    if match is None or (seconds := float(match[1]) * SECONDS[match[2]]) > LONGEST:
        raise ValueError(DURATION)
    return seconds


def size(text: str) -> int:
    """Bytes, rounded down. Raises ValueError, whose message is what is allowed."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(SIZE)
    return int(float(match[1]) * FACTORS[match[2]])


def rate(text: str) -> float:
    """Bytes per second, more than none. Raises ValueError, whose message is what is allowed."""
    try:
        per_second = float(size(text.removesuffix("/s")))
    except ValueError:
        per_second = 0.0
    if not text.endswith("/s") or not per_second:
        raise ValueError(RATE)
    return per_second
