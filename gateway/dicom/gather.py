"""Puts a data set together without holding it: the pixels of a large one wait in a file without a name.

Up to `LARGE` bytes it is bytes in memory. Of what is larger, all that stands before the value of the top-level Pixel Data, or
behind it, stays in memory; the value itself goes to an O_TMPFILE beside the outbox, which ends with the process however that
ends. `done` maps that file privately and lays head and tail into the mapping (their pages are the process's own and never
reach the file): one contiguous buffer, of which only what is looked at is in memory. See docs/adr/0011-lean-receive.md.

What large thing is no Pixel Data (a PDF, a deflated data set) stays in memory, within a budget that all associations share.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.dicom.bulk import Run, find_pixels
from gateway.dicom.dimse import Context
from gateway.errors import Retry
from gateway.model import Buffer

LARGE: Final = 1 << 20
SMALL: Final = 1 << 16
"""Bytes up to which a data set is handed on as bytes of its own, else as a view of where it was put together."""
BUDGET: Final = 1 << 28
"""Bytes that all data sets in the making may take in memory beyond their first `LARGE`."""
LONGEST_HEAD: Final = 1 << 25
"""Bytes in which Pixel Data must begin to be told apart; searched at `LARGE` and whenever the size has doubled."""


class Budget:
    """Memory that many share. `take` says no when it would be too much."""

    def __init__(self, size: int = BUDGET) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        with self._lock:
            self._left += size


class Spooled(mmap.mmap):
    """A private mapping: own head and tail around the pixels of a file. Only the pixels' pages may be forgotten."""

    pixels: tuple[int, int] = (0, 0)
    """First and last page-aligned offset between which every byte is the file's."""

    def madvise(self, option: int, start: int = 0, length: int | None = None) -> None:
        begin, end = self.pixels
        if begin < end:
            super().madvise(option, begin, end - begin)


class Lasting(mmap.mmap):
    """Memory of our own: whoever forgets the pages of a mapped file that was written must not forget these."""

    def madvise(self, option: int, start: int = 0, length: int | None = None) -> None:
        """Does nothing."""


class Gatherer:
    """Makes room for data sets. `folder`: where the nameless files go, the outbox's file system; None: memory only."""

    def __init__(self, folder: Path | None, budget: Budget | None = None) -> None:
        self._folder = folder
        self._budget = budget or Budget()

    def association(self) -> Slab:
        opened = None if self._folder is None else self._open
        return Slab(opened, self._budget)

    def _open(self) -> int:
        assert self._folder is not None
        return os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


class Slab:
    """Where one association puts its data sets together, one after the other. Close it when the association has ended.

    Fresh memory for each is what would cost most: its pages are given and taken, and the heaps of 32 threads scatter.
    """

    def __init__(self, opened: Callable[[], int] | None, budget: Budget) -> None:
        self._opened, self._budget = opened, budget
        # only what is touched is taken, and closing gives it back at once
        self._map = Lasting(-1, LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._map)

    def __call__(self, context: Context) -> Gathering:
        return Gathering(context.transfer_syntax, self._view, self._opened, self._budget)

    def close(self) -> None:
        with contextlib.suppress(BufferError):  # a view of it lives on somewhere: it ends with that
            self._view.release()
            self._map.close()


class Gathering:
    """One data set in the making. What goes wrong meanwhile is told by `done`: the association goes on."""

    def __init__(
        self, transfer_syntax: str, slab: memoryview, opened: Callable[[], int] | None, budget: Budget
    ) -> None:
        self._syntax, self._slab, self._opened, self._budget = transfer_syntax, slab, opened, budget
        self._filled = 0  # bytes of the slab
        self._kept: list[bytes] = []  # what follows the slab's, in memory
        self._head, self._file, self._run = b"", -1, Run(0)
        self._map: Spooled | None = None
        self._size = 0  # bytes in memory, all of them; those of `_kept` are taken from the budget
        self._taken = 0
        self._look = LARGE if opened else 0
        self._trouble = ""

    def add(self, view: memoryview) -> None:
        """Copies, or writes, `view`."""
        end = self._filled + len(view)
        if end <= LARGE and not self._kept and self._file < 0:
            self._slab[self._filled : end] = view
            self._filled = self._size = end
        elif not self._trouble:
            try:
                self._add_more(view)
            except OSError as err:
                self._fail(f"disk.errno-{err.errno or 0}")

    def done(self) -> Buffer:
        """The whole data set, until `close`. Raises Retry when there was no room for it."""
        if self._trouble:
            raise Retry(self._trouble, charge=False)
        kept, self._kept = self._kept, []
        if self._file < 0:
            whole = self._slab[: self._filled]
            if kept:
                return b"".join((whole, *kept))
            return bytes(whole) if self._filled <= SMALL else whole
        try:
            self._map = self._mapped(b"".join(kept))
        except (OSError, ValueError) as err:
            raise Retry(f"disk.errno-{getattr(err, 'errno', None) or 0}", charge=False) from None
        return memoryview(self._map)

    def close(self) -> None:
        self._kept, self._head = [], b""
        self._budget.give(self._taken)
        self._taken = 0
        if self._map is not None:
            with contextlib.suppress(BufferError):  # a view of it lives on somewhere: it ends with that
                self._map.close()
            self._map = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _add_more(self, view: memoryview) -> None:
        if self._file >= 0:
            view = view[self._spool(view) :]
        if not len(view) or not self._room(len(view)):
            return
        self._kept.append(bytes(view))
        self._size += len(view)
        if self._file < 0 and 0 < self._look <= self._size:
            self._part()

    def _room(self, size: int) -> bool:
        """May `size` more bytes be kept in memory?"""
        if self._budget.take(size):
            self._taken += size
            return True
        self._fail("receive.no-room")
        return False

    def _part(self) -> None:
        """Looks for the pixels in what is there, and parts from them."""
        whole = memoryview(b"".join((self._slab[: self._filled], *self._kept)))
        found = find_pixels(whole, self._syntax)
        if found is None:
            self._look = self._size * 2 if self._size * 2 <= LONGEST_HEAD else 0
            return
        assert self._opened is not None
        start, self._run = found
        self._file = self._opened()
        os.lseek(self._file, start, os.SEEK_SET)
        self._head, self._kept, self._size = bytes(whole[:start]), [], start
        self._add_more(whole[start:])

    def _spool(self, view: memoryview) -> int:
        """Writes what belongs to the pixels; how much that is."""
        size = self._run.take(view)
        rest = view[:size]
        while rest:
            rest = rest[os.write(self._file, rest) :]
        return size

    def _mapped(self, tail: bytes) -> Spooled:
        head, end = len(self._head), os.lseek(self._file, 0, os.SEEK_CUR)
        os.ftruncate(self._file, end + len(tail))
        mapped = Spooled(self._file, end + len(tail), access=mmap.ACCESS_COPY)
        mapped[:head] = self._head
        mapped[end:] = tail
        page = mmap.PAGESIZE
        mapped.pixels = (head + page - 1) // page * page, end // page * page
        return mapped

    def _fail(self, trouble: str) -> None:
        self._trouble = trouble
        self.close()
