"""A segment of the journal: a file of fixed length, written whole before it is used, in which records follow one another.

It is made of blocks of 4,096 bytes. The first names the generation that counts; a record is a block that tells whose file
follows, and the file's bytes. Written into blocks that are there already, past the page cache, a record costs one flush and
no commit of the file system's own. A walk ends at the first block that is not whole, or not of this generation and place: nothing
behind it was acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from gateway.model import Buffer

BLOCK: Final = 4096
SUFFIX: Final = ".segment"
NEW: Final = ".new"
_MAGIC: Final = b"PGWJRNL1"
_FIRST: Final = struct.Struct("<8sQ")  # magic, generation
_HEAD: Final = struct.Struct(
    "<8sQQQ?32sHH"
)  # magic, generation, offset, size, live, SHA-256, lengths of series and name
_DIGEST: Final = 16
_ZEROS: Final = 1 << 20


@dataclass(frozen=True)
class Record:
    """Of one file: where it stands, what it is. Not `live`: removed on purpose, never to be restored."""

    offset: int
    size: int
    sha256: bytes
    series: str
    name: str
    live: bool

    @property
    def end(self) -> int:
        return self.offset + BLOCK + whole_blocks(self.size)


def whole_blocks(size: int) -> int:
    """Bytes that `size` bytes take."""
    return -(-size // BLOCK) * BLOCK


class Segment:
    """One opened segment. Raises OSError. Not thread-safe; between processes `Journals` and `Journal` see to the order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as err:
            if err.errno != errno.EINVAL:  # a file system that has no way past its page cache
                raise
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size, self.inode = os.fstat(self._fd).st_size, os.fstat(self._fd).st_ino
        self._block = memoryview(mmap.mmap(-1, BLOCK))  # aligned, as such writes want it

    @classmethod
    def make(cls, path: Path, size: int) -> Self:
        """A new one on stable storage, every block of it written."""
        new = path.with_suffix(NEW)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            zeros = bytes(_ZEROS)
            for _ in range(0, size, _ZEROS):
                if os.write(fd, zeros) != _ZEROS:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        finally:
            os.close(fd)
        new.rename(path)
        return cls(path)

    def close(self) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    # ---- reading

    def generation(self) -> int:
        """0: none yet."""
        magic, generation = _FIRST.unpack_from(self._read(0))
        return generation if magic == _MAGIC else 0

    def records(self, generation: int, at: int = BLOCK) -> Iterator[Record]:
        """From the offset `at` to the end of what is whole."""
        while at < self.size:
            record = _parsed(self._read(at), generation, at)
            if record is None or record.end > self.size:
                return
            yield record
            at = record.end

    def content(self, record: Record) -> bytes | None:
        """The file, or None when it is not whole: it was never acknowledged."""
        memory = memoryview(mmap.mmap(-1, max(whole_blocks(record.size), BLOCK)))
        os.preadv(self._fd, [memory], record.offset + BLOCK)
        content = bytes(memory[: record.size])
        return content if hashlib.sha256(content).digest() == record.sha256 else None

    def _read(self, at: int) -> bytes:
        return bytes(self._block[: os.preadv(self._fd, [self._block], at)]).ljust(BLOCK, b"\0")

    # ---- writing

    def begin(self, generation: int) -> None:
        """Every record so far is void, and the next one comes first."""
        self._write_block(0, _FIRST.pack(_MAGIC, generation))
        self.flush()

    def append(self, memory: memoryview, generation: int, record: Record) -> None:
        """`memory`: aligned; a block for us, then the file."""
        memory[:BLOCK] = _packed(record, generation)
        size = BLOCK + whole_blocks(record.size)
        if os.pwritev(self._fd, [memory[:size]], record.offset) != size:
            raise OSError(errno.EIO, "short write to the journal")
        self.flush()

    def void(self, record: Record, generation: int, *, wipe: bool) -> None:
        """Not flushed. `wipe`: its bytes are overwritten as well."""
        dead = Record(record.offset, record.size, record.sha256, record.series, record.name, live=False)
        self._write_block(record.offset, _packed(dead, generation))
        if wipe:
            self.wipe(record.offset + BLOCK, record.end)

    def wipe(self, begin: int, end: int) -> None:
        """Overwrites from one offset to the other; not flushed."""
        zeros = memoryview(mmap.mmap(-1, min(_ZEROS, max(end - begin, BLOCK))))
        for at in range(begin, end, len(zeros)):
            os.pwritev(self._fd, [zeros[: end - at]], at)

    def flush(self) -> None:
        os.fdatasync(self._fd)

    def _write_block(self, at: int, raw: bytes) -> None:
        self._block[:] = raw.ljust(BLOCK, b"\0")
        if os.pwritev(self._fd, [self._block], at) != BLOCK:
            raise OSError(errno.EIO, "short write to the journal")


def _packed(record: Record, generation: int) -> bytes:
    names: Sequence[Buffer] = (record.series.encode(), record.name.encode())
    raw = _HEAD.pack(
        _MAGIC, generation, record.offset, record.size, record.live, record.sha256, len(names[0]), len(names[1])
    ) + b"".join(names)  # fmt: skip
    return (raw + _digest(raw)).ljust(BLOCK, b"\0")


def _parsed(raw: bytes, generation: int, at: int) -> Record | None:
    magic, number, offset, size, live, sha256, series, name = _HEAD.unpack_from(raw)
    end = _HEAD.size + series + name
    if (magic, number, offset) != (_MAGIC, generation, at) or raw[end : end + _DIGEST] != _digest(raw[:end]):
        return None
    names = raw[_HEAD.size : end].decode("ascii", "replace")
    return Record(offset, size, sha256, names[:series], names[series:], live)


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=_DIGEST).digest()
