"""pacs.max_rate: a PACS that sends faster than it may waits for our responses.

Each instance gets a slot of size / rate seconds after the slot before it, over all associations and receive processes, and is
answered at the end of its slot, not before. A PACS that sent less may catch up BURST seconds, so that in any T seconds no
more than rate x (T + BURST) bytes are answered, and what was in work when they began: one instance an association.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.cstore.page import Page
from gateway.dicom.server import Incoming
from gateway.settings import Pacs

BURST: Final = 1.0
"""Seconds."""
LONGEST: Final = 30.0
"""Seconds that a response may be delayed: senders give an association up. With more in flight the rate is exceeded instead."""


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...


def slot_end(before: float, now: float, seconds: float) -> float:
    """When a slot of that length ends. `before`: when the last one does; all in seconds of one monotonic clock."""
    return min(max(before, now - BURST) + seconds, now + LONGEST)


class Paced:
    """Delays what `store` answers. `stop`: the receiver ends, and nobody has to wait any more."""

    def __init__(
        self,
        store: Callable[[Incoming], int],
        *,
        pacs: Sequence[Pacs],
        page: Page,
        count: Count,
        stop: threading.Event,
    ) -> None:
        """The numbers of `page` are the ends of the last slots, in the order of `pacs`."""
        self._store, self._page, self._count, self._stop = store, page, count, stop
        self._known = frozenset(p.ae_title for p in pacs)
        self._limited = [(cell, p, p.max_rate) for cell, p in enumerate(pacs) if p.max_rate is not None]

    def store(self, incoming: Incoming) -> int:
        """A DIMSE status. The slot begins when the instance is here; cleaning and keeping it are part of the wait."""
        slots = [
            self._slot(cell, pacs, len(incoming.data) / rate) for cell, pacs, rate in self._of(incoming.calling_ae)
        ]
        status = self._store(incoming)
        for name, end in slots:
            wait = end - time.monotonic()
            if wait > 0 and not self._stop.is_set():
                self._stop.wait(wait)
                self._count.add("rate_delay_seconds_total", wait, pacs=name)
        return status

    def _of(self, calling_ae: str) -> list[tuple[int, Pacs, float]]:
        """Who calls itself by no name that we know (receiver.peers) may send for any of them, and counts for each."""
        known = calling_ae in self._known
        return [limited for limited in self._limited if not known or limited[1].ae_title == calling_ae]

    def _slot(self, cell: int, pacs: Pacs, seconds: float) -> tuple[str, float]:
        now = time.monotonic()  # of the system: the same for every process
        return pacs.name, self._page.change(cell, lambda before: slot_end(before, now, seconds))
