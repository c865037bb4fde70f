"""What systemd is told (sd_notify(3)), and the heartbeats that decide whether the watchdog is fed.

The watchdog is pinged by the supervising loop and only while every role has shown progress: a thread of its own that
pings would keep a stuck daemon alive for ever. A PACS or a RIS that is down is no reason to stop: a role that waits
beats too.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import sdnotify  # type: ignore[import-untyped]

SEND_SECONDS: Final = 1.0  # a service manager that does not read must not stop us


class Systemd:
    """Silent where there is no `NOTIFY_SOCKET` (not started by systemd)."""

    def __init__(self) -> None:
        self._notifier: Any = None
        if os.environ.get("NOTIFY_SOCKET"):  # without it sdnotify leaves a socket open behind itself
            self._notifier = sdnotify.SystemdNotifier()
        self._socket: socket.socket | None = getattr(self._notifier, "socket", None)
        if self._socket is not None:
            self._socket.settimeout(SEND_SECONDS)

    def ready(self, status: str = "") -> None:
        """READY=1: also ends a reload."""
        self._tell("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`: counts and our own names only."""
        self._tell(_status(text))

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def reloading(self) -> None:
        """RELOADING=1; `ready` follows. MONOTONIC_USEC is what Type=notify-reload (systemd 253) asks for."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def watchdog(self) -> None:
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._notifier = self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._notifier is not None:
            self._notifier.notify("\n".join(line for line in lines if line))


def _status(text: str) -> str:
    """One line of what sdnotify can send: it drops a whole message with a character beyond latin-1."""
    line = " ".join(text.split()).encode("latin-1", "replace").decode("latin-1")
    return f"STATUS={line}" if line else ""


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between pings, half of WATCHDOG_USEC (sd_watchdog_enabled(3)). None: this process is not watched."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2e6 if usec.isdecimal() and int(usec) > 0 else None


class Heartbeats:
    """Each role's last sign of progress. Thread-safe; `now` = monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, role: str, limit: float, *, now: float) -> None:
        """From now on `role` must beat at least every `limit` seconds (longer than its longest single wait)."""
        with self._lock:
            self._limits[role] = limit
            self._last[role] = now

    def beat(self, role: str, *, now: float) -> None:
        """Raises KeyError for a role that is not expected: a program mistake."""
        with self._lock:
            self._last[role] = max(now, self._last[role])

    def stale(self, now: float) -> tuple[str, ...]:
        """Roles that are overdue, sorted."""
        with self._lock:
            return tuple(sorted(r for r, limit in self._limits.items() if now - self._last[r] > limit))

    def alive(self, now: float) -> bool:
        return not self.stale(now)


class Pinged(Protocol):
    def watchdog(self) -> None: ...


class Watchdog:
    """Call `tick` from the supervising loop, at least every `interval` seconds. `interval` None: nobody watches."""

    def __init__(
        self, systemd: Pinged, heartbeats: Heartbeats, interval: float | None, clock: Callable[[], float]
    ) -> None:
        self._systemd = systemd
        self._heartbeats = heartbeats
        self._clock = clock
        self._next = float("-inf")
        self.interval = interval

    def tick(self) -> tuple[str, ...]:
        """Pings when it is time and every role progresses. Returns the overdue roles: while there are any, no ping."""
        now = self._clock()
        stale = self._heartbeats.stale(now)
        if self.interval is not None and not stale and now >= self._next:
            self._systemd.watchdog()
            self._next = now + self.interval / 2  # twice as often as need be: the loop may be late
        return stale
