"""Room: with too little of the disk free, or too much in the outbox, nothing more is taken until there is room again.

The daemon decides for the node (`Room`) and pauses its moves; the receive processes read that on the page they share, and
look at the disk themselves as well (`WhileRoom`): they refuse associations, as transient, and answer 0xA700 on open ones.

A series leaves the outbox when all of it is there. Where one is larger than the bound, or several fill it between them, to pause
would be for ever: then what has begun goes on, and nothing else begins (`Room.only`), so that what still comes has an end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.cstore.page import REASONS, Page
from gateway.cstore.recent import Recent
from gateway.dicom.server import OUT_OF_RESOURCES, Incoming

DISK, OUTBOX = "disk", "outbox"
SLACK: Final = 10
"""A tenth more free, or less in the outbox, than what stopped us: work resumes for longer than an instance."""
SHARE: Final = 20
"""The outbox is measured again after so many times as long as the last measuring took."""


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...


class Gauge(Protocol):
    def set(self, name: str, value: float, **labels: str) -> None: ...


@dataclass(frozen=True)
class Bounds:
    """Bytes. `max_outbox` None: no bound but the disk's."""

    min_free: int
    max_outbox: int | None = None

    def reasons(self, free: int, waiting: int, before: frozenset[str]) -> frozenset[str]:
        """Why nothing may be taken; `before`: why it was not until now."""
        found = set()
        if free < self.min_free + (self.min_free // SLACK if DISK in before else 0):
            found.add(DISK)
        most = self.max_outbox
        if most is not None and waiting >= most - (most // SLACK if OUTBOX in before else 0):
            found.add(OUTBOX)
        return frozenset(found)

    def is_full(self, waiting: int) -> bool:
        """Or not empty enough for work to resume."""
        return self.max_outbox is not None and waiting >= self.max_outbox - self.max_outbox // SLACK


@dataclass(frozen=True)
class Filled:
    """`size`: bytes in the outbox. `begun`: keys of series that moves have begun to fill it with, where nothing in it leaves by
    itself; else none."""

    size: Callable[[], int]
    begun: Callable[[], frozenset[str]]


class Room:
    """The node's own decision. `look` is cheap; `measure` walks the outbox and is called by somebody who has the time."""

    def __init__(self, *, folder: Path, bounds: Bounds, filled: Filled, page: Page, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._folder, self._bounds, self._filled, self._page, self._clock = folder, bounds, filled, page, clock
        self._waiting, self._again = 0, float("-inf")
        self._begun = frozenset[str]()
        self.only: frozenset[str] | None = None
        """Keys of the series that alone may be retrieved now. None: any."""
        self._lock = threading.Lock()
        self.reasons: frozenset[str] = frozenset()

    def measure(self) -> bool:
        """Only where there is a bound, and seldom enough to cost next to nothing. True: measured."""
        begun = self._clock()
        if self._bounds.max_outbox is None or begun < self._again:
            return False
        waiting = self._filled.size()
        going_on = self._filled.begun() if self._bounds.is_full(waiting) else frozenset[str]()
        # Never one without the other: full with nothing begun would pause what is only to be let in alone.
        with self._lock:
            self._waiting, self._begun = waiting, going_on
        ended = self._clock()
        self._again = ended + SHARE * (ended - begun)
        return True

    def look(self, gauge: Gauge) -> bool:
        """Decides anew, and tells receive processes and metrics. True: things may be taken."""
        with self._lock:  # the daemon's loop and the moves look
            free = free_bytes(self._folder)
            found = self._bounds.reasons(free, self._waiting, self.reasons)
            only = self._alone(full=OUTBOX in found)
            if only is not None:
                found -= {OUTBOX}
            if only is not None or self.only is not None:
                self._restrict(only)
            if found != self.reasons:
                self._tell(found, free)
            self.reasons = found
            self._page.pause(next((r for r in REASONS if r in found), ""))
        for reason in REASONS[1:]:
            gauge.set("receiver_paused", float(reason in found), reason=reason)
        return not found

    def _alone(self, *, full: bool) -> frozenset[str] | None:
        """What has begun goes on alone until there is a tenth less, too."""
        still = self.only is not None and self._bounds.is_full(self._waiting)
        return self._begun if (full or still) and self._begun else None

    def _restrict(self, only: frozenset[str] | None) -> None:
        if only is None or self.only is None:
            event = "outbox.any-again" if only is None else "outbox.only-begun"
            structlog.get_logger().warning(event, bytes=self._waiting, series=len(only or ()))
        self.only = only

    def _tell(self, found: frozenset[str], free: int) -> None:
        log = structlog.get_logger()
        facts = {"free_bytes": free, "bytes": self._waiting}
        for reason in sorted(found - self.reasons):
            log.error("receiver.paused", reason=reason, **facts)
        for reason in sorted(self.reasons - found):
            log.info("receiver.resumed", reason=reason, **facts)


class WhileRoom:
    """Answers 0xA700 while there is no room, else asks `store`."""

    def __init__(  # noqa: PLR0913  what is to be asked, and whom
        self,
        store: Callable[[Incoming], int],
        *,
        folder: Path,
        minimum: int,
        count: Count,
        clock: Callable[[], float],
        page: Page | None = None,
    ) -> None:
        self._store, self._bounds, self._count, self._page = store, Bounds(minimum), count, page
        self._free: Recent[Path, int] = Recent(free_bytes, seconds=1.0, clock=clock)
        self._folder = folder
        self._before: frozenset[str] = frozenset()
        self._log = structlog.get_logger()

    def store(self, incoming: Incoming) -> int:
        """A DIMSE status."""
        reason = self.paused()
        if not reason:
            return self._store(incoming)
        self._count.add("instances_received_total", project="", result="deferred")
        self._log.debug("instance.deferred", reason=reason)
        return OUT_OF_RESOURCES

    def paused(self) -> str:
        """Why nothing is taken; "" when things are."""
        told = self._page.reason if self._page else ""
        return told or next(iter(self._look()), "")

    def _look(self) -> frozenset[str]:
        free = self._free.get(self._folder)
        found = self._bounds.reasons(free, 0, self._before)
        if found - self._before:
            self._log.error("disk.low", free_bytes=free, limit=self._bounds.min_free)
        self._before = found
        return found


def free_bytes(folder: Path) -> int:
    """Bytes that an unprivileged process may still write there: none where the disk does not even tell (stale, broken, gone)."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize
