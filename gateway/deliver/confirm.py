"""The confirmation of one archive: reads a series back from it. With the last archive's receipt the outbox copy goes.

The order is: read back -> receipt -> with the last of them `confirmed` -> remove the files that were read back. Killed

- before the receipt: the archive's row is `delivered`, the files are all there; the next life reads back again;
- between `confirmed` and remove, or half-way through remove: files of a confirmed series are left. The sweep of the
  outbox at start finds them and sends the series on as `late`: the couriers find each in its place (a no-op), they are
  read back again and removed. Removing first would leave a row without files, of which nobody could say whether it was
  delivered.

A file that came while we read is not in the list of those read back: it is not removed, and the series goes on as
`late`. One that came before is in the list, is missing in the archive, and goes to its courier again. Receipts of other
archives for other files do not count (`state.progress`). So nothing leaves the outbox that was not read back from every
archive, and nothing is put twice that is there already. A claim that was lost settles nothing, and then nothing is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.deliver.care import Care, Way
from gateway.errors import Retry
from gateway.state.progress import Stage
from gateway.state.rows import SeriesRow

MAX_LOST: Final = 5
"""Times that a series goes back to the courier: an archive that loses what it took would keep it going round."""


class ConfirmStep:
    """Reads the clock at least once a batch."""

    def __init__(self, way: Way) -> None:
        self._way, self._care = way, Care(way)

    def step(self) -> bool:
        """One series. Raises Retry when the archive or the outbox is in trouble."""
        row = self._care.claim(Stage.DELIVERED)
        if row is None:
            return False
        files: list[Path] = []
        state = ""
        with self._care.trying(row):
            files = self._care.files(row)
            state = self._confirm(row, files)
        if state == "confirmed":
            self._let_go(row, files)
        return True

    def _confirm(self, row: SeriesRow, files: Sequence[Path]) -> str:
        """The series' state afterwards; "" when that is for others to say."""
        way = self._way
        rest = iter(files)
        while batch := tuple(islice(rest, way.sink.batch)):
            self._care.go_on(row)
            if not self._there(batch):
                if way.store.lost(row, way.route, most=MAX_LOST, now=way.clock()):
                    self._care.tell(row, "lost", "deliver.missing", files=len(files))
                return ""
        self._care.worked(row)
        state = way.store.confirmed(row, way.route, files=[file.name for file in files], now=way.clock())
        if state:
            self._care.tell(row, "confirmed" if state == "confirmed" else "receipt", files=len(files))
        return state

    def _there(self, batch: Sequence[Path]) -> bool:
        way = self._way
        try:
            there = way.sink.confirm(*batch)
        except Retry as err:
            self._care.ill(err, batch[0])
            raise
        self._care.well(batch[0])
        result = "confirmed" if there else "lost"
        way.count.add("deliveries_total", len(batch) if there else 1, sink=way.sink.name, result=result)
        return there

    def _let_go(self, row: SeriesRow, files: Sequence[Path]) -> None:
        way = self._way
        try:
            empty = way.outbox.remove(row.key, files)
        except OSError as err:
            raise Retry(
                "outbox.unwritable", f"confirmed files cannot be removed ({err.strerror})", charge=False
            ) from None
        if not empty:
            way.store.late(row.key, now=way.clock())
