"""A segment of the journal: a file of fixed length, written whole before it is used, in which records follow one another.

It is made of blocks of 4,096 bytes. The first names the generation that counts; a record is a block that tells whose file
follows, and the file's bytes. Written into blocks that are there already, a record costs one flush and no commit of the file
system's own. A walk ends at the first block that is not whole, or not of this generation and place: nothing
behind it was acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from gateway.model import Buffer
from gateway.state import checksum
from gateway.state.writing import IOV

BLOCK: Final = 4096
SUFFIX: Final = ".segment"
NEW: Final = ".new"
_MAGIC: Final = b"PGWJRNL1"
_FIRST: Final = struct.Struct("<8sQ")  # magic, generation
_HEAD: Final = struct.Struct("<8sQQQ?16sHH")
"""Magic, generation, offset, size, live, checksum, lengths of series and name."""
_DIGEST: Final = 16
_ZEROS: Final = 1 << 20


@dataclass(frozen=True)
class Record:
    """Of one file: where it stands, what it is. Not `live`: removed on purpose, never to be restored; whose it was is gone too."""

    offset: int
    size: int
    checksum: bytes
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
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size, self.inode = os.fstat(self._fd).st_size, os.fstat(self._fd).st_ino

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

    def lock(self) -> bool:
        """Ours as long as it is open; False: another process's, which lives."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

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
        content = os.pread(self._fd, record.size, record.offset + BLOCK)
        return content if checksum.of_parts([content]) == record.checksum else None

    def _read(self, at: int) -> bytes:
        return os.pread(self._fd, BLOCK, at).ljust(BLOCK, b"\0")

    # ---- writing

    def begin(self, generation: int) -> None:
        """Every record so far is void, and the next one comes first."""
        self._write(_FIRST.pack(_MAGIC, generation).ljust(BLOCK, b"\0"), 0)
        self.flush()

    def put(self, record: Record, generation: int, parts: Sequence[Buffer]) -> None:
        """Record and bytes; on stable storage after `flush`."""
        pieces = [_packed(record, generation), *parts]
        if len(pieces) > IOV:
            pieces = [b"".join(pieces)]
        if os.pwritev(self._fd, pieces, record.offset) != BLOCK + record.size:
            raise _short()

    def void(self, record: Record, generation: int) -> None:
        """Its place is all that is left of it: bytes and names are overwritten. Not flushed."""
        nobody = Record(record.offset, record.size, b"", "", "", live=False)
        self._write(_packed(nobody, generation), record.offset)
        self.wipe(record.offset + BLOCK, record.end)

    def wipe(self, begin: int, end: int) -> None:
        """Overwrites from one offset to the other; not flushed."""
        zeros = bytes(min(_ZEROS, end - begin))
        for at in range(begin, end, _ZEROS):
            self._write(zeros[: end - at], at)

    def flush(self) -> None:
        os.fdatasync(self._fd)

    def _write(self, raw: bytes, at: int) -> None:
        if os.pwrite(self._fd, raw, at) != len(raw):
            raise _short()


def _short() -> OSError:
    return OSError(errno.EIO, "short write to the journal")


def _packed(record: Record, generation: int) -> bytes:
    names: Sequence[Buffer] = (record.series.encode(), record.name.encode())
    raw = _HEAD.pack(
        _MAGIC, generation, record.offset, record.size, record.live, record.checksum, len(names[0]), len(names[1])
    ) + b"".join(names)  # fmt: skip
    return (raw + _digest(raw)).ljust(BLOCK, b"\0")


def _parsed(raw: bytes, generation: int, at: int) -> Record | None:
    magic, number, offset, size, live, made, series, name = _HEAD.unpack_from(raw)
    end = _HEAD.size + series + name
    if (magic, number, offset) != (_MAGIC, generation, at) or raw[end : end + _DIGEST] != _digest(raw[:end]):
        return None
    names = raw[_HEAD.size : end].decode("ascii", "replace")
    return Record(offset, size, made, names[:series], names[series:], live)


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=_DIGEST).digest()
