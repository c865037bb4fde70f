"""Writes a file so that it is on stable storage, with few calls and little memory, and tells what was written."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xxhash import xxh3_128

from gateway.model import Buffer

IOV = 512  # buffers a writev takes here; the kernel's limit is 1024
CHUNK = 1 << 22  # bytes that are written at once; of a mapped source no more stay in memory


class Written(NamedTuple):
    """`checksum`: see `state.checksum`. `synced`: the file itself is on stable storage, and not just what was entered elsewhere."""

    size: int
    checksum: bytes
    synced: bool


def write_durably(
    path: str,
    parts: Sequence[Buffer],
    mode: int,
    enter: Callable[[bytes], bool] | None = None,
    mark: Callable[[int, bytes], None] | None = None,
) -> Written:
    """A new file of these parts, on stable storage. The disk is at work while the checksum is made. Raises OSError.

    `enter`: of the checksum, whether its bytes are on stable storage elsewhere by now; then it is not synced. `mark`: the file is
    there, empty; called with its descriptor and the checksum before it is synced.
    """
    size, checksum = 0, xxh3_128()
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (0 if mark else os.O_CREAT | os.O_EXCL), mode)
    try:
        for pieces in _chunks(parts):
            written = _write_all(fd, pieces)
            if enter is None:  # Linux begins to write back what is dirty there, and does not wait for it (fadvise.c)
                os.posix_fadvise(fd, size, written, os.POSIX_FADV_DONTNEED)
            size += written
            for piece in pieces:
                checksum.update(piece)
                _forget(piece)
        if mark is not None:
            mark(fd, checksum.digest())
        synced = enter is None or not enter(checksum.digest())
        if synced:
            os.fsync(fd)
    finally:
        os.close(fd)
    return Written(size, checksum.digest(), synced)


def _chunks(parts: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """The parts in order, as many of them at once as one call takes and `CHUNK` bytes allow."""
    pieces: list[Buffer] = []
    size = 0
    for part in parts:
        for piece in _cut(part):
            if pieces and (size + len(piece) > CHUNK or len(pieces) == IOV):
                yield pieces
                pieces, size = [], 0
            pieces.append(piece)
            size += len(piece)
    if pieces:
        yield pieces


def _cut(part: Buffer) -> Iterator[Buffer]:
    if len(part) <= CHUNK:
        yield part
    else:
        view = memoryview(part)
        yield from (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))


def _write_all(fd: int, parts: Sequence[Buffer]) -> int:
    """writev may write less than asked (disk nearly full, signal): the rest goes out by itself, or raises ENOSPC."""
    want = sum(map(len, parts))
    done = os.writev(fd, parts)
    if done < want:
        rest = memoryview(b"".join(parts))[done:]
        while rest:
            rest = rest[os.write(fd, rest) :]
    return want


def _forget(piece: Buffer) -> None:
    """The pages of a mapped file that was written from: they would count as our memory."""
    if isinstance(piece, memoryview) and isinstance(piece.obj, mmap.mmap):
        piece.obj.madvise(mmap.MADV_DONTNEED)


def sync_folder(folder: Path | str) -> int:
    """fsync of a directory: a rename in it is durable afterwards. Returns its inode."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)
