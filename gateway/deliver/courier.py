"""The courier of one archive: takes a retrieved series from the outbox and puts each of its files there.

It may die anywhere: the row is still at `waiting`, and putting again what is there already changes nothing.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from gateway.deliver.breaker import Pace
from gateway.deliver.care import DAMAGED, Care, Way
from gateway.errors import Refused, Retry
from gateway.state.checksum import of_file
from gateway.state.progress import Stage
from gateway.state.rows import SeriesRow

YOUNG = 60.0  # seconds
PIECE = 1.0  # seconds between signs of life while the pace is kept


class DeliverStep:
    """Reads the clock at least once a file."""

    def __init__(self, way: Way) -> None:
        self._way, self._care, self._pace = way, Care(way), Pace(way.max_rate)

    def step(self) -> bool:
        """One series. Raises Retry when the archive is in trouble; the series has been given back by then."""
        row = self._care.claim(Stage.WAITING)
        if row is None:
            return False
        with self._care.trying(row):
            self._deliver(row)
        return True

    def _deliver(self, row: SeriesRow) -> None:
        way, files = self._way, self._care.files(row)
        received = self._care.received(row)
        for file in files:
            self._keep_pace(row)
            self._put(row, file, received.get(file.name, set()))
        self._care.worked(row)
        if way.store.delivered(row, way.route, now=way.clock()):
            self._care.tell(row, "delivered", files=len(files))
        way.board.success("delivery", now=way.clock())

    def _keep_pace(self, row: SeriesRow) -> None:
        while due := self._pace.due(self._way.clock()):
            self._way.stop.wait(min(due, PIECE))
            self._care.go_on(row)

    def _put(self, row: SeriesRow, file: Path, checksums: set[str]) -> None:
        way, (kept, size) = self._way, _facts(file)
        self._care.go_on(row, size)
        self._pace.sent(size, way.clock())
        try:
            if not _is_whole(file, checksums):
                self._damaged(row, file, kept)
            receipt = way.sink.put(file)
        except Refused:
            way.count.add("deliveries_total", sink=way.sink.name, result="refused")
            raise
        except Retry as err:
            way.count.add("deliveries_total", sink=way.sink.name, result="failed")
            self._care.ill(err, file)
            raise
        self._care.well(file)
        way.count.add("deliveries_total", sink=way.sink.name, result="delivered" if receipt.new else "duplicate")
        way.count.set("delivery_lag_seconds", max(0.0, way.clock() - kept), sink=way.sink.name)

    def _damaged(self, row: SeriesRow, file: Path, kept: float) -> NoReturn:
        """The second look decides, by the ledger of now, and none at what has come just now: its line may be behind it."""
        young = 0 <= self._way.clock() - kept < YOUNG
        if row.reason != DAMAGED or young or _is_whole(file, self._care.received(row).get(file.name, set())):
            raise Retry(DAMAGED, "a clean file is not what was received")
        if self._care.fail(row, DAMAGED):  # first, so that it is never just missing
            with suppress(OSError, Retry):  # the next courier of this series finds it again
                self._set_aside(row)
        raise Refused(DAMAGED, "a clean file is not what was received; retrieve its series again")

    def _set_aside(self, row: SeriesRow) -> None:
        """All at once, so that all are asked for at once."""
        received = self._care.received(row)
        for file in self._way.outbox.files(row.key):
            self._way.clock()
            if not _is_whole(file, received.get(file.name, set())):
                self._way.outbox.set_aside(row.key, file.name)


def _is_whole(file: Path, checksums: set[str]) -> bool:
    """Whether it is what was received, as far as that is known. Raises Retry("outbox.unreadable")."""
    try:
        with file.open("rb", buffering=0) as opened:
            return not checksums or of_file(opened).hex() in checksums
    except OSError as err:
        if err.errno == errno.EIO:  # the disk cannot tell what it was
            return False
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None


def _facts(file: Path) -> tuple[float, int]:
    """Since when it is kept (epoch seconds), and its bytes."""
    try:
        found = file.stat()
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
    return found.st_mtime, found.st_size
