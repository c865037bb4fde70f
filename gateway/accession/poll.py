"""One poll: the RIS's rows since the cursor -> the store, in batches; the cursor moves with the last of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from gateway.accession import cursor as progress
from gateway.accession.rows import Seen, admit, sort_out
from gateway.accession.source import CursorValue, Row, RowSource
from gateway.errors import GatewayError, Retry
from gateway.model import SetAside, Wanted
from gateway.ops.health import Board
from gateway.ops.metrics import Count
from gateway.state.rows import Added

BATCH: Final = 500


class Requests(Protocol):
    """The part of the store that a poll uses."""

    def cursor(self, project: str) -> str | None: ...

    def add_requests(
        self, wanted: Sequence[Wanted], aside: Sequence[SetAside], *, project: str, cursor: str | None, now: float
    ) -> Added: ...


class Listed(Protocol):
    """What is told of rows that are known already (state.listed.Listed)."""

    def note(self, wanted: Sequence[Wanted], *, now: float) -> int: ...


@dataclass(frozen=True)
class Poll:
    """The poll of one project. `ris`: its name on the board. `cursor`: column name. `overlap`: seconds.

    `listed`: is told each row as it is now, for one that is known may have changed (R4).
    """

    project: str
    ris: str
    source: RowSource
    cursor: str | None
    overlap: float
    store: Requests
    count: Count
    board: Board
    clock: Callable[[], float]
    listed: Listed | None = None
    stop: threading.Event = field(default_factory=threading.Event)  # set: ends after the batch under way
    differed: set[str] = field(default_factory=set, init=False)  # see rows.Seen

    def run(self) -> Added:
        """Polls once. Raises what the RIS or the store raise; what was stored until then the next poll finds known."""
        try:
            added, newest = self._read_all()
        except GatewayError as err:
            self.failed(err)
            raise
        self._tell(added, newest)
        return added

    def failed(self, err: GatewayError) -> None:
        """Tells of a poll that came to nothing, also of one that could not begin."""
        self.count.add("ris_polls_total", project=self.project, result="failed")
        if err.reason.startswith("ris."):
            self.board.down("ris", self.ris, err.reason, now=self.clock())

    def idle(self) -> None:
        """Another node polls by now: what this one saw last of the RIS is old, and raises no alert."""
        for name in ("ris_last_success_timestamp_seconds", "ris_lag_seconds"):
            self.count.set(name, math.nan, project=self.project)
        self.board.unknown("ris", self.ris)

    def _read_all(self) -> tuple[Added, CursorValue | None]:
        mark = self.source.fingerprint
        stored = progress.from_text(self.store.cursor(self.project), mark)
        newest, total, seen = stored, Added(0, 0, 0), Seen(frozenset(self.differed))
        with closing(batches(self.source.rows(progress.start(stored, self.overlap)))) as read:
            for batch in read:
                if self.stop.is_set():
                    raise Retry(
                        "poll.stopped", "the daemon stops; the next poll starts at the same place", charge=False
                    )
                newest = self._newest(newest, batch)
                total = _sum(total, self._store(batch, seen, None))
        self._note(list(map(seen.agreed, seen.later)))
        self.differed.clear()
        self.differed.update(seen.differ)
        if newest is not None and newest != stored:
            self._store((), seen, progress.to_text(newest, mark))
        return total, newest

    def _newest(self, newest: CursorValue | None, batch: Sequence[Row]) -> CursorValue | None:
        now = self.clock()
        for row in batch if self.cursor else ():
            newest = progress.newer(newest, row.get((self.cursor or "").lower()), now)
        return newest

    def _store(self, batch: Sequence[Row], seen: Seen, cursor: str | None) -> Added:
        rows = sort_out((admit(self.project, row) for row in batch), seen)
        added = self.store.add_requests(rows.wanted, rows.aside, project=self.project, cursor=cursor, now=self.clock())
        self._note(rows.told)
        return added

    def _note(self, told: Sequence[Wanted]) -> None:
        if told and self.listed:
            self.listed.note(told, now=self.clock())

    def _tell(self, added: Added, newest: CursorValue | None) -> None:
        now = self.clock()
        self.count.add("ris_polls_total", project=self.project, result="ok")
        self.count.set("ris_last_success_timestamp_seconds", now, project=self.project)
        behind = progress.lag(newest, now)
        if behind is not None:
            self.count.set("ris_lag_seconds", behind, project=self.project)
        self.board.up("ris", self.ris, now=now)
        self.board.success("poll", now=now)
        if added.new or added.aside:
            log = structlog.get_logger()
            log.info("poll.added", project=self.project, new=added.new, known=added.known, aside=added.aside)


def batches(rows: Iterator[Row]) -> Generator[list[Row], None, None]:
    """Lists of up to BATCH rows; closing it closes `rows`."""
    batch: list[Row] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        close = getattr(rows, "close", None)
        if close is not None:
            close()


def _sum(a: Added, b: Added) -> Added:
    return Added(a.new + b.new, a.known + b.known, a.aside + b.aside)
