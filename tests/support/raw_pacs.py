"""A PACS on bare sockets, for what pynetdicom cannot say: half PDUs, broken command sets, data sets where none belongs.

    with RawPacs(lambda asked: asked.says(0x0000)) as pacs: ...

An answer is bytes, made by `Asked.says` or by hand; `Silence` after them keeps the connection open and says no more. Every context
that is proposed is accepted with its first transfer syntax (A10).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.dicom import wire
from tests.support.process import HOST

RESPONSE: Final = 0x8000  # PS3.7 E.1: the command field of a response is that of its request, with this bit
WITH_DATA, WITHOUT_DATA = 0x0001, 0x0101
Answer = Callable[["Asked"], bytes]


def word(value: int) -> bytes:
    return struct.pack("<H", value)


@dataclass(frozen=True)
class Asked:
    """One request: its context, its command set, and the number of requests before it."""

    context: int
    command: Mapping[int, bytes] = field(repr=False)
    number: int = 0

    def says(self, status: int, row: Dataset | None = None, **changed: bytes | None) -> bytes:
        """One response. `changed`: elements of the command set as `e0120=b"..."`, None leaves one out."""
        kind = struct.unpack("<H", self.command[0x0100])[0] | RESPONSE
        elements: dict[int, bytes] = {
            0x0002: self.command[0x0002], 0x0100: word(kind), 0x0120: self.command[0x0110],
            0x0800: word(WITH_DATA if row is not None else WITHOUT_DATA), 0x0900: word(status),
        }  # fmt: skip
        for name, value in changed.items():
            number = int(name[1:], 16)
            elements.pop(number, None)
            if value is not None:
                elements[number] = value
        said = wire.pdu(4, wire.pdv(self.context, 3, wire.command(elements)))
        return (
            said if row is None else said + self.data(encode(row, is_implicit_vr=False, is_little_endian=True) or b"")
        )

    def data(self, raw: bytes) -> bytes:
        """A data set, whatever it is, whether or not one belongs here."""
        return wire.pdu(4, wire.pdv(self.context, 2, raw))


class RawPacs:
    """`answers`: one for each request in turn, the last one for all that follow. `proposals`: A-ASSOCIATE-RQ bodies."""

    def __init__(self, *answers: Answer) -> None:
        self.name, self.ae_title, self.host, self.tls = "main", "RAW", HOST, None
        self._answers = list(answers)
        self.proposals: list[bytes] = []
        self.asked: list[Asked] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5.0)

    def hang_up(self) -> None:
        """Says nothing more on any connection."""
        for sock in self._sockets:
            sock.shutdown(socket.SHUT_WR)

    @property
    def open(self) -> int:
        """Connections that the other side has not ended."""
        return sum(sock.fileno() >= 0 for sock in self._sockets)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._start(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            command: dict[int, bytes] = {}
            while True:
                kind, body = wire.read_pdu(sock)
                if kind == 1:
                    self.proposals.append(body)
                    sock.sendall(associate_ac(body))
                elif kind == 4:
                    command = self._hear(sock, body, command)
                else:
                    if kind == 5:
                        sock.sendall(struct.pack(">BxI4x", 6, 4))
                    return

    def _hear(self, sock: socket.socket, body: bytes, command: dict[int, bytes]) -> dict[int, bytes]:
        """Requests of ours are short: a command, then a data set, each in one PDV, alone or together in a PDU."""
        at = 0
        while at < len(body):
            length, context, control = struct.unpack_from(">IBB", body, at)
            pdv = body[at : at + 4 + length]
            at += 4 + length
            if control & 1:
                command = wire.parsed(pdv)
            if control & 1 and command[0x0800] != word(WITHOUT_DATA):
                continue
            asked = Asked(context, command, len(self.asked))
            self.asked.append(asked)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            sock.sendall(answer(asked))
        return command


def items(body: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item; `at` 68 in the body of an A-ASSOCIATE-RQ, 4 in a proposed context (PS3.8 9.3.2)."""
    while at + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def first_syntaxes(proposal: bytes) -> dict[int, bytes]:
    """Context ID -> the transfer syntax that is proposed first."""
    contexts = [value for kind, value in items(proposal, 68) if kind == 0x20]
    return {c[0]: next(value for kind, value in items(c, 4) if kind == 0x40) for c in contexts}


def user_items(proposal: bytes) -> set[int]:
    """Types of the items in the user information (PS3.7 D.3.3)."""
    return {kind for outer, value in items(proposal, 68) if outer == 0x50 for kind, _ in items(value)}


def associate_ac(proposal: bytes) -> bytes:
    """PS3.8 9.3.3: all contexts of an A-ASSOCIATE-RQ body are accepted with the first transfer syntax."""
    body = proposal[:68] + wire.item(0x10, b"1.2.840.10008.3.1.1.1")
    for context, syntax in first_syntaxes(proposal).items():
        body += wire.item(0x21, bytes([context, 0, 0, 0]) + wire.item(0x40, syntax))
    return wire.pdu(2, body + wire.item(0x50, wire.item(0x51, struct.pack(">I", 16384)) + wire.item(0x52, b"2.25.1")))
