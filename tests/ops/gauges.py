"""What a running daemon takes: memory, descriptors, threads of each of its processes, its database, its files; whether it grows.

`/proc` of the daemon is open to root alone (it may not be dumped), so whoever samples is root.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

RSS_RISE: Final = 0.03
"""Share of its mean by which a process's memory may rise over the last half, along the line through it."""
RSS_LEAST: Final = 2048.0
"""KiB that are no rise: of a small process 3 % would be less than what the allocator keeps now and then."""
COUNT_RISE: Final = 1.0
"""File descriptors, or threads, over the last half."""
REQUEST_RISE: Final = 0.05
"""Share of its mean by which the database's bytes per request may rise over the last half."""
OTHER_RISE: Final = float(1 << 20)
"""Bytes of all that is neither database nor instance (journal, ledgers, audit trail), over the last half."""
APART: Final = 0.5
"""Seconds between two looks."""
WAL_MOST: Final = 8 << 20
"""Bytes of the write-ahead log: twice what SQLite lets it have before it writes it back (1,000 pages)."""
FEWEST: Final = 4
"""Samples in the last half, without which no line says anything."""
DATABASE: Final = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm")
INSTANCE: Final = ".dcm"
MODULES: Final = {"gateway.run.receive": "receive", "gateway.run.screen": "screen"}


@dataclass(frozen=True)
class Taken:
    """One process. `role`: main, receive-1, receive-2, screen-1. `rss`: KiB."""

    role: str
    pid: int
    rss: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """At the end of a simulated hour. `database`: bytes of its used pages; `temporary`: bytes of its log and index in memory;
    `wal`: of the log alone; `outbox`, `held`: instances in them; `other`, `other_bytes`: all else below the state directory."""

    hour: int
    processes: tuple[Taken, ...]
    requests: int
    database: int
    wal: int
    temporary: int
    outbox: int
    held: int
    other: int
    other_bytes: int

    @property
    def per_request(self) -> float:
        return self.database / max(self.requests, 1)


# ---- sampling


def sample(hour: int, pid: int, state: Path) -> Sample:
    """`pid`: of the daemon; `state`: its state directory."""
    requests, database = _database(state / DATABASE[0])
    sizes = [_size(state / name) for name in DATABASE]
    files = [path for path in state.rglob("*") if path.is_file()]
    others = [path for path in files if path.suffix != INSTANCE and path.name not in DATABASE]
    waiting = {name: sum(path.suffix == INSTANCE for path in (state / name).rglob("*")) for name in ("outbox", "held")}
    return Sample(
        hour, settled(pid), requests, database, wal=sizes[1], temporary=sizes[1] + sizes[2], **waiting,
        other=len(others), other_bytes=sum(map(_size, others)),
    )  # fmt: skip


def settled(pid: int) -> tuple[Taken, ...]:
    """The least of three looks: a thread that answers and ends is no growth, and what leaks is there in each."""
    first, *more = _looks(pid)
    later = [{one.pid: one for one in look} for look in more]
    return tuple(_least([one, *(look[one.pid] for look in later if one.pid in look)]) for one in first)


def _looks(pid: int) -> Iterator[list[Taken]]:
    for pause in (0, APART, APART):
        time.sleep(pause)
        yield list(taken(pid))


def _least(looks: Sequence[Taken]) -> Taken:
    least = {name: min(getattr(one, name) for one in looks) for name in ("rss", "descriptors", "threads")}
    return replace(looks[0], **least)


def taken(pid: int) -> Iterator[Taken]:
    """The daemon's own process and its children, in the order in which they were started."""
    yield _taken("main", pid)
    numbers: dict[str, int] = {}
    for child in children(pid):
        module = _module(child)
        if module in MODULES:
            role = MODULES[module]
            numbers[role] = numbers.get(role, 0) + 1
            yield _taken(f"{role}-{numbers[role]}", child)


def children(pid: int) -> list[int]:
    listed = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for some in listed for child in some)


def _module(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return words[words.index("-m") + 1] if "-m" in words else ""


def _taken(role: str, pid: int) -> Taken:
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    facts = {name: value.split()[0] for name, _, value in lines if name in ("VmRSS", "Threads")}
    return Taken(role, pid, int(facts["VmRSS"]), len(os.listdir(f"/proc/{pid}/fd")), int(facts["Threads"]))


def _database(path: Path) -> tuple[int, int]:
    """Requests, and bytes of the pages in use: what was freed is there to be used again."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as connection:
        (requests,) = connection.execute("select count(*) from request").fetchone()
        pages, free, each = (
            connection.execute(f"pragma {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
    return int(requests), (int(pages) - int(free)) * int(each)


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


# ---- judging


def rise(values: Sequence[float]) -> float:
    """By how much the straight line through `values` (least squares, equally spaced) rises from the first to the last."""
    middle, mean = (len(values) - 1) / 2, fmean(values)
    spread = sum((i - middle) ** 2 for i in range(len(values)))
    return sum((i - middle) * (v - mean) for i, v in enumerate(values)) / spread * (len(values) - 1)


def last_half(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Raises ValueError when it is too short for a line."""
    half = samples[len(samples) // 2 :]
    if len(half) < FEWEST:
        raise ValueError(f"{len(half)} samples in the last half, {FEWEST} are needed")
    return half


def grows(samples: Sequence[Sample]) -> list[str]:
    """What is not flat over the last half, in a sentence each; empty: all is."""
    half = last_half(samples)
    return [*_processes(half), *_disk(half), *left_behind(half)]


def grows_with_each(reloaded: Sequence[Sample]) -> list[str]:
    """What grows from reload to reload: the main process, and the files; all others are new each time.

    Of descriptors and threads what grows by less than one with every other reload is none that a reload keeps.
    """
    half = last_half(reloaded)
    mine = [one.processes[0] for one in half]
    found = (*_of_life("main", mine, counts=len(half) / 2), *_disk(half), *left_behind(half))
    return [f"reloads: {one}" for one in found]


def _processes(half: Sequence[Sample]) -> Iterator[str]:
    lives: dict[tuple[str, int], list[Taken]] = {}
    for one in half:
        for process in one.processes:
            lives.setdefault((process.role, process.pid), []).append(process)
    for (role, _), life in lives.items():
        if len(life) < len(half):
            yield f"{role}: a process lived for {len(life)} of {len(half)} samples"
            continue
        yield from _of_life(role, life)


def _of_life(role: str, life: Sequence[Taken], counts: float = COUNT_RISE) -> Iterator[str]:
    memory = [float(p.rss) for p in life]
    if rise(memory) > max(RSS_RISE * fmean(memory), RSS_LEAST):
        yield f"{role}: memory rises by {rise(memory):.0f} KiB at {fmean(memory):.0f}"
    for name, values in _counts(life):
        if rise(values) > counts:
            yield f"{role}: {name} rise by {rise(values):.1f} at {fmean(values):.1f}"


def _counts(life: Sequence[Taken]) -> Iterator[tuple[str, list[float]]]:
    yield "file descriptors", [float(p.descriptors) for p in life]
    yield "threads", [float(p.threads) for p in life]


def _disk(half: Sequence[Sample]) -> Iterator[str]:
    each = [one.per_request for one in half]
    if rise(each) > REQUEST_RISE * fmean(each):
        yield f"database: {rise(each):.0f} bytes per request more, at {fmean(each):.0f}"
    other, size = [float(one.other) for one in half], [float(one.other_bytes) for one in half]
    if rise(other) > COUNT_RISE:
        yield f"state directory: {rise(other):.1f} files more"
    if rise(size) > OTHER_RISE:
        yield f"state directory: {rise(size):.0f} bytes more beside database and instances"


def left_behind(samples: Sequence[Sample]) -> Iterator[str]:
    """What may not be there at the end of any hour."""
    if waiting := max(one.outbox for one in samples):
        yield f"outbox: {waiting} files left at the end of an hour"
    if (most := max(one.wal for one in samples)) > WAL_MOST:
        yield f"write-ahead log: {most} bytes"


def told(samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    """For people: mean and rise over the last half, by process, then of the database."""
    half = last_half(samples)
    for role in [p.role for p in half[-1].processes]:
        life = [p for one in half for p in one.processes if p.role == role]
        memory = [p.rss / 1024 for p in life]
        counts = ", ".join(f"{name} {fmean(v):.1f} (rise {rise(v):+.1f})" for name, v in _counts(life))
        yield role, f"{fmean(memory):.1f} MiB (rise {rise(memory):+.2f}), {counts}"
    each = [one.per_request for one in half]
    yield (
        "database",
        f"{fmean(each):.0f} bytes per request (rise {rise(each):+.1f}); WAL at most {max(o.wal for o in samples)} bytes",
    )
