"""How fast it goes: instances and bytes of the last minutes, and when the backlog will be done at that rate."""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Mapping

WINDOW = 300.0
"""Seconds that "the last minutes" are."""
NOT_NOW = ("limit", "connections", "unresolved", "disk", "outbox")
"""Why our receiver refuses an association that it would take at another time."""

DEFERRING = 30.0
"""Seconds in which nothing is asked for after our receiver could not use the database, or had no room: it would be for nothing."""


class Meter:
    """Fed with the counting lines of the receive processes and the number of series still to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, str, float]] = deque()
        self._backlog: deque[tuple[float, int]] = deque()
        self._crowded, self._deferred = 0.0, -math.inf

    def line(self, raw: bytes, now: float) -> None:
        """`raw`: a line of ops.metrics.RemoteCount, as `replay` has taken it; only received instances and bytes count here."""
        verb, name, value, labels = json.loads(raw)
        if verb == "add":
            self.add(name, value, labels, now)

    def add(self, name: str, value: float, labels: Mapping[str, str], now: float) -> None:
        """A count, whichever process it is of."""
        if name == "associations_rejected_total" and labels.get("reason") in NOT_NOW:
            with self._lock:
                self._crowded += float(value)
        if value and name == "instances_received_total" and labels == {"project": "", "result": "deferred"}:
            self._deferred = now
        kept = name == "instances_received_total" and labels.get("result") == "kept"
        if kept or name == "received_bytes_total":
            with self._lock:
                self._seen.append((now, name, float(value)))
                self._trim(now)

    def crowded(self) -> float:
        """Associations that our receiver refused for now, so far."""
        with self._lock:
            return self._crowded

    def deferring(self, now: float) -> bool:
        """Whether our receiver deferred a moment ago what came, whosever it was."""
        return 0 <= now - self._deferred < DEFERRING

    def backlog(self, series: int, now: float) -> None:
        with self._lock:
            self._backlog.append((now, series))
            self._trim(now)

    def rates(self, now: float) -> dict[str, float]:
        """Per minute, over WINDOW."""
        with self._lock:
            self._trim(now)
            instances = sum(v for _, name, v in self._seen if name == "instances_received_total")
            size = sum(v for _, name, v in self._seen if name == "received_bytes_total")
        minutes = WINDOW / 60
        return {"instances_per_minute": round(instances / minutes, 1), "bytes_per_minute": round(size / minutes)}

    def eta(self) -> float | None:
        """Seconds until the backlog is empty at the rate at which it shrank; None while it does not shrink."""
        with self._lock:
            if len(self._backlog) < 2:
                return None
            (t0, n0), (t1, n1) = self._backlog[0], self._backlog[-1]
        if n1 == 0:
            return 0.0
        return round(n1 * (t1 - t0) / (n0 - n1), 0) if n0 > n1 and t1 > t0 else None

    def _trim(self, now: float) -> None:
        for queue in (self._seen, self._backlog):
            while queue and not now - WINDOW <= queue[0][0] <= now:  # later than now: the clock was set back
                queue.popleft()
