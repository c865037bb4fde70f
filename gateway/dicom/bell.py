"""What one thread ends another's wait with."""

from __future__ import annotations

import os
import threading


class Bell:
    """An eventfd(2) that any thread may ring; after `close` ringing does nothing (its number may be another file's)."""

    _fd = -1  # where no descriptor was left for it

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def ring(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def silence(self) -> None:
        with self._lock:
            if self._fd >= 0:
                try:
                    os.eventfd_read(self._fd)
                except BlockingIOError:
                    return  # it did not ring

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    __del__ = close
