"""Makes a process fit for many associations, each with a thread that computes and one that waits.

Both settings are the process's own and stay: this is for processes that do nothing but receive.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

SWITCH: Final = 0.0005
"""Seconds that an association which computes may keep the interpreter from one that has just read. Python's own 5 ms, paid after
each receive, halved what two associations at once got through."""
ARENAS: Final = 2
"""Heaps of the C library. It makes up to eight per core for threads, each of which keeps what it once had, and Python lets only one
thread at a time allocate anyway."""
_M_ARENA_MAX: Final = -8  # mallopt(3)


def make_room_for_threads() -> None:
    """A C library without mallopt (musl) has no arenas either."""
    sys.setswitchinterval(SWITCH)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
