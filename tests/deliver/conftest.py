"""A pipeline's end on a table: a real outbox, an archive that can be in trouble, a store that obeys the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.deliver.confirm import ConfirmStep
from gateway.deliver.courier import DeliverStep
from gateway.deliver.sink import Receipt, Sink
from gateway.errors import GatewayError
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.state import machine
from gateway.state.outbox import Outbox
from gateway.state.rows import SeriesRow
from tests.deliver.clean import clean_bytes, directory_archive

KEY = "S-AAAA"
PROJECT = "chest"


@dataclass
class FakeStore:
    """Rows by key, each with its state; whoever claims holds until it settles or gives back, as in the real one."""

    states: dict[str, str] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    history: list[tuple[str, str, str]] = field(default_factory=list)  # key, event, reason

    def add(self, key: str = KEY, state: str = "retrieved", project: str = PROJECT) -> None:
        self.states[key], self.projects[key] = state, project

    def claim_rows(self, state: str, *, projects: Sequence[str], lease: float, now: float) -> SeriesRow | None:
        assert lease > 0
        for key, has in self.states.items():
            free = key not in self.owner and self.not_before.get(key, 0.0) <= now
            if has == state and free and self.projects[key] in projects:
                self.owner[key] = f"gw1/{now}"
                row = (len(key), key, self.projects[key], state, self.attempts.get(key, 0), self.owner[key])
                return SeriesRow(*row)
        return None

    def settle_row(self, row: SeriesRow, event: str, *, reason: str = "", now: float) -> bool:
        assert now > 0
        if self.owner.get(row.key) != row.owner:
            return False
        self.states[row.key] = machine.after(machine.SERIES, self.states[row.key], event)
        self.history.append((row.key, event, reason))
        del self.owner[row.key]
        self.attempts.pop(row.key, None)
        return True

    def release_row(self, row: SeriesRow, *, reason: str, not_before: float, charge: bool, now: float) -> bool:
        assert not_before > now
        self.attempts[row.key] = row.attempts + charge
        self.not_before[row.key] = not_before
        self.history.append((row.key, "released", reason))
        del self.owner[row.key]
        return True

    def late(self, series_key: str, *, now: float) -> bool:
        assert now > 0
        if self.states[series_key] != "confirmed":
            return False
        self.states[series_key] = machine.after(machine.SERIES, "confirmed", "late")
        self.history.append((series_key, "late", ""))
        return True


@dataclass
class Moody:
    """A real sink that fails on demand."""

    real: Sink
    name: str
    error: GatewayError | None = None
    forgetful: bool = False

    def put(self, file: Path) -> Receipt:
        if self.error:
            raise self.error
        return self.real.put(file)

    def confirm(self, *files: Path) -> bool:
        if self.error:
            raise self.error
        return not self.forgetful and self.real.confirm(*files)

    def close(self) -> None:
        self.real.close()

    def probe(self) -> None:
        self.real.probe()


class Bench:
    """Everything around the two steps. `now` stands still until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.0
        self.folder = folder
        self.archive = directory_archive(folder)
        self.outbox = Outbox(folder / "outbox")
        self.store = FakeStore()
        self.sink = Moody(self.archive.sink, "first")
        self.board, self.metrics = Board(), Metrics()
        self.sinks: dict[str, Sequence[Sink]] = {PROJECT: [self.sink]}
        self.restart()

    def restart(self) -> None:
        """A new life: fresh steps, claims freed, as at the daemon's start."""
        self.store.owner.clear()
        parts = {"store": self.store, "outbox": self.outbox, "sinks": self.sinks, "clock": lambda: self.now}
        self.deliver = DeliverStep(count=self.metrics, board=self.board, **parts)  # type: ignore[arg-type]
        self.confirm = ConfirmStep(count=self.metrics, board=self.board, **parts)  # type: ignore[arg-type]

    def keep(self, number: int, key: str = KEY, *, fill: int = 7) -> Path:
        return self.outbox.keep(key, f"2.25.1000{number}", [clean_bytes(number, fill=fill)]).path

    def events(self) -> list[tuple[str, str]]:
        return [(event, reason) for _, event, reason in self.store.history]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
