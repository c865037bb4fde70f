"""What fetches images: a gate for each PACS, and so many moves behind it as the PACS is allowed at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from gateway.cmove.gate import Gate
from gateway.cmove.parts import Count
from gateway.cmove.retrieve import MoveStep
from gateway.cstore.page import Page
from gateway.cstore.space import Room
from gateway.ops.health import iso
from gateway.ops.metrics import Metrics
from gateway.run.meter import Meter
from gateway.run.opening import State
from gateway.run.wiring import Told, make_intake
from gateway.settings import Pacs, Settings
from gateway.state.pushed import PUSHED

Gates = Mapping[str, Gate]


class Metered:
    """Counts of this process, for the metrics and for the meter, which otherwise hears the receive processes alone."""

    def __init__(self, metrics: Metrics, meter: Meter) -> None:
        self._metrics, self._meter = metrics, meter

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        self._metrics.add(name, value, **labels)
        self._meter.add(name, value, labels, time.time())

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self._metrics.observe(name, seconds, **labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        self._metrics.set(name, value, **labels)


@dataclass(frozen=True)
class Around:
    """What a move touches of the daemon. `stop`: it ends. `room`: whether anything may be taken, and what."""

    gates: Gates
    stop: threading.Event
    room: Room
    metrics: Metrics
    meter: Meter
    page: Page


def make_gates(settings: Settings, count: Count) -> Gates:
    """By PACS. They live as long as the configuration does."""
    shares = {p.name: float(p.share) for p in settings.project}
    return {p.name: Gate(p, count=count, wall=wall_clock(p), shares=shares) for p in settings.pacs}


def wall_clock(pacs: Pacs) -> Callable[[float], datetime]:
    """Epoch seconds to date and time where the PACS is, or on this machine."""
    return partial(datetime.fromtimestamp, tz=ZoneInfo(pacs.time_zone) if pacs.time_zone else None)


def make_move_steps(
    settings: Settings, state: State, told: Callable[[str], Told], around: Around
) -> list[tuple[str, MoveStep]]:
    """One step per PACS and concurrent move: (role, step)."""
    get = any(pacs.retrieve == "get" for pacs in settings.pacs)
    count = Metered(around.metrics, around.meter)
    take = make_intake(settings, state, count, around.page, around.stop).take if get else None
    make = partial(
        MoveStep, store=state.store, outbox=state.outbox, projects=[p.name for p in settings.project],
        calling_ae=settings.receiver.ae_title, stop=around.stop,
        paused=lambda: not around.room.look(around.metrics) or around.meter.deferring(time.time()),
        crowded=around.meter.crowded, only=lambda: around.room.only,
    )  # fmt: skip
    return [
        (role, make(
            gate=around.gates[pacs.name], count=mine.count, board=mine.board, clock=mine.clock,
            take=take if pacs.retrieve == "get" else None,
        ))
        for pacs in settings.pacs
        for role in (f"move-{pacs.name}-{slot + 1}" for slot in range(pacs.max_moves))
        for mine in (told(role),)
    ]  # fmt: skip


def standing(gates: Gates, planned: Mapping[str, int], now: float) -> dict[str, dict[str, object]]:
    """For `status`, by PACS. `planned`: how many series wait for it. `eta_s`: None while nobody can tell."""
    shown: dict[str, dict[str, object]] = {}
    for name, gate in gates.items():
        facts, waiting = gate.facts(now), planned.get(name, 0)
        done = gate.done_at(waiting, now)
        shown[name] = {
            "window_open": facts.open, "window_changes": iso(facts.change), "series": waiting, "moves": facts.running,
            "moves_allowed": facts.allowed, "max_moves": gate.pacs.max_moves, "breaker": facts.breaker,
            "eta_s": None if done is None else round(done - now),
        }  # fmt: skip
    return shown | {name: _gone(planned[name]) for name in sorted(planned.keys() - gates.keys() - {PUSHED})}


def _gone(waiting: int) -> dict[str, object]:
    """Of a PACS that is in the configuration no more, or has another name there: nobody asks it, and that must be seen."""
    nothing = {"window_open": False, "window_changes": None, "moves": 0, "moves_allowed": 0, "max_moves": 0}
    return {**nothing, "series": waiting, "breaker": "not configured", "eta_s": None}


def eta(standing: Mapping[str, Mapping[str, object]]) -> float | None:
    """Seconds until the last PACS has sent what it has to; None while one of them cannot be foretold."""
    left = [one["eta_s"] for one in standing.values() if one["series"]]
    known = [float(seconds) for seconds in left if isinstance(seconds, int)]
    return max(known, default=0.0) if len(known) == len(left) else None
