"""What becomes of a stretch of bytes: pieces of it, and what was put between them."""

from __future__ import annotations

from gateway.deidentify.encoding import Codec, Header, Malformed
from gateway.model import Buffer

Parts = list[Buffer]
PADDING_ELEMENT = 0xFFFCFFFC


class Output:
    """`buf`: all the bytes. `start`: from where on nothing has been taken over yet."""

    __slots__ = ("buf", "changed", "parts", "start")

    def __init__(self, buf: bytes, start: int) -> None:
        self.buf = buf
        self.parts: Parts = []
        self.start = start
        self.changed = False

    def put(self, pos: int, after: int, new: Parts | tuple[Buffer, ...]) -> None:
        """`new` in place of the bytes from `pos` to `after`."""
        if self.start < pos:
            self.parts.append(self.buf[self.start : pos])
        self.parts += new
        self.start = after
        self.changed = True

    def close(self, pos: int) -> Parts | None:
        """All parts up to `pos`; None when nothing was put."""
        if not self.changed:
            return None
        if self.start < pos:
            self.parts.append(self.buf[self.start : pos])
        return self.parts


def within(after: int, end: int) -> int:
    """`after`. Raises Malformed when it lies behind the end."""
    if after > end:
        raise Malformed
    return after


def check_end(pos: int, end: int, *, open_end: bool) -> None:
    """A data set ends where its length says, an open one only with its delimiter. Raises Malformed."""
    if pos != end or open_end:
        raise Malformed


def read_header(buf: bytes, pos: int, codec: Codec, *, top: bool) -> Header:
    """NUL bytes behind the last element are told as what the standard has for padding (PS3.10 7.2)."""
    if top and not buf[pos] and is_padding(buf, pos):
        return Header(PADDING_ELEMENT, b"OB", len(buf) - pos, pos)
    return codec.header(buf, pos)


def is_padding(buf: bytes, pos: int) -> bool:
    """Whether nothing but NUL follows: a sender's padding of the whole data set, which is mended away."""
    return buf[pos : pos + 4].strip(b"\0") == b"" and buf.count(0, pos) == len(buf) - pos
