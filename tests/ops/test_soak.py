"""A short soak, and that a long one would find a leak; 24 hours are `python -m tests.ops.soak --hours 24`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops import soak
from tests.ops.gauges import Sample, Taken, grows, grows_with_each, last_half, left_behind, rise

FLAT = Sample(
    0, (Taken("main", 7, 120_000, 40, 20), Taken("receive-1", 8, 90_000, 15, 4)), 100, 1_000_000, 1 << 20, 1 << 20, 0, 0, 1, 90
)  # fmt: skip


def day(**leak: int) -> list[Sample]:
    """24 samples as a flat day has them; `leak`: by how much something grows in each hour."""
    return [
        _grown(replace(FLAT, hour=n, requests=100 * (n + 1), database=1_000_000 * (n + 1)), n, leak) for n in range(24)
    ]


def _grown(one: Sample, n: int, leak: dict[str, int]) -> Sample:
    first = one.processes[0]
    of_process = {name: getattr(first, name) + n * by + n % 2 for name, by in leak.items() if hasattr(first, name)}
    of_site = {name: getattr(one, name) + n * by for name, by in leak.items() if hasattr(one, name)}
    return replace(one, processes=(replace(first, **of_process), *one.processes[1:]), **of_site)


def test_a_flat_day_is_flat() -> None:
    assert grows(day()) == []
    assert grows(day(rss=10)) == [], "what rises by less than the tolerance"


@pytest.mark.parametrize(
    ("leak", "told"),
    [({"rss": 500}, "main: memory rises"), ({"descriptors": 1}, "main: file descriptors rise"),
     ({"threads": 1}, "main: threads rise"), ({"other": 1}, "state directory"), ({"other_bytes": 1 << 17}, "state directory"),
     ({"outbox": 1}, "outbox"), ({"wal": 1 << 20}, "write-ahead log")],
)  # fmt: skip
def test_what_grows_is_told(leak: dict[str, int], told: str) -> None:
    found = grows(day(**leak))
    assert found and all(one.startswith(told) for one in found)


def test_a_database_that_takes_more_for_each_request_is_told() -> None:
    swollen = [replace(one, database=one.database * (100 + one.hour) // 100) for one in day()]
    assert [one.partition(":")[0] for one in grows(swollen)] == ["database"]


def test_reloads_are_judged_alike() -> None:
    assert grows_with_each(day()) == []
    assert grows_with_each(day(descriptors=1)) == ["reloads: main: file descriptors rise by 11.2 at 58.0"]


def test_a_process_that_was_replaced_is_told_and_a_short_soak_is_no_proof() -> None:
    samples = day()
    samples[20] = replace(samples[20], processes=(samples[20].processes[0], replace(FLAT.processes[1], pid=9)))
    assert any("lived for" in one for one in grows(samples))
    with pytest.raises(ValueError, match="are needed"):
        last_half(day()[:6])
    assert rise([1.0, 2.0, 3.0, 4.0]) == pytest.approx(3.0)


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="what a daemon takes that may not be dumped is shown to root alone")
def test_two_small_hours_leave_nothing_behind(tmp_path: Path) -> None:
    done = soak.soak(tmp_path, soak.Plan(2, soak.Hour.part(0.1)))
    first, last = done.samples[1], done.samples[-1]
    assert [p.role for p in last.processes] == ["main", "receive-1", "receive-2", "screen-1"]
    for before, after in zip(first.processes, last.processes, strict=True):
        assert after.pid == before.pid
        assert after.descriptors <= before.descriptors + 10 and after.threads <= before.threads + 5, (
            "one for each call is more"
        )
    assert list(left_behind(done.samples)) == []
    assert done.wrong == []
