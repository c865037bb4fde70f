"""The courier: every file into every sink, once; trouble is the sink's and costs the series nothing but time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.deliver.breaker import FIRST_WAIT, LONGEST_WAIT, wait
from gateway.deliver.care import MAX_ATTEMPTS
from gateway.deliver.courier import PIECE
from gateway.errors import Retry
from gateway.ops.declared import PREFIX
from gateway.ops.metrics import Metrics
from gateway.state import ledger
from tests.deliver.clean import clean_bytes, directory_archive
from tests.deliver.conftest import KEY, Bench, Moody
from tests.ops.test_metrics import samples

FULL = Retry("sink.full", "first cannot be written", charge=False)


def deliveries(bench: Bench, sink: str = "first") -> dict[str, float]:
    return deliveries_of(bench.metrics, sink)


def deliveries_of(metrics: Metrics, sink: str) -> dict[str, float]:
    """By result."""
    start = f'{PREFIX}deliveries_total{{result="'
    shown = samples(metrics)
    return {k[len(start) :].split('"')[0]: v for k, v in shown.items() if k.startswith(start) and f'sink="{sink}"' in k}


def test_a_series_is_delivered(bench: Bench) -> None:
    files = [bench.keep(n) for n in (1, 2, 3)]
    os.utime(files[2], (bench.now - 90, bench.now - 90))
    bench.store.add()
    assert bench.deliver.step()
    assert not bench.deliver.step()
    assert sorted(bench.archive.visible().values()) == sorted(clean_bytes(n) for n in (1, 2, 3))
    assert bench.events() == [("delivered", "")]
    assert bench.outbox.files(KEY) == files
    assert deliveries(bench) == {"delivered": 3}
    assert samples(bench.metrics)[PREFIX + 'delivery_lag_seconds{sink="first"}'] == 90
    assert bench.board.states("sink") == {"first": True}
    assert bench.board.snapshot()["last"]["delivery"] is not None  # type: ignore[index]


def test_a_killed_courier_begins_again_and_changes_nothing(bench: Bench) -> None:
    for n in (1, 2, 3):
        bench.keep(n)
    bench.store.add()
    bench.archive.sink.put(bench.outbox.files(KEY)[0])
    bench.restart()
    assert bench.deliver.step()
    assert deliveries(bench) == {"delivered": 2, "duplicate": 1}
    assert len(bench.archive.visible()) == 3


def test_every_sink_gets_every_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = directory_archive(tmp_path / "second")
    bench.sinks["chest"] = [bench.sink, Moody(second.sink, "second")]
    bench.restart()
    bench.keep(1)
    bench.store.add()
    bench.deliver.step()
    assert bench.archive.visible() == second.visible() != {}
    assert deliveries(bench, "second") == {"delivered": 1}


def test_a_sink_in_trouble_costs_nothing_but_time(bench: Bench) -> None:
    bench.keep(1)
    bench.store.add()
    bench.sink.error = FULL
    with pytest.raises(Retry) as caught:
        bench.deliver.step()
    assert (caught.value.reason, caught.value.charge, caught.value.after) == ("sink.full", False, 0.0)
    assert bench.store.states[KEY] == "retrieved"
    assert bench.store.attempts[KEY, "first"] == 0
    assert bench.store.not_before[KEY, "first"] == bench.now  # the archive rests, not the series: the oldest goes first
    assert not bench.deliver.step()
    assert bench.board.states("sink") == {"first": False}
    assert bench.board.snapshot()["sinks"]["first"]["error"] == "sink.full"  # type: ignore[index]
    assert deliveries(bench) == {"failed": 1}


def test_who_waits_for_its_pace_stops_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow line's pace is minutes from one file to the next."""
    files = [bench.keep(n) for n in (1, 2)]
    bench.max_rate = files[0].stat().st_size / 600
    bench.restart()
    bench.store.add()
    stop, waited = bench.ways[0].stop, list[float]()

    def wait_a_piece(seconds: float) -> None:
        waited.append(seconds)
        bench.now += seconds
        stop.set()

    monkeypatch.setattr(stop, "wait", wait_a_piece)
    assert bench.deliver.step() and waited == [PIECE] and len(bench.archive.visible()) == 1
    assert (bench.store.states[KEY], bench.store.claims) == ("retrieved", [])


def test_an_archive_rests_while_others_go_on(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "knee").mkdir()
    knee = directory_archive(tmp_path / "knee")
    bench.sinks["knee"] = [Moody(knee.sink, "knee")]
    bench.restart()
    for key, project in (("S-1", "chest"), ("S-2", "chest"), ("S-3", "knee")):
        bench.keep(1, key)
        bench.store.add(key, project=project)
    bench.sink.error = FULL
    with pytest.raises(Retry):
        bench.deliver.step()
    assert not bench.deliver.step()
    assert bench.store.states == {"S-1": "retrieved", "S-2": "retrieved", "S-3": "delivered"}
    assert deliveries(bench) == {"failed": 1}, "the archive was not asked for S-2"
    bench.now += FIRST_WAIT
    bench.sink.error = None
    assert bench.deliver.step()
    assert bench.deliver.step()
    assert set(bench.store.states.values()) == {"delivered"}
    assert bench.board.states("sink")["first"]


def test_the_wait_grows_and_is_forgotten_after_success(bench: Bench) -> None:
    bench.keep(1)
    bench.store.add()
    bench.sink.error = FULL
    waits = []
    for _ in range(3):
        with pytest.raises(Retry):
            bench.deliver.step()
        waits.append(rests(bench))
        bench.now += waits[-1]
    assert waits == [30.0, 60.0, 120.0]
    bench.sink.error = None
    assert bench.deliver.step()
    bench.store.add("S-2")
    bench.keep(2, "S-2")
    bench.sink.error = FULL
    with pytest.raises(Retry):
        bench.deliver.step()
    assert rests(bench) == FIRST_WAIT


def test_an_archive_that_says_when_is_left_alone_till_then(bench: Bench) -> None:
    bench.keep(1)
    bench.store.add()
    bench.sink.error = Retry("sink.busy", "later", after=500.0, charge=False)
    with pytest.raises(Retry):
        bench.deliver.step()
    assert rests(bench) == 500.0


def rests(bench: Bench) -> float:
    """Seconds until the archive is tried again."""
    (step,) = bench.deliver.steps
    return step._care.breaker.until - bench.now


def test_the_wait_is_bounded() -> None:
    assert [wait(n) for n in (0, 1, 2, 8, 9, 10_000)] == [30.0, 30.0, 60.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


@pytest.mark.catalogue("D5")
def test_a_conflict_fails_the_series(bench: Bench) -> None:
    bench.keep(1, fill=2)
    bench.archive.sink.put(bench.outbox.files(KEY)[0])
    place = next(iter(bench.archive.visible()))
    bench.archive.change(place, b"something else")
    bench.store.add()
    assert bench.deliver.step()
    assert bench.events() == [("failed", "deliver.conflict")]
    assert bench.archive.visible() == {place: b"something else"}
    assert deliveries(bench) == {"refused": 1}
    assert bench.board.states("sink") == {}  # the sink is well


def test_a_series_without_files_is_not_delivered(bench: Bench) -> None:
    bench.store.add()
    assert bench.deliver.step()
    assert bench.events() == [("failed", "outbox.empty")]


def test_a_project_without_sinks_keeps_its_files(bench: Bench) -> None:
    bench.sinks["chest"] = []
    bench.restart()
    bench.keep(1)
    bench.store.add()
    assert not bench.deliver.step()
    assert not bench.confirm.step()
    assert len(bench.outbox.files(KEY)) == 1


def test_an_outbox_that_cannot_be_read_is_charged_and_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.outbox, "files", lambda series: [bench.folder / f"{series}.gone"])
    bench.store.add()
    for attempt in range(1, MAX_ATTEMPTS):
        assert bench.deliver.step()
        assert bench.store.attempts[KEY, "first"] == attempt
        bench.now = bench.store.not_before[KEY, "first"]
    assert bench.deliver.step()
    assert bench.events()[-1] == ("failed", "outbox.unreadable")
    assert bench.board.states("sink") == {}


def test_a_ledger_that_cannot_be_read_is_charged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(series: str) -> dict[str, set[str]]:
        raise OSError(5, series)

    monkeypatch.setattr(bench.outbox, "checksums", broken)
    bench.keep(1)
    bench.store.add()
    assert bench.deliver.step()
    assert bench.store.attempts[KEY, "first"] == 1
    assert bench.archive.visible() == {}


@pytest.mark.parametrize("stage", ["waiting", "delivered"])
def test_a_folder_that_cannot_be_read_is_charged(bench: Bench, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Its claim was held for an hour, each time, and it was said to be a bug of ours."""

    def broken(series: str) -> list[Path]:
        raise OSError(5, series)

    bench.store.add(state="retrieved" if stage == "waiting" else "delivered")
    bench.store.at(KEY, "first", stage)
    monkeypatch.setattr(bench.outbox, "files", broken)
    step = bench.deliver if stage == "waiting" else bench.confirm
    assert step.step() and not bench.store.claims
    assert bench.store.attempts[KEY, "first"] == 1


@pytest.mark.parametrize("pacs", ["main", ""])
def test_a_folder_that_is_closed_to_us_is_not_empty(bench: Bench, monkeypatch: pytest.MonkeyPatch, pacs: str) -> None:
    """Of another owner, as somebody restored it: what was pushed had failed for good, and was cleared once it was open again."""
    file = bench.keep(1)

    def closed(*_: object, **__: object) -> object:
        raise PermissionError(13, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        patch.setattr(ledger, "open", closed, raising=False)
        bench.store.add(pacs=pacs)
        assert bench.deliver.step() and bench.store.states[KEY] == "retrieved"
    assert bench.store.attempts[KEY, "first"] == 1 and file.exists()


def test_a_lost_lease_settles_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.keep(1)
    bench.store.add()
    claim = bench.progress.claim

    def stale(*args: Any, **rest: Any) -> object:
        row = claim(*args, **rest)
        return row and replace(row, owner="gw9/other")

    monkeypatch.setattr(bench.progress, "claim", stale)
    assert bench.deliver.step()
    assert bench.store.states[KEY] == "retrieved"
    assert bench.events() == []
