"""Of all journals of an outbox: what is removed on purpose is never brought back, and what a power cut took is (ADR 19).

Whoever removes a file from the outbox says so here first (`Journals.void`); `recover` runs before anything is received.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from gateway.state import prepared
from gateway.state.prepared import alone
from gateway.state.segment import BLOCK, NEW, SUFFIX, Record, Segment

_libc: Final = ctypes.CDLL(None, use_errno=True)


def sync_file_system(fd: int) -> None:
    """syncfs(2): all written so far is on stable storage. Raises OSError, also for what failed since `fd` was opened."""
    if _libc.syncfs(fd):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


Restore = Callable[[Record, Callable[[], bytes | None], bool], bool]
"""Of one record, what reads its file, and whether the one there is doubtful: makes it durable where it is not. True: it was not."""


@dataclass
class _Seen:
    """How far a segment has been walked by who removes."""

    segment: Segment
    generation: int = 0
    at: int = BLOCK
    records: dict[str, list[Record]] = field(default_factory=dict)


class Journals:
    """All journals of an outbox, for who removes files from it. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, _Seen] = {}
        self._lock = threading.Lock()

    def void(self, series: str, names: frozenset[str] | None = None) -> None:
        """Those files of the series (None: all) are not brought back, durably, and their bytes are gone. Raises OSError."""
        if not self._folder.exists():
            return
        with self._lock, alone(self._folder):
            prepared.void(self._folder, series, names)
            for seen in self._all():
                self._walk(seen)
                records = seen.records.get(series, [])
                found = [r for r in records if names is None or r.name in names]
                for record in found:
                    seen.segment.void(record, seen.generation)
                if found:
                    seen.segment.flush()
                    seen.records[series] = [r for r in records if names is not None and r.name not in names]

    def close(self) -> None:
        """What was walked is let go: a segment that is removed keeps its place on the disk while it is open."""
        with self._lock:
            for seen in self._seen.values():
                seen.segment.close()
            self._seen.clear()

    def _all(self) -> list[_Seen]:
        there = {path: path.stat().st_ino for path in self._folder.glob(f"*{SUFFIX}")}
        for path, seen in list(self._seen.items()):
            if there.get(path) != seen.segment.inode:
                self._seen.pop(path).segment.close()
        for path in there.keys() - self._seen.keys():
            self._seen[path] = _Seen(Segment(path))
        return list(self._seen.values())

    @staticmethod
    def _walk(seen: _Seen) -> None:
        generation = seen.segment.generation()
        if generation != seen.generation:
            seen.generation, seen.at, seen.records = generation, BLOCK, {}
        for record in seen.segment.records(generation, seen.at):
            seen.records.setdefault(record.series, []).append(record)
            seen.at = record.end


def recover(folder: Path, restore: Restore) -> int:
    """Brings back what a power cut took: how many. Only while nobody receives. Raises OSError, and forgets nothing then.

    The segments of a process that has survived its daemon for a moment stay: it may still acknowledge.
    """
    if not folder.exists():
        return 0
    restored, paths = 0, []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.closing(Segment(path)) as segment:
            if segment.lock():
                restored += restored_from(segment, restore)
                paths.append(path)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)
    for path in [*paths, *folder.glob(f"*{NEW}")]:
        path.unlink()
    return restored


def restored_from(segment: Segment, restore: Restore, *, doubtful: bool = False) -> int:
    records = [r for r in segment.records(segment.generation()) if r.live]
    return sum(restore(r, partial(segment.content, r), doubtful) for r in records)
