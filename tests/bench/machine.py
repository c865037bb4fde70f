"""What one round of a benchmark leaves behind must be no burden of the next one, whoever's turn it is."""

from __future__ import annotations

import array
import contextlib
import fcntl
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.support.process import new_folder

BACKED: Final = 12 << 30
"""Bytes, or half of what is free."""
PINNED_EVERY: Final = 1 << 20
_backed: list[mmap.mmap] = []
_GET_FLAGS, _SET_FLAGS, _TOP = 0x80086601, 0x40086602, 0x00020000  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL


def fresh(size: int) -> None:
    """Before a round that writes `size` bytes."""
    os.sync()  # what the one before left to be written
    touch_memory(2 * size)


def touch_memory(size: int) -> None:
    """Takes and gives back memory: free pages of a guest may be the host's, and whoever writes first would pay for them."""
    with mmap.mmap(-1, max(size, mmap.PAGESIZE)) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def back_memory() -> None:
    """For the life of this process: memory that the host has really given is free, as on a machine that has been up for a while.

    A guest tells its host which large blocks are free, and the host takes them away: writing 525 KB to the page cache at once then
    takes 1.4 ms of processor for 0.2, while storescp, which writes small pieces, is given the small blocks that nobody took.
    A page in each MB stays taken, so that what is free around it makes no large block.
    """
    size = min(BACKED, os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 2) // PINNED_EVERY * PINNED_EVERY
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
    for at in range(0, size, PINNED_EVERY):
        memory.madvise(mmap.MADV_DONTNEED, at + mmap.PAGESIZE, PINNED_EVERY - mmap.PAGESIZE)
    _backed.append(memory)


@contextlib.contextmanager
def cleared() -> Iterator[None]:
    """A round whose temporary folders are removed at its end: the next one writes to the same memory (see `back_memory`)."""
    os.sync()  # what the round before left to be written
    before = set(Path(tempfile.gettempdir()).iterdir())
    yield
    for left in set(Path(tempfile.gettempdir()).iterdir()) - before:
        shutil.rmtree(left, ignore_errors=True)


def synced_alone(files: Sequence[Path], threads: int) -> float:
    """Copies a second when each is written, synced and given its name, by so many threads that do nothing else.

    Into files that were made and synced before. No receiver with a file for each instance that syncs it is faster on this disk.
    """
    folder, data = new_folder("alone"), [file.read_bytes() for file in files]
    for n in range(len(data)):
        (folder / f"{n}.made").touch()
    os.sync()

    def copied(numbers: range) -> None:
        for n in numbers:
            made = folder / f"{n}.made"
            with made.open("wb", buffering=0) as file:
                file.write(data[n])
                os.fsync(file.fileno())
            (folder / f"{n}.dcm").hardlink_to(made)

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copied, [range(n, len(data), threads) for n in range(threads)]))
    return len(data) / (time.monotonic() - began)


def apart(folder: Path | None = None) -> None:
    """Once, before all rounds. Temporary folders from now on are in `folder`, in block groups of their own where that is ext4.

    Without a journal, as in many guests, it passes by the inodes that were deleted in the last minute one by one: creating a file
    where the round before had its own took up to a millisecond of processor.
    """
    back_memory()
    if folder is not None:
        tempfile.tempdir = str(folder)
    tempfile.tempdir = str(new_folder("bench"))
    fd = os.open(tempfile.tempdir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            flags = array.array("L", [0])
            fcntl.ioctl(fd, _GET_FLAGS, flags)
            flags[0] |= _TOP
            fcntl.ioctl(fd, _SET_FLAGS, flags)
    finally:
        os.close(fd)
