"""Records what a real sender says: a relay between it and a server, and both parsers' reading of the same bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from gateway.dicom.dimse import Context, Messages, Stored, text
from gateway.dicom.gather import Gatherer
from gateway.dicom.pdu import Stream
from tests.dicom import wire
from tests.support.process import HOST


class Heard(NamedTuple):
    """One C-STORE as a parser understood it."""

    context: int
    message: int
    sop_class: str
    instance: str
    data: bytes


class Relay:
    """Listens on `port`; `streams` holds what each client said."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.streams: list[bytearray] = []
        self.answers: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._target))
                self._sockets += (client, server)
                said, answered = bytearray(), bytearray()
                self.streams.append(said)
                self.answers.append(answered)
                for source, sink, record in ((client, server, said), (server, client, answered)):
                    thread = threading.Thread(target=_copy, args=(source, sink, record), daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        for sock in self._sockets:
            sock.close()


def _copy(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            record += piece
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    opened = Relay(target)
    try:
        yield opened
    finally:
        opened.close()


def pdus(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and whole bytes of each PDU."""
    at = 0
    while at < len(stream):
        end = at + 6 + struct.unpack_from(">I", stream, at + 2)[0]
        yield stream[at], stream[at:end]
        at = end


def contexts(answer: bytes) -> dict[int, Context]:
    """What the A-ASSOCIATE-AC accepted; the abstract syntax plays no part here."""
    _, first = next(pdus(answer))
    return {number: Context("", syntax) for number, syntax in wire.accepted(first[6:])[0].items()}


def as_pynetdicom(stream: bytes) -> list[Heard]:
    """By pynetdicom's own classes, in the way its DUL and DIMSE providers use them."""
    found, message = [], None
    for kind, raw in pdus(stream):
        if kind != 4:
            continue
        pdu = P_DATA_TF()
        pdu.decode(raw)
        message = message or DIMSEMessage()
        if not message.decode_msg(pdu.to_primitive()):
            continue
        request = message.message_to_primitive()
        if isinstance(request, C_STORE):
            found.append(_told(message, request))
        message = None
    return found


def _told(message: DIMSEMessage, request: C_STORE) -> Heard:
    assert message.context_id is not None and request.MessageID is not None and request.DataSet is not None
    uids = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
    return Heard(message.context_id, request.MessageID, *uids, request.DataSet.getvalue())


def as_ours(stream: bytes, accepted: Mapping[int, Context], gatherer: Gatherer, piece: int) -> list[Heard]:
    """By the lean path's, the stream read `piece` bytes at a time."""
    pdu_stream, messages, found = Stream(131072), Messages(accepted, gatherer.association()), []
    said = b"".join(raw for kind, raw in pdus(stream) if kind == 4)
    for at in range(0, len(said), piece):
        for fragment in pdu_stream.feed(memoryview(said)[at : at + piece]):
            whole = messages.take(fragment)
            if isinstance(whole, Stored):
                rq = whole.request
                uids = text(rq.sop_class), text(rq.sop_instance)
                found.append(Heard(rq.context_id, rq.message_id, *uids, bytes(whole.gathered.done())))
                whole.gathered.close()
    assert pdu_stream.between and messages.between
    return found
