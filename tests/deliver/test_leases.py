"""A claim lasts for as long as somebody works under it, and nobody works under one that is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.deliver import care
from gateway.deliver.sink import Receipt
from gateway.state.db import progress
from tests.deliver.conftest import KEY, Bench


def test_a_series_that_takes_longer_than_a_lease_stays_the_courier_s(bench: Bench) -> None:
    """A withdrawal waits for whoever holds a series: without it, the file under way would come after the archive was cleared."""
    for number in range(12):
        bench.keep(number)
    bench.store.add()
    left: list[float] = []
    put = bench.sink.put

    def slow(file: Path) -> Receipt:
        left.append(min(bench.store._progress(progress.c.lease_until).values()) - bench.now)
        bench.now += 900
        return put(file)

    bench.sink.put = slow  # type: ignore[method-assign]
    assert bench.deliver.step() and bench.store.states[KEY] == "delivered"
    assert len(left) == 12 and min(left) > 0


def test_nor_does_a_file_that_takes_longer_than_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gigabytes on a slow line: between its pieces nobody holds the claim anew."""
    files = [bench.keep(number) for number in range(3)]
    monkeypatch.setattr(care, "SLOWEST", files[0].stat().st_size / 7200)
    bench.store.add()
    put = bench.sink.put

    def slow(file: Path) -> Receipt:
        bench.now += 7200
        assert min(bench.store._progress(progress.c.lease_until).values()) > bench.now
        return put(file)

    bench.sink.put = slow  # type: ignore[method-assign]
    assert bench.deliver.step() and bench.store.states[KEY] == "delivered"


@pytest.mark.parametrize("withdrawn", [True, False])
def test_who_slept_past_its_lease_puts_nothing_more_of_who_is_withdrawn(bench: Bench, *, withdrawn: bool) -> None:
    """A machine that stood still: the archive may have been cleared by now, and the rest came after that."""
    for number in range(3):
        bench.keep(number)
    bench.store.add()
    put, came = bench.sink.put, list[Path]()

    def asleep(file: Path) -> Receipt:
        if withdrawn and not came:
            bench.store.withdraw(KEY)
        bench.now += 7200.0
        came.append(file)
        return put(file)

    bench.sink.put = asleep  # type: ignore[method-assign]
    assert bench.deliver.step() and len(came) == (1 if withdrawn else 3) and bench.store.claims == []
    assert bench.store.states == {KEY: "withdrawn" if withdrawn else "delivered"}
    assert bench.board.states("sink") == {"first": True}
