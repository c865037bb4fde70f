"""What all moves of one PACS share: its window, how many it bears, and whether it is left alone. Decides by `windows`, `pressure`,
`breaker`; only keeps their state, thread-safe, and tells the metrics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.cmove.breaker import Breaker, State
from gateway.cmove.pace import Pace
from gateway.cmove.parts import Count
from gateway.cmove.pressure import pressure
from gateway.cmove.shares import Shares
from gateway.cmove.windows import Calendar, calendar, last_start
from gateway.dicom.patience import REFUSED_ONE
from gateway.errors import Retry
from gateway.settings import Pacs, read_window

WEIGHT: Final = 0.125
STRAINS: Final = frozenset({"move.stalled", "move.too-long"})
"""Charged to the series, and yet signs of a PACS that is asked too much."""


@dataclass(frozen=True)
class Pass:
    """Leave to begin. `probe`: only after the PACS has answered C-ECHO. `moves`: False where that is all that may be asked."""

    probe: bool
    moves: bool = True


@dataclass(frozen=True)
class Facts:
    """`change`: epoch second at which the window ends or the next begins; None: it does not. `breaker`: breaker.State."""

    open: bool
    change: float | None
    running: int
    allowed: int
    breaker: str


class Gate:
    """`wall`: epoch seconds to the PACS's own date and time. `ticks`: monotonic seconds. `shares`: by project."""

    def __init__(
        self,
        pacs: Pacs,
        *,
        count: Count,
        wall: Callable[[float], datetime],
        ticks: Callable[[], float] = time.monotonic,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.pacs, self._count, self._ticks = pacs, count, ticks
        self.calendar: Calendar = calendar(map(read_window, pacs.windows), wall)
        self._lock = threading.Lock()
        self._pressure, self._breaker, self._pace = pressure(pacs.max_moves), Breaker(), Pace()
        self._shares = Shares(shares or {})
        self._inside = self._moving = 0
        self._failing = False  # it was at fault when it was last asked
        self._usual = 0.0  # seconds of a move
        self._opened: tuple[float, float, float] | None = None  # looked at, open since, closes
        self._told: dict[str, float] = {}

    # ---- may a move begin, go on

    def enter(self, now: float) -> Pass | None:
        """Leave for one more association, until `leave`. None: not now. `now`: epoch seconds.

        Outside its window a PACS that failed last may be asked whether it is there again, and nothing else.
        """
        ticks = self._ticks()
        with self._lock:
            state = self._breaker.state(ticks)
            free = self._inside < (self._pressure.moves if state is State.CLOSED else 1)
            moves = self._may_begin(now)
            if not (moves or self._failing) or state is State.OPEN or not free:
                self._tell(now)
                return None
            self._inside += 1
            if state is State.HALF_OPEN:
                self._breaker = self._breaker.probing(ticks)
            self._tell(now)
        return Pass(probe=not moves or state is State.HALF_OPEN, moves=moves)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def may_go_on(self, now: float) -> bool:
        """Whether somebody inside may begin another series."""
        with self._lock:
            closed = self._breaker.state(self._ticks()) is State.CLOSED
            return closed and self._may_begin(now) and self._inside <= self._pressure.moves

    def is_open(self, now: float) -> bool:
        """By its windows: what runs is cancelled when this ends."""
        return self.calendar.is_open(now)

    def _may_begin(self, now: float) -> bool:
        if not self.calendar.is_open(now):
            self._opened = None
            return False
        looked, since, closes = self._opened or (now, now, 0.0)
        if not looked <= now < closes:  # a new window, or the clock was set
            since, closes = now, self.calendar.next_change(now) or float("inf")
        self._opened = (now, since, closes)
        return closes == float("inf") or now <= last_start(since, closes, self._usual)

    def turns(self, projects: Sequence[str]) -> list[str]:
        """Whose series comes next, and whose when it has none."""
        with self._lock:
            return self._shares.turns(projects)

    # ---- what came of it

    def served(self, projects: Sequence[str], instances: int) -> None:
        """A series of so many instances, as the PACS said, was asked for, for these projects."""
        with self._lock:
            self._shares = self._shares.served(projects, instances, self._ticks())

    @contextmanager
    def moving(self) -> Iterator[None]:
        """While a move is under way."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        ticks = self._ticks()
        with self._lock:
            before, self._moving = self._moving, self._moving + by
            if not before:
                self._pace = self._pace.began(ticks)
            if not self._moving:
                self._pace = self._pace.ended(ticks)
            self._count.set("moves_running", self._moving, pacs=self.pacs.name)

    def came(self, seconds: float) -> None:
        """A series is complete; its move took so many seconds."""
        with self._lock:
            self._usual += WEIGHT * (seconds - self._usual)
            self._pace = self._pace.came(self._ticks())

    def went_well(self, seconds: float, rows: int) -> None:
        """A series is complete; its list of so many rows had taken so many seconds."""
        with self._lock:
            self._pressure = self._pressure.went_well(seconds, rows, self._ticks())

    def echoed(self) -> None:
        with self._lock:
            self._breaker, self._failing = self._breaker.echoed(), False

    def answered(self) -> None:
        """It answered; what is missing is not its failure."""
        with self._lock:
            self._breaker, self._failing = self._breaker.answered(), False

    def strained(self, reason: str) -> None:
        """`reason`: of a charged failure, which may show that it is asked too much; or of our own receiver's."""
        if reason in STRAINS or reason.startswith("receiver."):
            with self._lock:
                self._pressure = self._pressure.strained(self._ticks())

    def refused_one(self) -> None:
        """It refused one series as no PACS should, and not all: it is shown as down until it answers again."""
        with self._lock:
            self._failing = True

    def failed(self, err: Retry) -> None:
        """The PACS is at fault, or our set-up with it."""
        ticks = self._ticks()
        with self._lock:
            self._breaker, self._failing = self._breaker.failed(ticks, err.after), True
            if err.after is None and err.reason not in REFUSED_ONE:
                self._pressure = self._pressure.strained(ticks)

    # ---- what is seen of it

    def facts(self, now: float) -> Facts:
        """For `status`."""
        change = self.calendar.next_change(now) if self.pacs.windows else None
        with self._lock:
            state, allowed = self._breaker.state(self._ticks()), self._pressure.moves
            return Facts(self.is_open(now), change, self._moving, allowed, state.value)

    def done_at(self, series: int, now: float) -> float | None:
        """Epoch seconds when that many series will have come, the times when nothing may be asked included; None: unknown."""
        with self._lock:
            needed = self._pace.needed(series, self._ticks())
        return None if needed is None else self.calendar.after(now, needed)

    def _tell(self, now: float) -> None:
        """Gauges, those that changed."""
        state = self._breaker.state(self._ticks())
        for name, value in (
            ("window_open", float(self.is_open(now))),
            ("moves_allowed", float(self._pressure.moves)),
            ("breaker_open", float(state is not State.CLOSED)),
        ):
            if self._told.get(name) != value:
                self._told[name] = value
                self._count.set(name, value, pacs=self.pacs.name)
