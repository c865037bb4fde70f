"""Simulated hours of a site in compressed time, with the real daemon: `python -m tests.ops.soak [--hours 24] [--reloads 12]`.

A simulated hour is the work of a real one (`Hour`), done as fast as it goes, each piece to its end. At the end of each hour it is
sampled what the daemon takes (`gauges.Sample`); over the last half of the hours the straight line through the samples must be flat,
within the tolerances of `gauges`. Afterwards reloads, one after the other, judged alike. Exits 1 when anything grows.

In every fourth hour the main PACS aborts all associations for a while, in another the RIS is away, in every twelfth an archive;
pauses between tries are cut short in the state, as if hours went by. Two reloads come in the first half, so that the receive
processes have one life in the second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from tests.flow import daily
from tests.ops import callers, gauges
from tests.ops.gauges import Sample
from tests.ops.site import LeakingDaemon, Site, exams
from tests.support.daemon import Daemon

CALLERS: Final = 4
SHORTEST: Final = 2 * gauges.FEWEST
HOUR_DEADLINE: Final = 900.0


@dataclass(frozen=True)
class Hour:
    """How often each thing happens in an hour. A day has 1,008 examinations, 288 polls of the RIS, a scrape each 15 s."""

    examinations: int = 42
    polls: int = 12
    scrape: int = 240
    health: int = 60
    echo: int = 4
    stranger: int = 12
    aborted: int = 12
    cut: int = 12
    dropped: int = 12
    unasked: int = 6

    @classmethod
    def part(cls, share: float) -> Self:
        """A smaller site: of everything so much, and at least one."""
        return cls(**{field.name: max(1, round(share * int(str(field.default)))) for field in fields(cls)})

    def calls(self) -> list[str]:
        """Names of `callers`, each as often as it happens, spread evenly."""
        names = [f.name for f in fields(self) if f.name not in ("examinations", "polls")]
        at = [((n + 0.5) / getattr(self, name), name) for name in names for n in range(getattr(self, name))]
        return [name for _, name in sorted(at)]


@dataclass(frozen=True)
class Plan:
    """`leak`: with a daemon that leaks, to see that it is seen."""

    hours: int
    hour: Hour
    reloads: int = 0
    leak: bool = False


@dataclass
class Soaked:
    """`reloaded`: after each reload at the end; `wrong`: what is not as it should be, empty if all is."""

    samples: list[Sample]
    reloaded: list[Sample]
    seconds: float
    wrong: list[str]


def soak(folder: Path, plan: Plan, *, told: bool = False) -> Soaked:
    """`told`: a line for each hour on standard output."""
    began = time.monotonic()
    hours, hour = plan.hours, plan.hour
    with Site(folder, exams(hours * hour.examinations), LeakingDaemon if plan.leak else Daemon) as site:
        callers.scrape(site)
        samples = []
        for n in range(hours + 1):
            if n:
                _reload_in(site, n, hours)
                _lived(site, n, hour)
            samples.append(gauges.sample(n, site.daemon.pid, site.state))
            if told:
                print(line(samples[-1], time.monotonic() - began), flush=True)
        wrong = list(_wrong(site))
        reloaded = [_reloaded(site) for _ in range(plan.reloads)]
        if told:
            print(*(f"reloaded: {line(one, time.monotonic() - began)}" for one in reloaded), sep="\n")
        if site.daemon.stop() != 0:
            wrong.append("the daemon did not end well")
    return Soaked(samples, reloaded, time.monotonic() - began, wrong)


# ---- one hour


def _lived(site: Site, n: int, hour: Hour) -> None:
    polls = _polls(site)
    site.ask(site.exams[(n - 1) * hour.examinations : n * hour.examinations])
    calls = hour.calls()
    with _trouble(site, n):
        _called(site, calls[: len(calls) // 2])
    _called(site, calls[len(calls) // 2 :])
    callers.people(site)
    if n % 4 == 0:
        _decided(site)
    until = time.monotonic() + HOUR_DEADLINE
    while site.under_way() or _polls(site) - polls < hour.polls:
        assert time.monotonic() < until, f"hour {n} does not end: {site.daemon.status()['queues']}"
        site.later()
        time.sleep(0.5)
    time.sleep(1.0)  # associations and their threads end


def _polls(site: Site) -> float:
    callers.scrape(site)
    return site.counted("ris_polls_total")


def _trouble(site: Site, n: int) -> ExitStack:
    stack = ExitStack()
    if n % 4 == 3:
        stack.enter_context(site.without_pacs())
    if n % 4 == 1:
        stack.enter_context(site.without("ris.sqlite"))
    if n % 12 == 6:
        stack.enter_context(site.without("chest"))
    return stack


def _called(site: Site, calls: Sequence[str]) -> None:
    """By several callers at once."""
    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(getattr(callers, name), site) for name in calls]:
            done.result()
    site.later()


def _decided(site: Site) -> None:
    """What is held for a person is somebody else's examination."""
    listed = callers.said(site.daemon.config, "requests", "list", "--state", "held", "--json")
    if keys := [one["key"] for one in json.loads(listed)]:
        callers.said(site.daemon.config, "held", "discard", *keys)


# ---- reloads


def _reload_in(site: Site, n: int, hours: int) -> None:
    if hours >= 12 and n in (hours // 8, hours // 4):  # caches of new processes are full by the last half
        _reloaded(site)


def _reloaded(site: Site) -> Sample:
    """By SIGHUP, until the new life is complete."""
    roles = {one.role for one in gauges.taken(site.daemon.pid)}
    before = {one.pid for one in gauges.taken(site.daemon.pid)}
    told = site.daemon.log.read_text().count("daemon.reloaded")
    os.kill(site.daemon.pid, signal.SIGHUP)

    def complete() -> bool:
        now = list(gauges.taken(site.daemon.pid))
        renewed = len({one.pid for one in now} & before) == 1 and {one.role for one in now} == roles
        return renewed and site.daemon.log.read_text().count("daemon.reloaded") > told

    site.daemon.wait_until(complete, 600)
    site.daemon.wait_ready(60)
    time.sleep(1.0)
    return gauges.sample(0, site.daemon.pid, site.state)


# ---- the end


def _wrong(site: Site) -> Iterator[str]:
    """Everything that was asked for is where it belongs."""
    outcome = daily.expected(list(site.exams))
    studies = sum({"plain": 1, "several": 2}.get(exam.kind, 0) for exam in site.exams)
    for name, wanted in (("chest", 6 * studies), ("sono", outcome["excluded"])):
        found = sum(1 for _ in (site.folder / name).rglob("*.dcm"))
        if found != wanted:
            yield f"{name}: {found} instances in the archive, {wanted} are right"
    for word in ("died", "worker.error", "daemon.stuck"):
        if word in site.daemon.log.read_text():
            yield f"the log says {word}"


def judged(done: Soaked) -> list[str]:
    """What grows, or is wrong."""
    return [*done.wrong, *gauges.grows(done.samples), *(gauges.grows_with_each(done.reloaded) if done.reloaded else ())]


def line(one: Sample, seconds: float) -> str:
    taken = "  ".join(f"{p.role} {p.rss / 1024:.1f} MiB {p.descriptors} fd {p.threads} thr" for p in one.processes)
    state = f"{one.requests} requests, {one.per_request:.0f} B each, wal {one.wal >> 10} KiB"
    left = f"outbox {one.outbox}, held {one.held}, other files {one.other}, {one.other_bytes >> 10} KiB"
    return f"{one.hour:3} h {seconds:6.0f} s  {taken}  | {state}, {left}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulated hours of a site, with the real daemon.")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--part", type=float, default=1.0, help="of an hour's work")
    parser.add_argument("--reloads", type=int, default=12, help="one after the other, at the end")
    parser.add_argument("--leak", action="store_true", help="with a daemon that leaks: exits 1, or this proves nothing")
    given = parser.parse_args()
    if given.hours < SHORTEST or 0 < given.reloads < SHORTEST:
        parser.error(f"no line can be drawn through less than {SHORTEST}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        done = soak(Path(folder), Plan(given.hours, Hour.part(given.part), given.reloads, given.leak), told=True)
    for role, facts in gauges.told(done.samples):
        print(f"{role:12} {facts}")
    found = judged(done)
    print(f"{given.hours} h in {done.seconds:.0f} s: {'; '.join(found) or 'flat'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
