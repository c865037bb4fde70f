"""The screening: looks at the pixels of what is held, one file a step, beside the receiver and never inside a C-STORE.

Clean, or masked clean: into the outbox. Anything else stays for a person, with the reason. The order of the durable steps is

    screened file in the outbox -> its line KEPT -> held file gone -> series settled (state, history) -> folder gone

and each may be done twice: killed between two of them, the next life does the rest. What is left to a person has one durable
step, its line in the held folder's own ledger. A file is locked while somebody decides about it; the lock ends with its process.

A file whose screening ended twice without an end (it killed its process, or hit a mistake of ours) is left to a person: one
file must not stop the others.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.errors import Retry
from gateway.model import Buffer, Outcome
from gateway.state import holding as held
from gateway.state.holding import Holding
from gateway.state.outbox import Outbox
from gateway.state.rows import Tally, tally

RELEASE: Final = "release"
UNSCREENABLE: Final = "screening.died"
MAX_TRIES: Final = 2
SETTLES: Final = 2.0
"""Seconds after which a folder's time stamp tells a later change from an earlier one."""
DEAD: Final = frozenset({"failed", "excluded", "withdrawn"})
"""States of a series of which nothing may go out; its folders are cleared by the sweep of the outbox."""


class Screened(Protocol):
    """`verdict`: "release" or "hold"; `parts`: the file to release; `reason`: why it is held."""

    @property
    def parts(self) -> Sequence[Buffer]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Screener(Protocol):
    """`parts`: a whole Part 10 file whose header is clean."""

    def screen(self, parts: Sequence[Buffer]) -> Screened: ...


class Store(Protocol):
    def settle_held(self, series_key: str, tally: Tally, *, now: float) -> str: ...
    def held_series(self) -> Sequence[str]: ...
    def late(self, series_key: str, *, now: float) -> bool: ...


class Series(Protocol):
    @property
    def project(self) -> str: ...
    @property
    def state(self) -> str: ...


class Views(Protocol):
    def series_of(self, keys: Sequence[str]) -> Mapping[str, Series]: ...


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, seconds: float, **labels: str) -> None: ...


@dataclass(kw_only=True)
class ScreenStep:
    """One of several screening processes. `screeners`: by project; what is held of other projects waits for a person."""

    store: Store
    views: Views
    outbox: Outbox
    screeners: Mapping[str, Screener]
    count: Count
    clock: Callable[[], float]
    _done: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def step(self) -> bool:
        """Screens one file. False: nothing waits for the screening. Raises Retry when the disk or the database is in trouble."""
        try:
            return any(self._look(series, stamp) for series, stamp in self._changed())
        except OSError as err:
            raise Retry(f"disk.errno-{err.errno or 0}", "a held file cannot be moved on", charge=False) from None

    def _changed(self) -> Iterable[tuple[str, tuple[int, bool]]]:
        """Series with a held folder, or held, that look otherwise than when nothing was left to do for them."""
        assert self.outbox.held is not None
        waiting = set(self.store.held_series())
        series = sorted(waiting.union(self.outbox.held.series()))
        self._done = {key: stamp for key, stamp in self._done.items() if key in series}
        for key in series:
            stamp = (self._changed_at(key), key in waiting)
            if self._done.get(key) != stamp:
                yield key, stamp

    def _changed_at(self, series: str) -> int:
        """Nanoseconds; 0 when there is no folder, or when it may change again within the same tick of the file system's clock."""
        assert self.outbox.held is not None
        try:
            changed = self.outbox.held.path(series, "x").parent.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
        return changed if self.clock() - changed / 1e9 > SETTLES else 0

    def _look(self, series: str, stamp: tuple[int, bool]) -> bool:
        """True: one file was screened. False: nothing is left to do here, which is remembered where it is sure to last."""
        found = self.views.series_of([series]).get(series)
        screener = self.screeners.get(found.project) if found and found.state not in DEAD else None
        todo = [h for h in held.holdings(self.outbox, [series]) if not h.judged] if screener else []
        for holding in todo:
            with held.locked(holding) as mine:
                if mine and found and screener:
                    self._screen(found.project, screener, holding)
                    return True
        if found and not todo:  # what is locked is settled by whoever has it
            settle(self.store, self.outbox, series, now=self.clock())
            if stamp[0]:
                self._done[series] = stamp
        return False

    def _screen(self, project: str, screener: Screener, holding: Holding) -> None:
        started = time.perf_counter()
        screened = None
        if held.tried(holding) < MAX_TRIES:
            screened = screener.screen((memoryview(mapped(holding.path)),))
            held.ended(holding)  # from here on it is the disk's fault, not the file's
        result = self._decide(holding, screened)
        self.count.observe("screen_seconds", time.perf_counter() - started)
        self.count.add("screened_total", project=project, result=result)
        structlog.get_logger().debug(f"instance.{result}", project=project, series=holding.series, held=holding.key)

    def _decide(self, holding: Holding, screened: Screened | None) -> str:
        if screened is not None and screened.verdict == RELEASE:
            held.release(self.outbox, holding, screened.parts)
            return "released"
        held.leave(self.outbox, holding, screened.reason if screened else UNSCREENABLE)
        held.ended(holding)
        return "held" if screened else "failed"


def mapped(path: Path) -> mmap.mmap:
    """The file without a copy of it; the mapping ends with its last view."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def settle(store: Store, outbox: Outbox, series: str, *, now: float) -> str:
    """What a series is now that some of it was let go: `released`, `discarded`, `failed`, or "" when nothing follows yet."""
    ledger = outbox.ledger(series)
    counted = tally(ledger)
    event = store.settle_held(series, counted, now=now)
    if event in ("discarded", "failed"):
        outbox.clear(series)
    else:
        held.tidy(outbox, series, now=now)
    if event:
        structlog.get_logger().info(
            f"series.{event}", series=series, kept=counted.kept, excluded=counted.excluded, refused=counted.refused
        )
    elif any(line.outcome is Outcome.KEPT for line in ledger.values()):
        store.late(series, now=now)  # only if it is confirmed: then the courier has to come again
    return event
