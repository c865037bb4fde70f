"""Once a day: requests whose row is no longer in the view are cancelled (R4).

Only where the project says so, `vanished = "cancel"`: a view of the last weeks alone loses rows that are wanted all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from gateway.accession.poll import batches
from gateway.accession.rows import admit
from gateway.accession.source import RowSource
from gateway.model import Wanted

EVERY: Final = "1d"
FEW: Final = 10
"""So many requests may go at once, whatever share they are; of more than these, no more than half (R10: a view may be empty)."""


class Listed(Protocol):
    """What it uses of state.listed.Listed."""

    def waiting(self, project: str) -> set[str]: ...

    def hash(self, wanted: Wanted) -> str: ...

    def vanish(self, project: str, hashes: set[str], *, now: float) -> int: ...


@dataclass(frozen=True)
class Vanished:
    """`source`: of the project's poll; it is read whole. `stop`: ends it without a result."""

    project: str
    source: RowSource
    listed: Listed
    clock: Callable[[], float]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """How many were cancelled. Raises what the RIS or the state raise; what was cancelled until then is."""
        waiting = self.listed.waiting(self.project)
        gone, read = set(waiting), 0
        with closing(batches(self.source.rows(None))) as found:
            for batch in found if waiting else ():
                if self.stop.is_set():
                    return 0
                read += len(batch)
                admitted = (admit(self.project, row) for row in batch)
                gone -= {self.listed.hash(one) for one in admitted if isinstance(one, Wanted)}
        log = structlog.get_logger()
        if gone and (not read or len(gone) > max(FEW, len(waiting) // 2)):
            log.error("ris.vanished-many", project=self.project, count=len(gone))
            return 0
        cancelled = self.listed.vanish(self.project, gone, now=self.clock()) if gone else 0
        if cancelled:
            log.info("ris.vanished", project=self.project, count=cancelled)
        return cancelled
