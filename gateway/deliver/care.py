"""What the courier and the confirmation share: claiming a series, and giving it back when its sink is in trouble.

A sink that is full or gone is not the item's fault: nothing is charged, the series waits, and so does every other
series of the project, so that one dead archive neither burns through the queue nor holds up the other projects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.deliver.sink import Sink
from gateway.errors import Refused, Retry
from gateway.ops.health import Board
from gateway.state.rows import SeriesRow

FIRST_WAIT: Final = 30.0  # seconds
LONGEST_WAIT: Final = 3600.0
LEASE: Final = 3600.0  # seconds; a restarted node frees its own at once, so this is for a node that is gone for good
MAX_ATTEMPTS: Final = 8  # charged ones

Sinks = Mapping[str, Sequence[Sink]]
"""project -> where its files go."""


class Store(Protocol):
    """What this room uses of `state.store.Store`. Each call may raise Retry("state.busy")."""

    def claim_rows(self, state: str, *, projects: Sequence[str], lease: float, now: float) -> SeriesRow | None: ...

    def settle_row(self, row: SeriesRow, event: str, *, reason: str = "", now: float) -> bool: ...

    def release_row(self, row: SeriesRow, *, reason: str, not_before: float, charge: bool, now: float) -> bool: ...

    def late(self, series_key: str, *, now: float) -> bool: ...


class Outbox(Protocol):
    """What this room uses of `state.outbox.Outbox`."""

    def files(self, series: str) -> list[Path]: ...

    def remove(self, series: str, files: Sequence[Path]) -> bool: ...


@dataclass
class Care:
    """One step's claims and troubles. `resting`: project -> (failures in a row, epoch seconds until which it rests)."""

    store: Store
    sinks: Sinks
    board: Board
    clock: Callable[[], float]
    resting: dict[str, tuple[int, float]] = field(default_factory=dict)

    def claim(self, state: str) -> SeriesRow | None:
        """The next series in `state` of a project that has sinks and does not rest."""
        now = self.clock()
        awake = [p for p, sinks in self.sinks.items() if sinks and self.resting.get(p, (0, 0.0))[1] <= now]
        return self.store.claim_rows(state, projects=awake, lease=LEASE, now=now) if awake else None

    def well(self, sink: Sink) -> None:
        if self.board.states("sink").get(sink.name) is False:
            structlog.get_logger().info("sink.up", sink=sink.name)
        self.board.up("sink", sink.name, now=self.clock())

    def ill(self, sink: Sink, err: Retry) -> None:
        """The board shows the sink down, unless it was our own file's fault."""
        if err.charge:
            return
        if self.board.states("sink").get(sink.name) is not False:
            structlog.get_logger().warning("sink.down", sink=sink.name, reason=err.reason, detail=err.detail)
        self.board.down("sink", sink.name, err.reason, now=self.clock())

    def settle(self, row: SeriesRow, event: str, reason: str = "", *, files: int = 0) -> bool:
        """False: the lease was lost and somebody else settled it."""
        settled = self.store.settle_row(row, event, reason=reason, now=self.clock())
        if settled:
            told = structlog.get_logger().bind(series=row.key, project=row.project)
            told.info(f"series.{event}", **({"reason": reason} if reason else {}), files=files)
        return settled

    def refuse(self, row: SeriesRow, err: Refused) -> None:
        self.settle(row, "failed", err.reason)

    def later(self, row: SeriesRow, err: Retry) -> None:
        """Gives the row back. Raises a Retry for the worker when the sink is to blame, and then its project rests."""
        if err.charge and row.attempts + 1 >= MAX_ATTEMPTS:
            self.settle(row, "failed", err.reason)
            return
        now = self.clock()
        times = row.attempts + 1 if err.charge else self.resting.get(row.project, (0, 0.0))[0] + 1
        until = now + wait(times)
        self.store.release_row(row, reason=err.reason, not_before=until, charge=err.charge, now=now)
        if not err.charge:
            self.resting[row.project] = (times, until)
            raise Retry(err.reason, err.detail, after=0.0, charge=False)  # the project rests, the role need not

    def rested(self, row: SeriesRow) -> None:
        """All its sinks work again."""
        self.resting.pop(row.project, None)


def wait(times: int) -> float:
    """Seconds before the next try after `times` failures in a row: 30 s, doubled, at most an hour."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(max(times - 1, 0), 16))
