"""What the daemon tells of itself when the clock is set."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.ops.health import Board
from gateway.run.endpoints import Endpoints
from gateway.run.meter import Meter


def a_life(folder: Path) -> Any:
    counts = SimpleNamespace(requests={}, series={})
    views = SimpleNamespace(counts=lambda: counts, planned=lambda _: {}, series_of=lambda _: {})
    return SimpleNamespace(
        state=SimpleNamespace(views=views, outbox=SimpleNamespace(size=lambda: 0, held=None)), gates={}, board=Board(),
        meter=Meter(), settings=SimpleNamespace(node="gw1", project=(), state_dir=folder),
        room=SimpleNamespace(reasons=frozenset()), current=SimpleNamespace(began=(time.time(), time.monotonic())),
    )  # fmt: skip


def test_a_clock_set_back_takes_nothing_from_how_long_it_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, now = Endpoints(a_life(tmp_path)), time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400.0)
    assert found.status()["uptime_s"] in (0, 1), "it was 'up for -1d'"
