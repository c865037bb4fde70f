"""Whether this machine's clock can be right, and whether anybody keeps it so (adjtimex(2))."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

EARLIEST_YEAR: Final = 2024
"""A clock before the year of this program is wrong: a flat battery, no time server yet."""
ALLOWED: Final = timedelta(minutes=5)
"""What a file of ours may be younger than now."""
TIME_ERROR: Final = 5
TIMEX_BYTES: Final = 512  # more than struct timex has anywhere

SET: Final = (
    "set the clock, and start a time service (systemd-timesyncd, chrony): schedules, TLS and the history need it"
)


def clock_fault(state_dir: Path, now: datetime | None = None) -> str:
    """What is certainly wrong with it; "" when nothing is."""
    now = now or datetime.now(UTC)
    if is_impossible(now):
        return f"it says {now.date()}, which is before this program was written"
    newest = max(_written(state_dir), default=now)
    if newest - now > ALLOWED:
        return f"it says {now:%Y-%m-%d %H:%M}Z, but our own state was written {newest - now} later"
    return ""


def is_impossible(now: datetime) -> bool:
    return now.year < EARLIEST_YEAR


def _written(state_dir: Path) -> Iterator[datetime]:
    """When our own files were last written."""
    for path in (state_dir / "state.sqlite", state_dir / "state.sqlite-wal", state_dir / "outbox"):
        if os.path.exists(path):  # False also where this user may not look
            yield datetime.fromtimestamp(path.stat().st_mtime, UTC)


def synchronised() -> bool:
    """Whether the kernel is told by somebody what time it is. True where that cannot be asked."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "adjtimex"):
        return True
    answer: int = library.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))  # all zeros: only asks
    return answer != TIME_ERROR


def told() -> str:
    """The time, and whether somebody keeps it."""
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
    return now if synchronised() else f"{now}, kept by nobody (the kernel is not synchronised)"
