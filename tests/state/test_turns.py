"""Who writes to SQLite piece after piece leaves the others their turn: they ask for it every tenth of a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.model import AccessionNumber, Wanted
from gateway.state import change, engines, listed
from gateway.state.db import Database
from gateway.state.listed import Listed
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress
from tests.state.conftest import KEY, PROJECT, Opened, reopened

ROWS = [Wanted(PROJECT, AccessionNumber(f"A{n}"), patient_id=f"PID-{n}") for n in range(3)]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    for module in (change, listed):
        monkeypatch.setattr(module, "AT_ONCE", 1)
    opened = Opened(tmp_path)
    opened.ask(*(one.accession.value for one in ROWS))
    yield opened
    opened.database.close()


def retried(state: Opened) -> None:
    assert state.store.cancel(keys=[r.key for r in state.views.requests()], now=101) == 3
    assert state.store.retry(state="cancelled", now=102) == 3


def polled(state: Opened) -> None:
    Listed(state.database, KEY).note(ROWS, now=101)


def vanished(state: Opened) -> None:
    polled(state)
    known = Listed(state.database, KEY)
    assert known.vanish(PROJECT, {known.hash(one) for one in ROWS}, now=102) == 3


def added(state: Opened) -> None:
    for one in ROWS:
        Listed(state.database, KEY).amend([one], now=101)


def asked_again(state: Opened) -> None:
    for one in ROWS:
        Listed(state.database, KEY).ask_again([one], now=101)


@pytest.mark.parametrize("work", [retried, polled, vanished, added, asked_again])
def test_a_piece_goes_with_a_rest(
    alone: Opened, work: Callable[[Opened], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rested = list[None]()
    monkeypatch.setattr(alone.database, "rest", lambda: rested.append(None))
    work(alone)
    assert len(rested) >= len(ROWS)


def test_so_does_what_is_reckoned_at_the_start_and_by_the_clock(
    alone: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rested = list[None]()
    monkeypatch.setattr(alone.database, "rest", lambda: rested.append(None))
    Progress(alone.database, alone.store, Outbox(tmp_path / "outbox"), node="gw1").reckon(PROJECT, ["one"], now=101)
    alone.store.wait_anew(101)
    assert len(rested) == 2


def test_another_one_has_its_turn_before_the_last_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 retried requests kept the daemon from writing for as long as it took, but for chance: it answered 0xA700."""
    monkeypatch.setattr(engines, "ROW", 0.2)
    place = tmp_path / "state.sqlite"
    long, other = Database(place), reopened(place)
    begun, written = threading.Event(), threading.Event()

    def write() -> None:
        begun.wait()
        with other.write() as c:
            c.exec_driver_sql("DELETE FROM cursor")
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    pieces = 0
    while not written.is_set() and pieces < 30:
        with long.write():
            begun.set()
            time.sleep(0.3)
        long.rest()
        pieces += 1
    assert written.is_set(), "between two pieces"
    thread.join()
    for database in (long, other):
        database.close()


@pytest.mark.real
def test_postgresql_s_need_none(state: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ROW", 0.0)
    rested = list[float]()
    monkeypatch.setattr(engines, "threading", SimpleNamespace(Event=lambda: SimpleNamespace(wait=rested.append)))
    state.database.rest()
    assert rested == ([] if state.database.shared else [engines.REST])
