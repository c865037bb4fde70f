"""The courier: takes a retrieved series from the outbox and puts each of its files into each sink of its project.

It may die anywhere: the row is still `retrieved`, and putting again what is there already changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.deliver.care import Care, Outbox, Sinks, Store
from gateway.deliver.sink import Sink
from gateway.errors import Refused, Retry
from gateway.ops.health import Board
from gateway.ops.metrics import Count
from gateway.state.rows import SeriesRow


@dataclass(kw_only=True)
class DeliverStep:
    """`clock`: epoch seconds; read at least once a file, so that its owner may take a reading for a sign of life."""

    store: Store
    outbox: Outbox
    sinks: Sinks
    count: Count
    board: Board
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._care = Care(self.store, self.sinks, self.board, self.clock)

    def step(self) -> bool:
        """One series. Raises Retry when a sink is in trouble; the series has been given back by then."""
        row = self._care.claim("retrieved")
        if row is None:
            return False
        try:
            delivered = self._deliver(row)
        except Refused as err:
            self._care.refuse(row, err)
        except Retry as err:
            self._care.later(row, err)
        else:
            self._care.rested(row)
            self._care.settle(row, "delivered", files=delivered)
            self.board.success("delivery", now=self.clock())
        return True

    def _deliver(self, row: SeriesRow) -> int:
        files = self.outbox.files(row.key)
        if not files:
            raise Refused("outbox.empty", "the clean files of a retrieved series are gone; retrieve it again")
        for file in files:
            for sink in self.sinks[row.project]:
                self._put(sink, file)
        return len(files)

    def _put(self, sink: Sink, file: Path) -> None:
        kept = _kept_at(file)
        try:
            receipt = sink.put(file)
        except Refused:
            self.count.add("deliveries_total", sink=sink.name, result="refused")
            raise
        except Retry as err:
            self.count.add("deliveries_total", sink=sink.name, result="failed")
            self._care.ill(sink, err)
            raise
        self._care.well(sink)
        self.count.add("deliveries_total", sink=sink.name, result="delivered" if receipt.new else "duplicate")
        self.count.set("delivery_lag_seconds", max(0.0, self.clock() - kept), sink=sink.name)


def _kept_at(file: Path) -> float:
    """Epoch seconds."""
    try:
        return file.stat().st_mtime
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
