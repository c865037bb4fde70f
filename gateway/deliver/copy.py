"""Copying one file into an open one, in the kernel where it can (reflink, server-side copy), and making it durable."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import Retry

CHUNK: Final = 1 << 20
NOT_HERE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EBADF})


def contents(file: Path, fd: int) -> None:
    """All of `file` into `fd`. Raises OSError for the destination, Retry("outbox.unreadable") for the source."""
    try:
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
    try:
        size = os.fstat(source).st_size
        copied = _in_kernel(source, fd, size)
        copied += _by_hand(source, fd)
    finally:
        os.close(source)
    if copied != size:
        raise Retry("outbox.unreadable", "a clean file changed its length while it was copied")


def _in_kernel(source: int, fd: int, size: int) -> int:
    """Bytes copied by copy_file_range(2), which moves both offsets; fewer than `size` where it does not work."""
    copied = 0
    while copied < size:
        try:
            some = os.copy_file_range(source, fd, size - copied)
        except OSError as err:
            if err.errno not in NOT_HERE:
                raise
            break
        if not some:
            break
        copied += some
    return copied


def _by_hand(source: int, fd: int) -> int:
    """Bytes copied from where both offsets stand to the end."""
    copied = 0
    while chunk := os.read(source, CHUNK):
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(fd, rest) :]
        copied += len(chunk)
    return copied


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
