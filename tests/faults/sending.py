"""A sender made of bytes: what it counts as acknowledged is a whole C-STORE response that it has read (PS3.7 9.3.1, PS3.8 9.3)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydicom.filereader import read_file_meta_info

from tests.support.process import HOST

OURS, CALLING = "RESEARCH", "NOBODY"
DEADLINE: Final = 60.0
RELEASE: Final = bytes.fromhex("05000000000400000000")
CONTEXT: Final = "1.2.840.10008.3.1.1.1"
ACCEPT, REJECT, DATA = 2, 3, 4


class Rejected(Exception):
    """A-ASSOCIATE-RJ: `args` are result, source and reason (PS3.8 table 9-21)."""


@dataclass(frozen=True)
class Message:
    """One instance as it is sent."""

    sop_class: str
    SOPInstanceUID: str = field(repr=False)
    data: bytes = field(repr=False)


def message(path: Path) -> Message:
    """From a file with an explicit little endian data set."""
    raw, meta = path.read_bytes(), read_file_meta_info(path)
    (length,) = struct.unpack_from("<I", raw, 140)
    return Message(str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), raw[144 + length :])


class Sender:
    """One association. Raises Rejected when it is refused, OSError when it is cut."""

    def __init__(self, port: int, classes: Sequence[str], *, calling: str = CALLING, buffer: int = 0) -> None:
        """`buffer`: bytes of the socket's receive buffer, 0: the system's choice."""
        self._classes, self._number = list(classes), 0
        self.sock = socket.socket()
        try:
            if buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self.sock.settimeout(DEADLINE)
            self.sock.connect((HOST, port))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pdu = self._associate(calling)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def _associate(self, calling: str) -> int:
        self.sock.sendall(request(self._classes, calling))
        kind, body = self._pdu_read()
        if kind == REJECT:
            raise Rejected(*body[1:4])
        if kind != ACCEPT:
            raise ConnectionError(f"PDU type {kind} instead of an A-ASSOCIATE-AC")
        at = body.rindex(b"\x51\0\0\4")
        return min(struct.unpack_from(">I", body, at + 4)[0] or 131072, 131072)

    def store(self, one: Message) -> int:
        """Sends it and waits: the status."""
        self.send(one)
        return self.answer()

    def send(self, one: Message) -> None:
        self.sock.sendall(self.encoded(one))

    def encoded(self, one: Message) -> bytes:
        self._number = self._number % 65535 + 1
        context = 2 * self._classes.index(one.sop_class) + 1
        command = b"".join((
            _element(2, one.sop_class.encode()), _element(0x100, b"\1\0"), _element(0x110, struct.pack("<H", self._number)),
            _element(0x700, b"\0\0"), _element(0x800, b"\0\0"), _element(0x1000, one.SOPInstanceUID.encode()),
        ))  # fmt: skip
        command = _element(0, struct.pack("<I", len(command))) + command
        step = self._pdu - 6
        pieces = [one.data[at : at + step] for at in range(0, len(one.data), step)]
        pdus = [_pdata(context, 2 if piece is pieces[-1] else 0, piece) for piece in pieces]
        return b"".join((_pdata(context, 3, command), *pdus))

    def answer(self) -> int:
        """The status of the next response."""
        kind, body = self._pdu_read()
        if kind != DATA:
            raise ConnectionError(f"PDU type {kind} instead of a response")
        at = body.index(b"\0\0\0\x09\2\0\0\0")
        return int(struct.unpack_from("<H", body, at + 8)[0])

    def release(self) -> None:
        self.sock.sendall(RELEASE)
        self._pdu_read()

    def _pdu_read(self) -> tuple[int, bytes]:
        head = self._read(6)
        return head[0], self._read(struct.unpack(">I", head[2:])[0])

    def _read(self, length: int) -> bytes:
        raw = self.sock.recv(length, socket.MSG_WAITALL)
        if len(raw) != length:
            raise ConnectionError("the receiver is gone")
        return raw


def request(classes: Sequence[str], calling: str) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    items = [_item(0x10, CONTEXT.encode())]
    for i, sop_class in enumerate(classes):
        wanted = _item(0x30, sop_class.encode()) + _item(0x40, b"1.2.840.10008.1.2.1")
        items.append(_item(0x20, bytes((2 * i + 1, 0, 0, 0)) + wanted))
    items.append(_item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"2.25.1")))
    body = struct.pack(">HH16s16s32x", 1, 0, OURS.encode().ljust(16), calling.encode().ljust(16)) + b"".join(items)
    return struct.pack(">BxI", 1, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def _pdata(context: int, control: int, piece: bytes) -> bytes:
    return struct.pack(">BxIIBB", DATA, len(piece) + 6, len(piece) + 2, context, control) + piece
