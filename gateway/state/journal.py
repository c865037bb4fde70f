"""The journal: what was acknowledged before the file system had made it durable. It lies in a folder of the outbox (ADR 19).

A file of its own costs two commits of the file system before the sender may be told, an entry here one flush. So a receive process
writes the file as ever, but unsynced, enters its bytes here, and answers; a whole segment later the file system is synced at
once, in the background, and the segment begins anew. After a power cut `recovery` brings back what is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.model import Buffer
from gateway.state.recovery import Restore, alone, restored_from, sync_file_system
from gateway.state.segment import BLOCK, SUFFIX, Record, Segment, whole_blocks

SEGMENT: Final = 32 << 20
LARGEST: Final = 4 << 20  # bytes of a file that is worth it: a larger one's own bytes take longer than its commits
ROOM: Final = 8  # segments are made where so many times their size is free
QUIET: Final = 2.0  # seconds after the last entry: then everything is synced and wiped, and nothing is in here
AGAIN: Final = 10.0  # seconds until what failed is tried again


@dataclass
class _Own:
    """A segment that this process writes.

    `used`: where what was written since it was wiped ends. `pending`: entries whose file has not got its name yet. `doubtful`: a
    sync failed, and the kernel may have dropped what it could not write and call it written the next time.
    """

    segment: Segment
    generation: int
    tail: int = BLOCK
    used: int = BLOCK
    pending: int = 0
    full: bool = False
    doubtful: bool = False


@dataclass(frozen=True)
class Entry:
    """What stands in the journal; `named` when the file has its name: only then may a sync of the file system replace it."""

    named: Callable[[], None]


class Journal:
    """Of one receive process; thread-safe. Until its segments are made, and where they cannot be, `enter` enters nothing."""

    def __init__(self, folder: Path, restore: Restore, *, size: int = SEGMENT, quiet: float = QUIET) -> None:
        """`folder`: in the file system of what is entered."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder, self._restore, self._size, self._quiet = folder, restore, size, quiet
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._memory = memoryview(mmap.mmap(-1, BLOCK + whole_blocks(LARGEST)))
        self._own: list[_Own] = []
        self._lock, self._wake, self._over = threading.Condition(), threading.Event(), False
        self._entered = time.monotonic()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._settle_for_ever, daemon=True, name="journal")
        self._thread.start()

    def enter(self, series: str, name: str, parts: Sequence[Buffer], sha256: bytes) -> Entry | None:
        """None: not entered, so the file has to be synced itself. Never raises OSError."""
        size = sum(map(len, parts))
        if size > LARGEST:
            return None
        with self._lock:
            own = self._with_room(BLOCK + whole_blocks(size))
            if own is None:
                self._wake.set()
                return None
            at = BLOCK
            for part in parts:
                self._memory[at : at + len(part)] = part
                at += len(part)
            record = Record(own.tail, size, sha256, series, name, live=True)
            try:
                own.segment.append(self._memory, own.generation, record)
            except OSError as err:  # half of it may be there, and nothing behind that would be found
                own.full = True
                self._tell(err)
                return None
            own.tail, own.used = record.end, max(own.used, record.end)
            own.pending += 1
            self._entered = time.monotonic()
        return Entry(lambda: self._named(own))

    def close(self) -> None:
        """Everything is synced, and the segments are gone. What cannot be synced stays for `recover`."""
        self._over = True
        self._wake.set()
        self._thread.join()
        os.close(self._fd)

    def _named(self, own: _Own) -> None:
        with self._lock:
            own.pending -= 1
            self._lock.notify_all()

    def _with_room(self, size: int) -> _Own | None:
        for own in self._own:
            if own.full:
                continue
            if own.tail + size <= own.segment.size:
                return own
            own.full = True
            self._wake.set()
        return None

    # ---- the thread that begins segments anew

    def _settle_for_ever(self) -> None:
        while not self._over:
            pause = self._quiet
            try:
                self._make()
                self._settle()
            except OSError as err:
                self._tell(err)
                pause = AGAIN
            self._wake.wait(pause)
            self._wake.clear()
        try:
            self._end()
        except OSError as err:
            self._tell(err)

    def _make(self) -> None:
        """Two segments: those that a dead process left, else new ones. One is written while the other one is synced."""
        while len(self._own) < 2 and not self._over:
            segment = self._left_over() or self._new()
            if segment is None:
                return
            own = _Own(segment, segment.generation())
            left = own.generation > 0
            own.used = segment.size if left else BLOCK
            if left:
                sync_file_system(self._fd)  # what it tells of is in the page cache still
            self._begin(own, wipe=left)
            with self._lock:
                self._own.append(own)

    def _left_over(self) -> Segment | None:
        mine = {own.segment.path for own in self._own}
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError):
                if path not in mine and (segment := _locked(Segment(path))):
                    return segment
        return None

    def _new(self) -> Segment | None:
        facts = os.fstatvfs(self._fd)
        if facts.f_bavail * facts.f_frsize < ROOM * self._size:
            return None
        return _locked(Segment.make(self._folder / f"{secrets.token_hex(8)}{SUFFIX}", self._size))

    def _settle(self, *, over: bool = False) -> None:
        """The full ones; and all, when nothing was entered for a while, or `over`."""
        with self._lock:
            quiet = over or time.monotonic() - self._entered >= self._quiet
            for own in self._own:
                own.full = own.full or over or (quiet and own.used > BLOCK)
            full = [own for own in self._own if own.full]
            self._lock.wait_for(lambda: not any(own.pending for own in full))
        if full:
            self._sync()
        for own in full:
            self._begin(own, wipe=quiet)

    def _sync(self) -> None:
        """All that was entered so far. What failed once is made anew from here: a second try would tell nothing."""
        try:
            sync_file_system(self._fd)
        except OSError:
            with self._lock:
                for own in self._own:
                    own.doubtful = own.full = True
            raise
        for own in self._own:
            if own.doubtful:
                with alone(self._folder):
                    restored_from(own.segment, self._restore, doubtful=True)
                own.doubtful = False

    def _begin(self, own: _Own, *, wipe: bool) -> None:
        with alone(self._folder):
            generation = secrets.randbits(63) | 1  # never one that was there before, or that a file could hold
            own.segment.begin(generation)
            if wipe:
                own.segment.wipe(BLOCK, own.used)
                own.segment.flush()
        with self._lock:
            own.generation, own.tail, own.full = generation, BLOCK, self._over
            own.used = BLOCK if wipe else own.used

    def _end(self) -> None:
        self._settle(over=True)
        with alone(self._folder):
            for own in self._own:
                own.segment.path.unlink()
                own.segment.close()

    def _tell(self, err: OSError) -> None:
        self._log.error("journal.failed", reason=f"disk.errno-{err.errno or 0}")


def _locked(segment: Segment) -> Segment | None:
    """Ours as long as it is open; None, closed: somebody else's."""
    try:
        fcntl.flock(segment.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        segment.close()
        return None
    return segment
