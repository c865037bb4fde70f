"""DICOM's upper layer by hand: PDUs and command sets made from the standard's tables, with nothing of ours or pynetdicom's.

PS3.8 9.3 (PDUs), E.2 (message control header); PS3.7 6.3.1, 9.3.1 (command sets).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.support.process import HOST

OURS: Final = "RESEARCH"
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION: Final = "1.2.840.10008.1.1"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
RELEASE: Final = struct.pack(">BxI4x", 5, 4)
STORE_RQ, ECHO_RQ, ACTION_RQ, FIND_RQ = 0x0001, 0x0030, 0x0130, 0x0020
DATA_SET, NO_DATA_SET = 0x0000, 0x0101

Contexts = Sequence[tuple[str, Sequence[str]]]
"""Abstract syntax and transfer syntaxes; the IDs are 1, 3, 5, ... in this order."""
STORING: Final[Contexts] = ((CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)))


def associate_rq(
    contexts: Contexts = STORING, *, called: str = OURS, calling: str = "MODALITY", longest: int = 16384
) -> bytes:
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, transfers) in enumerate(contexts):
        inner = item(0x30, abstract.encode()) + b"".join(item(0x40, t.encode()) for t in transfers)
        body += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + inner)
    body += item(0x50, item(0x51, struct.pack(">I", longest)) + item(0x52, b"2.25.1"))
    return pdu(1, body)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(context: int, control: int, payload: bytes) -> bytes:
    return struct.pack(">IBB", len(payload) + 2, context, control) + payload


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) & 1)
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(elements: Mapping[int, bytes]) -> bytes:
    body = b"".join(element(number, value) for number, value in sorted(elements.items()))
    return element(0, struct.pack("<I", len(body))) + body


def request(
    kind: int = STORE_RQ, *, sop_class: str = CT, instance: str = "2.25.7", data_set: int = DATA_SET, number: int = 1
) -> bytes:
    """A request's command set."""
    word = struct.Struct("<H").pack
    found = {0x0002: sop_class.encode(), 0x0100: word(kind), 0x0110: word(number), 0x0800: word(data_set)}
    if kind == STORE_RQ:
        found |= {0x0700: word(0), 0x1000: instance.encode()}
    return command(found)


def fragments(context: int, control: int, payload: bytes, longest: int) -> Iterator[bytes]:
    """PDUs of one fragment each. `control`: 1 for a command."""
    room = longest - 6
    for at in range(0, max(len(payload), 1), room):
        last = 2 if at + room >= len(payload) else 0
        yield pdu(4, pdv(context, control | last, payload[at : at + room]))


def store(
    data: bytes,
    *,
    context: int = 1,
    sop_class: str = CT,
    instance: str = "2.25.7",
    longest: int = 16384,
    number: int = 1,
) -> bytes:
    """A whole C-STORE request."""
    rq = request(sop_class=sop_class, instance=instance, number=number)
    return b"".join((*fragments(context, 1, rq, longest), *fragments(context, 0, data, longest)))


def echo(context: int = 3, number: int = 1) -> bytes:
    rq = request(ECHO_RQ, sop_class=VERIFICATION, data_set=NO_DATA_SET, number=number)
    return pdu(4, pdv(context, 3, rq))


def read_pdu(sock: socket.socket) -> tuple[int, bytes]:
    """Type and body; type 0 when the peer has hung up."""
    head = _read(sock, 6)
    if len(head) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxI", head)
    body = _read(sock, length)
    return (kind, body) if len(body) == length else (0, b"")


def _read(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        try:
            piece = sock.recv(size - len(got))
        except ConnectionError:
            return got
        if not piece:
            return got
        got += piece
    return got


def parsed(body: bytes) -> dict[int, bytes]:
    """The command set of a P-DATA-TF body of one PDV."""
    found, at = {}, 6
    while at < len(body):
        number, length = struct.unpack_from("<2xHI", body, at)
        found[number] = body[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def status(sock: socket.socket) -> int:
    """Of the response that comes next; -1 when something else does."""
    kind, body = read_pdu(sock)
    return int(struct.unpack("<H", parsed(body)[0x0900])[0]) if kind == 4 else -1


def accepted(body: bytes) -> tuple[dict[int, str], int]:
    """Of an A-ASSOCIATE-AC: transfer syntax by accepted context ID, and the peer's maximum length."""
    contexts, longest, at = {}, 0, 68
    while at + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        value = body[at + 4 : at + 4 + length]
        if kind == 0x21 and value[2] == 0:
            contexts[value[0]] = value[8:].decode()
        elif kind == 0x50:
            longest = struct.unpack_from(">I", value, 4)[0]
        at += 4 + length
    return contexts, longest


def associate(port: int, contexts: Contexts = STORING, *, called: str = OURS, timeout: float = 10) -> socket.socket:
    """An established association."""
    sock = socket.create_connection((HOST, port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(associate_rq(contexts, called=called))
    kind, _ = read_pdu(sock)
    assert kind == 2, f"not accepted: {kind}"
    return sock
