"""What the courier and the confirmation of one archive share: claiming a series, and giving it back when there is trouble.

An archive that is full or gone is not the item's fault: nothing is charged, and the archive rests, and with it every
series that waits for it; other archives of the same project go on. The oldest series is tried first when it has rested, and when
that did not help twice, each second time one that has not been tried since: one file may be all that the archive chokes on. A
series whose file fails again after others went through is charged, or, where the archive says that it has no room or no time, waits
for an hour by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.deliver.breaker import LONGEST_WAIT, Breaker, wait
from gateway.deliver.sink import Sink
from gateway.deliver.verdict import FAILED
from gateway.dicom.patience import Suspicion
from gateway.errors import Refused, Retry
from gateway.ops.health import Board
from gateway.ops.metrics import Count
from gateway.state.progress import ANY, Rather, Route, Stage, rest
from gateway.state.rows import SeriesRow

LEASE: Final = 3600.0  # seconds; a restarted node frees its own at once, so this is for a node that is gone for good
RENEWED: Final = 600.0  # seconds; a large series takes longer than a lease, and a withdrawal goes by who holds one
SLOWEST: Final = 1 << 14  # bytes per second of a line: the lease of a large file lasts as long as it takes there
MAX_ATTEMPTS: Final = 8  # charged ones
ALONE: Final = MAX_ATTEMPTS // 2  # of them, where nobody knows whether it is the file or the archive
DAMAGED: Final = "outbox.damaged"
EMPTY: Final = "outbox.empty"
STOPPING, LOST = "daemon.stopping", "deliver.lease-lost"
OURS: Final = frozenset({STOPPING, LOST})
OF_ALL: Final = frozenset({
    STOPPING, "sink.full", "sink.busy", "sink.port", "sink.rejected", "sink.secret", "sink.tls", "sink.unsafe",
})  # fmt: skip
"""Troubles of an archive, or of our set-up with it, that say nothing of one file. Any other, one file alone may bring about."""


class Store(Protocol):
    """What this room uses of `state.progress.Progress`. Each call may raise Retry("state.busy")."""

    def claim(
        self, stage: Stage, route: Route, *, lease: float, now: float, rather: Rather = ANY
    ) -> SeriesRow | None: ...
    def hold(self, row: SeriesRow, route: Route, *, lease: float, now: float) -> bool: ...
    def delivered(self, row: SeriesRow, route: Route, *, now: float) -> bool: ...
    def confirmed(self, row: SeriesRow, route: Route, *, files: Sequence[str], now: float) -> str: ...
    def lost(self, row: SeriesRow, route: Route, *, most: int, now: float) -> bool: ...
    def failed(self, row: SeriesRow, *, reason: str, now: float) -> bool: ...
    def release(self, row: SeriesRow, route: Route, *, reason: str, not_before: float, charge: bool) -> bool: ...
    def late(self, series_key: str, *, now: float) -> bool: ...
    def tell(self, series_key: str, event: str, *, reason: str, now: float) -> None: ...


class Outbox(Protocol):
    """What this room uses of `state.outbox.Outbox`."""

    def files(self, series: str) -> list[Path]: ...

    def checksums(self, series: str) -> dict[str, set[str]]: ...

    def damaged(self, series: str) -> list[str]: ...

    def set_aside(self, series: str, name: str) -> None: ...

    def remove(self, series: str, files: Sequence[Path]) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Way:
    """From a project to one of its archives, and who is told. `clock`: epoch seconds; a reading is a sign of life of its role.

    `stop`: nothing new is begun; `max_rate`: bytes per second.
    """

    route: Route
    sink: Sink
    store: Store
    outbox: Outbox
    count: Count
    board: Board
    clock: Callable[[], float]
    stop: threading.Event = field(default_factory=threading.Event)
    max_rate: float | None = None


class Care:
    """One step's claims and troubles."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.breaker, self._suspicion = Breaker(), Suspicion()
        self._failed = set[int]()  # series, since the archive worked
        self._overtaken = False  # the file that failed last, by others, since it had failed before
        self._alone = self._turn = False  # the series of before waits by itself; so what was not tried yet has its turn
        self._held_since = 0.0

    def claim(self, stage: Stage) -> SeriesRow | None:
        """The oldest series at that stage, or one in its place, unless the archive rests."""
        way, now = self._way, self._way.clock()
        self._overtaken = False
        if self.breaker.rests(now):
            return None
        # Each second time: else what waits for an hour, and takes longer than that, would be all there is.
        self._alone, self._turn = False, self._alone and not self._turn
        row = None
        if self._failed and self.breaker.failures % 2 == 0:
            row = way.store.claim(stage, way.route, lease=LEASE, now=now, rather=Rather(but=self._failed))
        row = row or way.store.claim(stage, way.route, lease=LEASE, now=now, rather=Rather(new=self._turn))
        self._held_since = now
        if row is None:
            way.sink.close()
        return row

    @contextmanager
    def trying(self, row: SeriesRow) -> Iterator[None]:
        """What goes wrong in the block gives the row back, or ends its series. Raises Retry when the archive is to blame."""
        try:
            yield
        except Refused as err:
            self.fail(row, err.reason, told=row.reason == err.reason)
        except Retry as err:
            self._later(row, err)

    def files(self, row: SeriesRow) -> list[Path]:
        """Raises Refused when there are none, or one was set aside that nobody has sent again; Retry("outbox.unreadable")."""
        outbox = self._way.outbox
        with _readable("the folder of a series"):
            files, damaged = outbox.files(row.key), outbox.damaged(row.key)
            files = files or outbox.files(row.key)  # what was set aside may have come this moment
        if damaged:
            raise Refused(DAMAGED, "a clean file was not what was received, and has not come again")
        if not files:
            self.received(row)  # nothing is gone for good that is only closed to us
            raise Refused(EMPTY, "the clean files of a series are gone; retrieve it again")
        return files

    def received(self, row: SeriesRow) -> dict[str, set[str]]:
        """The checksums of each file as it was received (`Outbox.checksums`). Raises Retry("outbox.unreadable")."""
        with _readable("the ledger of a series"):
            return self._way.outbox.checksums(row.key)

    def go_on(self, row: SeriesRow, size: int = 0) -> None:
        """Between two calls of an archive; the next one takes it so many bytes.

        Raises Retry when the daemon stops, or the claim is lost: then the archive may have been cleared of this patient.
        """
        way = self._way
        go_on(way.clock, way.stop)
        now, longer = way.clock(), size / SLOWEST
        if longer > LEASE / 2 or now - self._held_since >= RENEWED:
            if not way.store.hold(row, way.route, lease=LEASE + longer, now=now):
                raise Retry(LOST, "nobody may work on a series under a claim that is over", charge=False)
            self._held_since = now

    def worked(self, row: SeriesRow) -> None:
        """A whole series went through."""
        self.breaker.worked()
        self._suspicion.answered(row.key)
        self._failed.clear()

    def well(self, file: Path) -> None:
        """It has `file`, or says that it has not."""
        way = self._way
        self._suspicion.cleared(_named(file))
        if way.board.states("sink").get(way.sink.name) is False:
            structlog.get_logger().info("sink.up", sink=way.sink.name)
        way.board.up("sink", way.sink.name, now=way.clock())

    def ill(self, err: Retry, file: Path) -> None:
        """The board shows the archive down, unless it was our own file's fault: so it is of one that others have overtaken."""
        way = self._way
        if err.reason == STOPPING or (err.charge and err.reason != FAILED):
            return
        self._overtaken = self._suspicion.overtaken(_named(file))
        err.charge = err.charge or (self._overtaken and err.reason not in OF_ALL)
        if self._overtaken:
            return
        if way.board.states("sink").get(way.sink.name) is not False:
            structlog.get_logger().warning("sink.down", sink=way.sink.name, reason=err.reason, detail=err.detail)
        way.board.down("sink", way.sink.name, err.reason, now=way.clock())

    def fail(self, row: SeriesRow, reason: str, *, told: bool = False) -> bool:
        """Ends the series; one that was pushed, and has its files, is tried again later. False: it is not ours any more.

        `told`: its history has the reason already.
        """
        way = self._way
        if row.pushed and reason != EMPTY:
            return self._wait(row, reason, told=told)
        done = way.store.failed(row, reason=reason, now=way.clock())
        if done:
            self.tell(row, "failed", reason)
        return done

    def _wait(self, row: SeriesRow, reason: str, *, told: bool) -> bool:
        way, now = self._way, self._way.clock()
        until = now + rest(row.attempts)
        done = self._alone = way.store.release(row, way.route, reason=reason, not_before=until, charge=True)
        if done:
            self.tell(row, "waits", reason)
            if not told:
                way.store.tell(row.key, "waits", reason=reason, now=now)
        return done

    def tell(self, row: SeriesRow, event: str, reason: str = "", *, files: int = 0) -> None:
        told = structlog.get_logger().bind(series=row.key, project=row.project, sink=self._way.sink.name)
        told.info(f"series.{event}", **({"reason": reason} if reason else {}), files=files)

    def _later(self, row: SeriesRow, err: Retry) -> None:
        """Gives the row back. Raises a Retry for the worker when the archive is to blame, which rests then."""
        way, now = self._way, self._way.clock()
        charge = err.charge and (err.reason != FAILED or self._overtaken or row.attempts < ALONE)
        if charge and row.attempts + 1 >= MAX_ATTEMPTS:
            self.fail(row, err.reason, told=row.attempts + 1 > MAX_ATTEMPTS and row.reason == err.reason)
            return
        later = wait(row.attempts + 1) if charge else LONGEST_WAIT if err.charge or self._overtaken else 0.0
        way.store.release(row, way.route, reason=err.reason, not_before=now + later, charge=charge)
        self._alone = later > 0.0
        if not later and err.reason not in OURS:
            self._failed.add(row.id)
            self.breaker.failed(now, err.after)
            way.sink.close()
            raise Retry(err.reason, err.detail, after=0.0, charge=False)  # the archive rests, the role need not


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise Retry("outbox.unreadable", f"{what} cannot be read") from None


def go_on(clock: Callable[[], float], stop: threading.Event) -> None:
    """A sign of life. Raises Retry("daemon.stopping")."""
    clock()
    if stop.is_set():
        raise Retry(STOPPING, "the rest is delivered by the next life", charge=False)


def _named(file: Path) -> str:
    """A file of the outbox among those of all series."""
    return f"{file.parent.name}/{file.name}"
