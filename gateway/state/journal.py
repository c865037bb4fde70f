"""The journal: what was acknowledged before the file system had made it durable. It lies in a folder of the outbox (ADR 19).

A file of its own costs two commits of the file system before the sender may be told, an entry here one flush. So a receive process
writes the file as ever, but unsynced, enters its bytes here, and answers; a whole segment later the file system is synced at
once, in the background, and the segment begins anew. After a power cut `recovery` brings back what is missing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gateway.model import Buffer
from gateway.state.prepared import alone, tell
from gateway.state.recovery import Restore, restored_from, sync_file_system
from gateway.state.segment import BLOCK, SUFFIX, Record, Segment, whole_blocks

SEGMENT: Final = 32 << 20
LARGEST: Final = 256 << 10  # bytes of a file: what is larger takes longer to write twice than its second commit does
ROOM: Final = 8  # segments are made where so many times their size is free
QUIET: Final = 2.0  # seconds after the last entry: then everything is synced and wiped, and nothing is in here
AGAIN: Final = 10.0  # seconds until what failed is tried again


@dataclass
class _Own:
    """A segment that this process writes.

    `used`: where what was written ends, entered or not. `entered`: when something was. `pending`: entries whose file has not got
    its name yet. `flushed`: what is on stable storage ends there. `broken`: a flush failed; there is no other. `doubtful`: a
    sync failed; the kernel may have dropped what it could not write, and not tell it again.
    """

    segment: Segment
    generation: int
    tail: int = BLOCK
    used: int = BLOCK
    entered: float = field(default_factory=time.monotonic)
    pending: int = 0
    flushing: threading.Lock = field(default_factory=threading.Lock)
    flushed: int = BLOCK
    broken: bool = False
    full: bool = False
    doubtful: bool = False


class Entry:
    """One file on its way into the journal, from before it is written until it has its name.

    So no sync of the file system that fails meanwhile, and tells it once, is over and done with when the file is entered.
    """

    def __init__(self, journal: Journal, own: _Own) -> None:
        self._journal, self._own = journal, own

    def enter(self, series: str, name: str, parts: Sequence[Buffer], checksum: bytes) -> bool:
        """True: it is on stable storage, whatever becomes of the file. False: the file has to be synced itself."""
        end = self._journal.put(self._own, Record(0, sum(map(len, parts)), checksum, series, name, live=True), parts)
        return end > 0 and self._journal.flush(self._own, end)

    def close(self) -> None:
        """The file has its name, or never will: only then may a sync of the file system stand for the entry."""
        self._journal.over(self._own)


class Journal:
    """Of one receive process; thread-safe. Until its segments are made, and where they cannot be, nothing is entered."""

    def __init__(self, folder: Path, restore: Restore, *, size: int = SEGMENT, quiet: float = QUIET) -> None:
        """`folder`: in the file system of what is entered."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder, self._restore, self._size, self._quiet = folder, restore, size, quiet
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._own: list[_Own] = []
        self._lock, self._wake, self._over = threading.Condition(threading.Lock()), threading.Event(), False
        self._thread = threading.Thread(target=self._settle_for_ever, daemon=True, name="journal")
        self._thread.start()

    def begin(self, size: int) -> Entry | None:
        """For a file of so many bytes. None: nothing for here."""
        if size > LARGEST:
            return None
        with self._lock:
            own = self._with_room(BLOCK + whole_blocks(size))
            if own is None:
                return None
            own.pending += 1
            return Entry(self, own)

    def put(self, own: _Own, record: Record, parts: Sequence[Buffer]) -> int:
        """Record, whose place is found here, and bytes, not flushed: where they end. 0: there is no room by now, or it failed."""
        with self._lock:
            record = replace(record, offset=own.tail)
            if own.full or record.end > own.segment.size:
                return 0
            own.used, done = record.end, False
            try:
                own.segment.put(record, own.generation, parts)
                done = True
            except OSError as err:
                tell(err)
            finally:
                if not done:  # half of it may be there, and nothing behind that would be found
                    own.full = True
                    self._abandon(own)
            if done:
                own.tail, own.entered = record.end, time.monotonic()
            return own.tail if done else 0

    def flush(self, own: _Own, end: int) -> bool:
        """Whether everything up to there is on stable storage. One flush at a time; who waits for one may need none of his own."""
        with own.flushing:
            if own.flushed < end and not own.broken:
                tail = own.tail
                try:
                    own.segment.flush()
                    own.flushed = tail
                except OSError as err:
                    # It may be about others' bytes as well, and the next flush would not tell it again.
                    own.broken = own.full = True
                    tell(err)
            return own.flushed >= end

    def over(self, own: _Own) -> None:
        """See `Entry.close`."""
        with self._lock:
            own.pending -= 1
            self._lock.notify_all()

    @staticmethod
    def _abandon(own: _Own) -> None:
        """Bytes without a record: nobody who removes the file would find them, and what comes next may be shorter.

        What this flush is told of is told to nobody else, so no other one counts.
        """
        with own.flushing:
            own.broken = True
            try:
                own.segment.wipe(own.tail, own.used)
                own.segment.flush()
            except OSError as err:
                tell(err)

    def close(self) -> None:
        """Everything is synced, and the segments are gone. What cannot be synced stays for `recover`."""
        self._over = True
        self._wake.set()
        self._thread.join()
        os.close(self._fd)

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
                tell(err)
                pause = AGAIN
            self._wake.wait(pause)
            self._wake.clear()
        try:
            self._end()
        except OSError as err:
            tell(err)

    def _make(self) -> None:
        """Two segments: those that a dead process left, else new ones. One is written while the other one is synced."""
        while len(self._own) < 2 and not self._over:
            segment = self._left_over() or self._new()
            if segment is None:
                return
            own = _Own(segment, segment.generation())
            try:
                if own.generation:  # what it tells of is in the page cache still
                    own.used, own.doubtful = segment.size, True  # it may have been told of a sync that failed
                    self._sync(own)
                self._begin(own)
            except OSError:  # let go, so that the next try finds it left over
                segment.close()
                raise
            with self._lock:
                self._own.append(own)

    def _left_over(self) -> Segment | None:
        mine = {own.segment.path for own in self._own}
        for path in sorted(set(self._folder.glob(f"*{SUFFIX}")) - mine):
            with contextlib.suppress(FileNotFoundError):
                segment = Segment(path)
                if segment.lock():
                    return segment
                segment.close()
        return None

    def _new(self) -> Segment | None:
        facts = os.fstatvfs(self._fd)
        if facts.f_bavail * facts.f_frsize < ROOM * self._size:
            return None
        segment = Segment.make(self._folder / f"{secrets.token_hex(8)}{SUFFIX}", self._size)
        if segment.lock():
            return segment
        segment.close()  # somebody took it for left over
        return None

    def _settle(self, *, over: bool = False) -> None:
        """The full ones; and all, when nothing was entered for a while, or `over`."""
        with self._lock:
            entered = max((own.entered for own in self._own), default=0.0)
            quiet = over or time.monotonic() - entered >= self._quiet
            for own in self._own:
                own.full = own.full or over or (quiet and own.used > BLOCK)
            full = [own for own in self._own if own.full]
            self._lock.wait_for(lambda: not any(own.pending for own in full))
        if full:
            self._sync()
        for own in full:
            self._begin(own)

    def _sync(self, *left_over: _Own) -> None:
        """All that was entered so far. What failed once is made anew from here: a second try would tell nothing."""
        try:
            sync_file_system(self._fd)
        except OSError:
            with self._lock:
                for own in self._own:
                    own.doubtful = own.full = True
            raise
        with self._lock:  # what has its name only after this is not made anew by it
            over = [own for own in (*self._own, *left_over) if own.doubtful and not own.pending]
        for own in over:
            with alone(self._folder):
                restored_from(own.segment, self._restore, doubtful=True)
            own.doubtful = False

    def _begin(self, own: _Own) -> None:
        """What was in it is void, and overwritten: whoever removes a file would not find its bytes in an earlier generation."""
        with alone(self._folder):
            generation = secrets.randbits(63) | 1  # never one that was there before, or that a file could hold
            own.segment.begin(generation)
            own.segment.wipe(BLOCK, own.used)
            own.segment.flush()
        with self._lock:
            own.generation, own.full, own.broken = generation, self._over, False
            own.tail = own.used = own.flushed = BLOCK

    def _end(self) -> None:
        self._settle(over=True)
        with alone(self._folder):
            for own in self._own:
                own.segment.path.unlink()
                own.segment.close()
