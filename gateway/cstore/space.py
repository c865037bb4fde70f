"""Low water: below receiver.min_free_disk nothing more is taken, while there is still room to write down why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from gateway.cstore.recent import Recent
from gateway.dicom.server import OUT_OF_RESOURCES, Incoming


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...


class WhileRoom:
    """Answers 0xA700 while the file system of `folder` has fewer than `minimum` bytes free, else asks `store`."""

    def __init__(
        self, store: Callable[[Incoming], int], *, folder: Path, minimum: int, count: Count, clock: Callable[[], float]
    ) -> None:
        self._store, self._minimum, self._count = store, minimum, count
        self._free: Recent[Path, int] = Recent(free_bytes, seconds=1.0, clock=clock)
        self._folder = folder
        self._log = structlog.get_logger()

    def store(self, incoming: Incoming) -> int:
        """A DIMSE status."""
        free = self._free.get(self._folder)
        if free >= self._minimum:
            return self._store(incoming)
        self._count.add("instances_received_total", project="", result="deferred")
        self._log.error("disk.low", free_bytes=free, limit=self._minimum)
        return OUT_OF_RESOURCES


def free_bytes(folder: Path) -> int:
    """Bytes that an unprivileged process may still write there."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
