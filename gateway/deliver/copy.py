"""Copying one file into an open one, in the kernel where it can (reflink, server-side copy), and making it durable."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import Retry

CHUNK: Final = 1 << 20
PIECE: Final = 1 << 26
"""Bytes after which what is copied is synced, and the next begun: no call takes as long as all of a large file may."""
NOT_HERE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EBADF})


def contents(file: Path, fd: int, alive: Callable[[], None]) -> None:
    """All of `file` into `fd`. Raises OSError for the destination, Retry("outbox.unreadable") for the source.

    `alive` is called in between, and may raise.
    """
    try:
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
    try:
        size = os.fstat(source).st_size
        copied = _in_kernel(source, fd, size, alive)
        copied += _by_hand(source, fd, alive)
    finally:
        os.close(source)
    if copied != size:
        raise Retry("outbox.unreadable", "a clean file changed its length while it was copied")


def _in_kernel(source: int, fd: int, size: int, alive: Callable[[], None]) -> int:
    """Bytes copied by copy_file_range(2), which moves both offsets; fewer than `size` where it does not work."""
    copied = 0
    while copied < size:
        try:
            some = os.copy_file_range(source, fd, min(PIECE, size - copied))
        except OSError as err:
            if err.errno not in NOT_HERE:
                raise
            break
        if not some:
            break
        copied += some
        _step(fd, copied, some, alive)
    return copied


def _by_hand(source: int, fd: int, alive: Callable[[], None]) -> int:
    """Bytes copied from where both offsets stand to the end."""
    copied = 0
    while chunk := os.read(source, CHUNK):
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(fd, rest) :]
        copied += len(chunk)
        _step(fd, copied, len(chunk), alive)
    return copied


def _step(fd: int, copied: int, some: int, alive: Callable[[], None]) -> None:
    alive()
    if copied // PIECE > (copied - some) // PIECE:
        os.fdatasync(fd)


@contextmanager
def locked(part: Path | str) -> Iterator[int]:
    """A new file, open for writing and locked until the block ends. Its mode is what the umask leaves of rw-rw-rw-."""
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


def abandoned(part: Path) -> bool:
    """True when no living process writes this part."""
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """False when it is taken, or when the file system has no locks: then nothing is ever swept there."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
