"""The confirmation: reads a delivered series back from every sink, and only then lets the outbox copy go.

The order is: read back -> settle `confirmed` -> remove the files that were read back. Killed

- before the settle: the row is `delivered`, the files are all there; the next life reads back again;
- between settle and remove, or half-way through remove: the row is `confirmed` and files are left. The sweep of the
  outbox at start finds them and sends the series on as `late`: the courier finds each in its place (a no-op), they are
  read back again and removed. Removing first would leave a row without files, of which nobody could say whether it was
  delivered.

A file that came while we read is not in the list of those read back: it is not removed, and the series goes on as
`late`. One that came before is in the list, is missing in the sink, and the series is `lost`: back to the courier. So
nothing leaves the outbox that was not read back, and nothing is put twice that is there already. A claim that expired
settles nothing, and then nothing is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.deliver.care import Care, Outbox, Sinks, Store
from gateway.deliver.sink import Sink
from gateway.errors import Refused, Retry
from gateway.ops.health import Board
from gateway.ops.metrics import Count
from gateway.state.rows import SeriesRow

MAX_LOST: Final = 5
"""Times that a series goes back to the courier: an archive that loses what it took would keep it going round."""


@dataclass(kw_only=True)
class ConfirmStep:
    """`clock`: epoch seconds; read at least once a file, so that its owner may take a reading for a sign of life."""

    store: Store
    outbox: Outbox
    sinks: Sinks
    count: Count
    board: Board
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._care = Care(self.store, self.sinks, self.board, self.clock)
        self._lost: dict[str, int] = {}

    def step(self) -> bool:
        """One series. Raises Retry when a sink or the outbox is in trouble."""
        row = self._care.claim("delivered")
        if row is None:
            return False
        files = self.outbox.files(row.key)
        try:
            whole = self._read_back(row, files)
        except Refused as err:
            self._care.refuse(row, err)
        except Retry as err:
            self._care.later(row, err)
        else:
            self._care.rested(row)
            self._let_go(row, files) if whole else self._again(row, len(files))
        return True

    def _read_back(self, row: SeriesRow, files: Sequence[Path]) -> bool:
        if not files:
            raise Refused("outbox.empty", "the clean files of a delivered series are gone; retrieve it again")
        return all(self._confirm(sink, file) for file in files for sink in self.sinks[row.project])

    def _confirm(self, sink: Sink, file: Path) -> bool:
        try:
            there = sink.confirm(file)
        except Retry as err:
            self._care.ill(sink, err)
            raise
        self._care.well(sink)
        self.count.add("deliveries_total", sink=sink.name, result="confirmed" if there else "lost")
        return there

    def _let_go(self, row: SeriesRow, files: Sequence[Path]) -> None:
        self._lost.pop(row.key, None)
        if not self._care.settle(row, "confirmed", files=len(files)):
            return
        try:
            empty = self.outbox.remove(row.key, files)
        except OSError as err:
            raise Retry(
                "outbox.unwritable", f"confirmed files cannot be removed ({err.strerror})", charge=False
            ) from None
        if not empty:
            self.store.late(row.key, now=self.clock())

    def _again(self, row: SeriesRow, files: int) -> None:
        times = self._lost.pop(row.key, 0) + 1
        if times > MAX_LOST:
            self._care.settle(row, "failed", "deliver.lost", files=files)
            return
        self._lost[row.key] = times
        self._care.settle(row, "lost", "deliver.missing", files=files)
