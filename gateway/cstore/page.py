"""What the daemon and its receive processes know together: why nothing is taken now, how far each PACS is ahead of its rate, and
how many connections each of these processes has.

Anonymous memory behind a descriptor that the receive processes inherit (memfd_create(2)); it ends with the last of them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Callable
from typing import Final

REASONS: Final = ("", "disk", "outbox")
MOST: Final = 0xFF
"""Connections of one process that can be told from more of them; and processes that tell them."""
_CELL: Final = struct.Struct("=d")


class Page:
    """`cells`: how many numbers it has. Written by several processes; a byte or, under the lock, a number at a time."""

    def __init__(self, cells: int, descriptor: int | None = None) -> None:
        """`descriptor`: of the page that another process made with as many cells; without it a new one, all zeros."""
        self._crowds = _CELL.size * (1 + cells)
        size = self._crowds + MOST
        if descriptor is None:
            descriptor = os.memfd_create("receiver", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, size)
        self._descriptor, self._lock = descriptor, threading.Lock()
        self._memory = mmap.mmap(descriptor, size)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self._memory.close()
        os.close(self._descriptor)

    @property
    def reason(self) -> str:
        """Why nothing is taken now, one of REASONS."""
        return REASONS[self._memory[0]]

    def pause(self, reason: str) -> None:
        self._memory[0] = REASONS.index(reason)

    def ahead(self, place: int, of: int, has: int) -> bool:
        """Receive process `place` (from 0) of `of` tells that it has so many connections. True: another one has fewer of them."""
        if of > MOST:
            return False
        self._memory[self._crowds + place] = min(has, MOST)
        return min(self._memory[self._crowds : self._crowds + of]) < min(has, MOST)

    def change(self, cell: int, changed: Callable[[float], float]) -> float:
        """Replaces the number in a cell by what `changed` makes of it, which nobody else changes meanwhile. Returns it."""
        at = _CELL.size * (1 + cell)
        with self._lock:  # for the threads of a process; for processes the next one, which ends with its process
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _CELL.size, at)
            try:
                (number,) = _CELL.unpack_from(self._memory, at)
                number = changed(number)
                _CELL.pack_into(self._memory, at, number)
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _CELL.size, at)
        return float(number)
