"""The confirmation: nothing leaves the outbox that was not read back, at whatever point it is killed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.deliver.breaker import FIRST_WAIT, LONGEST_WAIT
from gateway.deliver.care import MAX_ATTEMPTS
from gateway.deliver.confirm import MAX_LOST
from gateway.errors import Retry
from gateway.model import LedgerLine, Outcome
from tests.deliver.clean import clean_bytes
from tests.deliver.conftest import KEY, Bench
from tests.deliver.test_courier import deliveries


class Killed(BaseException):
    """The process ends here."""


def delivered(bench: Bench, *numbers: int) -> list[Path]:
    files = [bench.keep(n) for n in numbers]
    bench.outbox.note(KEY, LedgerLine("ab" * 16, Outcome.EXCLUDED, "select.instance"))
    bench.store.add()
    assert bench.deliver.step()
    return files


def run_to_the_end(bench: Bench) -> None:
    """A new life: the sweep of the outbox first, as the daemon does, then both steps until they are idle."""
    bench.restart()
    for key in bench.outbox.series():
        if bench.store.states[key] == "confirmed" and not bench.outbox.remove(key, ()):
            bench.state.store.late(key, now=bench.now)
    for _ in range(30):
        if not bench.deliver.step() and not bench.confirm.step():
            if all(until <= bench.now for until in bench.store.not_before.values()):
                return
            bench.now = max(bench.store.not_before.values())
    pytest.fail("it never ends")


def all_is_well(bench: Bench, *numbers: int) -> None:
    assert bench.store.states == {KEY: "confirmed"}
    assert sorted(bench.archive.visible().values()) == sorted(clean_bytes(n) for n in numbers)
    assert bench.archive.hidden() == 0
    assert bench.outbox.series() == []


def test_read_back_then_let_go(bench: Bench) -> None:
    delivered(bench, 1, 2)
    assert bench.confirm.step()
    assert not bench.confirm.step()
    all_is_well(bench, 1, 2)
    assert bench.events() == [("delivered", ""), ("confirmed", "")]
    assert deliveries(bench) == {"delivered": 2, "confirmed": 2}


def test_a_damaged_file_is_never_let_go(bench: Bench) -> None:
    files = delivered(bench, 1, 2)
    place = sorted(bench.archive.visible())[0]
    bench.archive.change(place, clean_bytes(1)[:-1] + b"\0")
    assert bench.confirm.step()
    assert bench.store.states[KEY] == "retrieved"
    assert bench.outbox.files(KEY) == files
    run_to_the_end(bench)
    assert bench.events()[-1] == ("failed", "deliver.conflict")
    assert bench.outbox.files(KEY) == files


def test_a_lost_file_goes_again(bench: Bench) -> None:
    delivered(bench, 1, 2)
    bench.archive.lose(sorted(bench.archive.visible())[0])
    assert bench.confirm.step()
    assert bench.events()[-1] == ("lost", "deliver.missing")
    run_to_the_end(bench)
    all_is_well(bench, 1, 2)


def test_an_archive_that_always_loses_does_not_go_round_for_ever(bench: Bench) -> None:
    files = delivered(bench, 1)
    bench.sink.forgetful = True
    run_to_the_end(bench)
    assert bench.events()[-1] == ("failed", "deliver.lost")
    assert [e for e, _ in bench.events()].count("lost") == MAX_LOST
    assert bench.outbox.files(KEY) == files


def test_an_archive_that_shows_after_a_while_what_it_took_is_given_the_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes in what it has accepted behind its answer, or whose index follows: nothing is lost there."""
    delivered(bench, 1)
    there, shown = bench.sink.confirm, bench.now + 120.0
    monkeypatch.setattr(bench.sink, "confirm", lambda *files: bench.now >= shown and there(*files))
    run_to_the_end(bench)
    all_is_well(bench, 1)
    assert [e for e, _ in bench.events()].count("lost") < MAX_LOST


def test_what_came_before_the_reading_back_goes_too(bench: Bench) -> None:
    delivered(bench, 1)
    bench.keep(2)
    assert bench.confirm.step()
    assert bench.store.states[KEY] == "retrieved"
    run_to_the_end(bench)
    all_is_well(bench, 1, 2)


def test_what_came_during_the_reading_back_goes_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered(bench, 1)
    confirmed = bench.progress.confirmed

    def arrives_just_then(*args: Any, **rest: Any) -> str:
        bench.keep(2)
        return confirmed(*args, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(bench.progress, "confirmed", arrives_just_then)
        assert bench.confirm.step()
    assert bench.events()[-2:] == [("confirmed", ""), ("late", "instances.late")]
    assert [f.name for f in bench.outbox.files(KEY)] == ["2.25.10002.dcm"]
    run_to_the_end(bench)
    all_is_well(bench, 1, 2)


def before_settle(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> bool:
        raise Killed

    monkeypatch.setattr(bench.progress, "confirmed", die)


def before_remove(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> bool:
        raise Killed

    monkeypatch.setattr(bench.outbox, "remove", die)


def half_way_through_remove(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_: str, files: Sequence[Path]) -> bool:
        files[0].unlink()
        raise Killed

    monkeypatch.setattr(bench.outbox, "remove", die)


def when_only_the_ledger_is_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_: str, files: Sequence[Path]) -> bool:
        for file in files:
            file.unlink()
        raise Killed

    monkeypatch.setattr(bench.outbox, "remove", die)


@pytest.mark.parametrize("kill", [before_settle, before_remove, half_way_through_remove, when_only_the_ledger_is_left])
def test_killed_anywhere_nothing_twice_nothing_missing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kill: Callable[[Bench, pytest.MonkeyPatch], None]
) -> None:
    delivered(bench, 1, 2, 3)
    with monkeypatch.context() as patched:
        kill(bench, patched)
        with pytest.raises(Killed):
            bench.confirm.step()
    run_to_the_end(bench)
    all_is_well(bench, 1, 2, 3)
    assert deliveries(bench)["delivered"] == 3


def test_a_sink_in_trouble_keeps_everything(bench: Bench) -> None:
    files = delivered(bench, 1)
    bench.sink.error = Retry("sink.unreadable", "first cannot be read", charge=False)
    with pytest.raises(Retry):
        bench.confirm.step()
    assert not bench.confirm.step()
    assert bench.store.states[KEY] == "delivered"
    assert bench.outbox.files(KEY) == files
    assert bench.board.states("sink") == {"first": False}
    bench.now += FIRST_WAIT
    bench.sink.error = None
    assert bench.confirm.step()
    all_is_well(bench, 1)


def test_who_stops_leaves_the_rest_to_the_next_life(bench: Bench) -> None:
    for n in (1, 2, 3):
        bench.keep(n)
    bench.store.add()
    assert bench.deliver.step()
    confirm, asked = bench.sink.confirm, list[Path]()

    def stopped(*files: Path) -> bool:
        asked.extend(files)
        bench.ways[0].stop.set()
        return confirm(*files)

    bench.sink.confirm = stopped  # type: ignore[method-assign]
    assert bench.confirm.step() and len(asked) == 1
    assert (bench.store.states[KEY], bench.store.claims) == ("delivered", [])


def test_a_lost_lease_removes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    files = delivered(bench, 1)
    monkeypatch.setattr(bench.progress, "confirmed", lambda *_, **__: "")
    assert bench.confirm.step()
    assert bench.outbox.files(KEY) == files


def test_an_outbox_that_cannot_be_cleared_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered(bench, 1)

    def fail(*_: object) -> bool:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(bench.outbox, "remove", fail)
        with pytest.raises(Retry, match=r"^outbox\.unwritable"):
            bench.confirm.step()
    run_to_the_end(bench)
    all_is_well(bench, 1)


def test_a_delivered_series_without_files_is_not_confirmed(bench: Bench) -> None:
    bench.store.add(state="delivered")
    bench.store.at(KEY, "first", "delivered")
    assert bench.confirm.step()
    assert bench.events() == [("failed", "outbox.empty")]


def test_a_ledger_that_cannot_be_read_is_charged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was claimed for an hour, each time, and said to be a bug of ours."""
    delivered(bench, 1)

    def unreadable(key: str) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(bench.outbox, "ledger", unreadable)
    for tries in range(1, MAX_ATTEMPTS):
        assert bench.confirm.step() and not bench.store.claims
        assert bench.store.attempts == {(KEY, "first"): tries}
        bench.now += LONGEST_WAIT
    assert bench.confirm.step()
    assert bench.store.history[-1] == (KEY, "failed", "outbox.unreadable")
