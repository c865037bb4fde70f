"""Schedules mean what cron means by them, and jobs run once at the start."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import Fatal
from gateway.run import schedule as clock
from gateway.run.schedule import Schedule, trigger

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "weekday"), [("0 13 * * 0", 6), ("0 13 * * 7", 6), ("0 13 * * 1-5", 4), ("0 13 * * 6", 5)]
)
def test_weekdays_are_crons(schedule: str, weekday: int) -> None:
    due = trigger(schedule).get_next_fire_time(None, FRIDAY)
    assert due is not None and due.weekday() == weekday


def test_an_interval_is_seconds() -> None:
    first = trigger("90s").get_next_fire_time(None, FRIDAY)
    assert trigger("90s").get_next_fire_time(first, FRIDAY) - first == timedelta(seconds=90)


@pytest.mark.parametrize("zone", ["CET-1CEST,M3.5.0,M10.5.0/3", "Mars/Base", "/no/such", "Europe", ".."])
def test_a_zone_that_is_none_is_told_with_its_mend(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    monkeypatch.setattr("tzlocal.unix._cache_tz", None)  # of an earlier look in this process
    with pytest.raises(Fatal, match=r"schedule\.zone: .* such as Europe/Berlin"):
        Schedule()


def test_a_job_runs_at_the_start_and_not_twice_at_once() -> None:
    ran, both = threading.Event(), []
    lock = threading.Lock()

    def job() -> None:
        both.append(lock.acquire(blocking=False))
        ran.set()
        if both[-1]:
            lock.release()

    schedule = Schedule()
    schedule.add("poll", "1h", job)
    schedule.start()
    assert ran.wait(5)
    schedule.stop()
    assert both == [True]


def test_jobs_that_wait_for_a_ris_hold_up_no_other() -> None:
    """Else a RIS that hangs, of a dozen projects, would stop the daemon's own heart."""
    answered, beats = threading.Event(), threading.Semaphore(0)
    schedule = Schedule()
    for n in range(40):
        schedule.add(f"poll-{n}", "1h", lambda: answered.wait(60))
    schedule.add("heart", "1s", beats.release)
    schedule.start()
    try:
        assert beats.acquire(timeout=30) and beats.acquire(timeout=30), "again and again, not at the start alone"
    finally:
        answered.set()
        schedule.stop()


def test_a_clock_that_is_set_back_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due at nine is due in an hour when it is eight again; the daemon's own heart must not wait for that."""
    beats, schedule = threading.Semaphore(0), Schedule()
    schedule.add("heart", "1h", beats.release)
    schedule.start()
    try:
        assert beats.acquire(timeout=30)
        schedule.look()
        assert not beats.acquire(timeout=0.5), "as long as nobody sets the clock, only its own time counts"
        ahead = time.time() - time.monotonic()
        monkeypatch.setattr(clock, "_ahead", lambda: ahead - 3600.0)
        schedule.look()
        assert beats.acquire(timeout=30)
        schedule.look()
        assert not beats.acquire(timeout=0.5), "once"
    finally:
        schedule.stop()


HANGS = """
import sys, threading, time
from gateway.errors import Fatal
from gateway.run import daemon, wiring
from gateway.run.cli import main
from gateway.run.schedule import Schedule

def run(*_, **__):
    began, schedule = threading.Event(), Schedule()
    schedule.add("manifests", "1h", lambda: began.set() or time.sleep(60))
    schedule.start()
    began.wait()
    threading.Thread(target=schedule.stop, daemon=True).start()
    if sys.argv[2] == "1":
        raise Fatal("schedule.zone", "it cannot go on")
    return 0

daemon.run, wiring.load_settings = run, lambda _: None
sys.exit(main(["run", "--config", sys.argv[1]]))
"""


@pytest.mark.parametrize("code", [0, 1])
def test_a_job_that_hangs_does_not_keep_the_process_once_the_drain_is_over(tmp_path: Path, code: int) -> None:
    """In a folder whose server does not answer: systemd waited for the whole of TimeoutStopSec, and killed it; one that could not
    go on was never started anew where nobody watches."""
    words = [sys.executable, "-W", "ignore", "-c", HANGS, str(tmp_path / "gateway.toml"), str(code)]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == code, done.stderr
    assert time.monotonic() - began < 30
