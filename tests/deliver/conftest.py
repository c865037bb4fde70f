"""A pipeline's end on a table: real rows, a real outbox, and archives that can be in trouble."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.deliver.care import Way
from gateway.deliver.confirm import ConfirmStep
from gateway.deliver.courier import DeliverStep
from gateway.deliver.sink import Receipt, Sink
from gateway.errors import GatewayError
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.state.db import history, progress, series
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route
from tests.deliver import peers
from tests.deliver.clean import clean_bytes, directory_archive
from tests.state.conftest import Opened

KEY = "S-AAAA"
PROJECT = "chest"


class Rows:
    """Series by key, as a move would have left them, and what became of them."""

    def __init__(self, state: Opened) -> None:
        self.state = state

    def add(self, key: str = KEY, state: str = "retrieved", project: str = PROJECT, pacs: str = "main") -> None:
        row = {
            "key": key,
            "project": project,
            "state": state,
            "pacs": pacs,
            "node": "gw1",
            "created": 1.0,
            "updated": 1.0,
        }
        with self.state.database.write() as c:
            c.execute(insert(series).values(**row, series_hash=f"{project}/{key}", study_hash=key))

    def at(self, key: str, sink: str, stage: str) -> None:
        """How far an archive is."""
        with self.state.database.write() as c:
            number = c.execute(select(series.c.id).where(series.c.key == key)).scalar()
            c.execute(insert(progress).values(series_id=number, sink=sink, stage=stage))

    def withdraw(self, key: str) -> None:
        """As the broker does: the claim stays with who has it."""
        with self.state.database.write() as c:
            c.execute(update(series).where(series.c.key == key).values(state="withdrawn"))

    def _ask(self, chosen: Any) -> list[Any]:
        with self.state.database.read() as c:
            return list(c.execute(chosen).all())

    @property
    def states(self) -> dict[str, str]:
        return {r.key: r.state for r in self._ask(select(series.c.key, series.c.state).order_by(series.c.id))}

    @property
    def history(self) -> list[tuple[str, str, str]]:
        """(key, event, reason)"""
        joined = select(series.c.key, history.c.event, history.c.reason).join(
            series, series.c.id == history.c.series_id
        )
        return [tuple(r) for r in self._ask(joined.order_by(history.c.id))]

    def _progress(self, column: Any) -> dict[tuple[str, str], Any]:
        """By key and archive."""
        joined = select(series.c.key, progress.c.sink, column).join(series, series.c.id == progress.c.series_id)
        return {(r[0], r[1]): r[2] for r in self._ask(joined)}

    @property
    def stages(self) -> dict[tuple[str, str], str]:
        return self._progress(progress.c.stage)

    @property
    def attempts(self) -> dict[tuple[str, str], int]:
        return self._progress(progress.c.attempts)

    @property
    def not_before(self) -> dict[tuple[str, str], float]:
        return self._progress(progress.c.not_before)

    @property
    def claims(self) -> list[str]:
        return [name for name in self._progress(progress.c.claimed_by).values() if name]


@dataclass
class Moody:
    """A real sink that fails on demand."""

    real: Sink
    name: str
    error: GatewayError | None = None
    forgetful: bool = False
    batch: int = 1

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

    def probe(self) -> str:
        return self.real.probe()


class Steps:
    """One after the other, as threads would at once."""

    def __init__(self, steps: Sequence[DeliverStep | ConfirmStep]) -> None:
        self.steps = steps

    def step(self) -> bool:
        did, errors = False, list[GatewayError]()
        for one in self.steps:
            try:
                did = one.step() or did
            except GatewayError as err:
                errors.append(err)
        if errors:
            raise errors[0]
        return did


class Bench:
    """Everything around the steps. `now` stands still until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.0
        self.folder = folder
        self.archive = directory_archive(folder)
        self.outbox = Outbox(folder / "outbox")
        self.state = Opened(folder)
        weakref.finalize(self, self.state.database.close)
        self.store = Rows(self.state)
        self.sink = Moody(self.archive.sink, "first")
        self.board, self.metrics = Board(), Metrics()
        self.sinks: dict[str, Sequence[Sink]] = {PROJECT: [self.sink]}
        self.max_rate: float | None = None
        self.restart()

    def restart(self) -> None:
        """A new life: fresh steps, claims freed, as at the daemon's start."""
        self.progress = Progress(self.state.database, self.state.store, self.outbox, node="gw1")
        self.progress.free()
        for project, sinks in self.sinks.items():
            if sinks:
                self.progress.reckon(project, [s.name for s in sinks], now=self.now)
        ways = [self._way(project, sink) for project, sinks in self.sinks.items() for sink in sinks]
        self.ways = ways
        self.deliver = Steps([DeliverStep(way) for way in ways])
        self.confirm = Steps([ConfirmStep(way) for way in ways])

    def _way(self, project: str, sink: Sink) -> Way:
        names = tuple(s.name for s in self.sinks[project])
        return Way(
            route=Route(project, sink.name, names), sink=sink, store=self.progress, outbox=self.outbox, count=self.metrics,
            board=self.board, clock=lambda: self.now, max_rate=self.max_rate,
        )  # fmt: skip

    def keep(self, number: int, key: str = KEY, *, fill: int = 7) -> Path:
        return self.outbox.keep(key, f"2.25.1000{number}", [clean_bytes(number, fill=fill)]).path

    def events(self) -> list[tuple[str, str]]:
        return [(event, reason) for _, event, reason in self.store.history]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def archives_end() -> Iterator[None]:
    """What a test started, none outlives."""
    yield
    peers.end()
