"""multipart/related as STOW-RS sends it and WADO-RS answers it, in pieces: an instance of any size, a little memory.

Standard: PS3.18 8.6 (payloads), RFC 2046 5.1 (multipart), RFC 2387 (multipart/related).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.errors import Retry

HEAD: Final = 132 + 12
"""Bytes: preamble, DICM, and the element that tells how long the rest of the head is (PS3.10 7.1)."""
MOST_HEAD: Final = 1 << 16
CHUNK: Final = 1 << 18
_BOUNDARY: Final = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=? -]{0,69}[0-9A-Za-z\'()+_,./:=?-])"?', re.IGNORECASE)


class Envelope:
    """One file as a message of one part: its `type`, its `size` in bytes, and `read` as of a file, which calls `alive`."""

    def __init__(self, file: Path, alive: Callable[[], None] = lambda: None) -> None:
        self._alive = alive
        boundary = f"pacs-gateway-{secrets.token_hex(16)}"
        self.type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        try:
            self._file = file.open("rb")
        except OSError:
            raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
        self.size = len(self._head) + os.fstat(self._file.fileno()).st_size + len(self._tail)

    def read(self, size: int = CHUNK) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        self._alive()
        piece, self._head = self._head, b""
        piece = piece or self._file.read(size)
        if not piece:
            piece, self._tail = self._tail, b""
        return piece

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def close(self) -> None:
        self._file.close()


def boundary_of(content_type: str) -> bytes:
    """The delimiter of an answer's parts; b"" when it has none."""
    found = _BOUNDARY.search(content_type)
    return b"--" + found[1].encode() if found and content_type.lower().startswith("multipart/") else b""


def data_set_start(head: bytes) -> int:
    """Where the data set begins, behind preamble and file meta information; 0 when this is no head of a Part 10 file."""
    if len(head) < HEAD or head[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return 0
    start = HEAD + int.from_bytes(head[140:144], "little")
    return start if start <= MOST_HEAD else 0


def same_data_set(pieces: Iterable[bytes], delimiter: bytes, file: Path) -> bool:
    """True when the first part of a message (without `delimiter`: the whole of it) holds the data set of `file`.

    Archives write heads of their own (PS3.10 7.1: who wrote the file), so that what is compared begins behind them.
    """
    wanted, size = _wanted(file)
    stream = _Reader(pieces)
    if delimiter and not stream.skip_to(b"\r\n\r\n", MOST_HEAD):
        return False
    start = data_set_start(stream.peek(MOST_HEAD))
    if not start:
        return False
    stream.take(start)
    held = hashlib.sha256()
    while size and (piece := stream.take(min(CHUNK, size))):
        held.update(piece)
        size -= len(piece)
    end = b"\r\n" + delimiter if delimiter else b""
    return not size and held.digest() == wanted and stream.peek(max(1, len(end))) == end


def _wanted(file: Path) -> tuple[bytes, int]:
    """SHA-256 and length of the data set of a file of ours."""
    try:
        with file.open("rb") as opened:
            start = data_set_start(opened.read(HEAD))
            opened.seek(start)
            return hashlib.file_digest(opened, "sha256").digest(), os.fstat(opened.fileno()).st_size - start
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None


class _Reader:
    """Bytes from pieces of any length."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._held = iter(pieces), b""

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; they stay."""
        while len(self._held) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._held += piece
        return self._held[:size]

    def take(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        self.peek(1)
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def skip_to(self, mark: bytes, limit: int) -> bool:
        """Past the first `mark` within `limit` bytes; False when there is none."""
        at = self.peek(limit).find(mark)
        self._held = self._held[at + len(mark) :] if at >= 0 else self._held
        return at >= 0
