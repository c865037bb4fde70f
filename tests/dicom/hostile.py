"""Hostile streams, each made from a seed: what a broken, careless or malicious peer may say to a Storage SCP."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

from tests.dicom import wire

LENGTHS: Final = (0, 1, 2, 5, 6, 7, 0xFF, 0xFFFF, 131072, 131073, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
Stream = tuple[bytes, bytes]
"""What is said before the association is accepted, and behind it."""
Kind = Callable[[random.Random, bytes], Stream]
ASSOCIATE: Final = wire.associate_rq()


def conversation(rng: random.Random, data: bytes) -> list[bytes]:
    """The PDUs of a few well-formed messages."""
    longest = rng.choice((64, 500, 4096, 16384, 131072))
    found: list[bytes] = []
    for number in range(rng.randint(1, 3)):
        rq = wire.request(instance=f"2.25.{rng.getrandbits(60)}", number=number)
        found += wire.fragments(1, 1, rq, longest)
        found += list(wire.fragments(1, 0, data if longest > 500 else data[:2000], longest))
        if rng.random() < 0.3:
            found.append(wire.echo())
    return [*found, wire.RELEASE]


def flipped(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 5, 50))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def with_length(rng: random.Random, raw: bytes, at: int, order: str = ">") -> bytes:
    """`raw` with another number in the four bytes at `at`."""
    old = struct.unpack_from(f"{order}I", raw, at)[0]
    new = rng.choice((*LENGTHS, old - 1, old + 1, old + 2, rng.getrandbits(32))) & 0xFFFFFFFF
    return raw[:at] + struct.pack(f"{order}I", new) + raw[at + 4 :]


def bits(rng: random.Random, data: bytes) -> Stream:
    return ASSOCIATE, flipped(rng, b"".join(conversation(rng, data)))


def pdu_length(rng: random.Random, data: bytes) -> Stream:
    said = conversation(rng, data)
    at = rng.randrange(len(said))
    said[at] = with_length(rng, said[at], 2)
    return ASSOCIATE, b"".join(said)


def pdv_length(rng: random.Random, data: bytes) -> Stream:
    said = conversation(rng, data)
    at = rng.randrange(len(said) - 1)
    said[at] = with_length(rng, said[at], 6)
    return ASSOCIATE, b"".join(said)


def command_length(rng: random.Random, data: bytes) -> Stream:
    rq = wire.request()
    at = rng.choice([at for at in range(len(rq) - 8) if rq[at : at + 2] == b"\0\0"])
    broken = with_length(rng, rq, at + 4, "<") if at + 8 <= len(rq) else rq
    return ASSOCIATE, wire.pdu(4, wire.pdv(1, 3, broken)) + b"".join(wire.fragments(1, 0, data, 16384)) + wire.RELEASE


def element_length(rng: random.Random, data: bytes) -> Stream:
    """Somewhere in the data set: what the cleaner makes of it is not asked here, only that nothing breaks."""
    return ASSOCIATE, wire.store(with_length(rng, data, rng.randrange(len(data) - 4), "<")) + wire.RELEASE


def pdu_type(rng: random.Random, data: bytes) -> Stream:
    said = conversation(rng, data)
    at = rng.randrange(len(said))
    said[at] = bytes([rng.randrange(256)]) + said[at][1:]
    return ASSOCIATE, b"".join(said)


def truncated(rng: random.Random, data: bytes) -> Stream:
    said = b"".join(conversation(rng, data))
    return ASSOCIATE, said[: rng.randrange(len(said))]


def disordered(rng: random.Random, data: bytes) -> Stream:
    said = conversation(rng, data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(said))
        rng.choice((lambda at=at: said.pop(at), lambda at=at: said.insert(rng.randrange(len(said)), said[at])))()
        if not said:
            break
    if rng.random() < 0.5:
        rng.shuffle(said)
    return ASSOCIATE, b"".join(said)


def interleaved(rng: random.Random, data: bytes) -> Stream:
    """PDVs of two messages on two contexts, in one order that keeps each message's own."""
    queues = [[(number, *pdv) for pdv in _pdvs(rng, data)] for number in (1, 3)]
    said: list[bytes] = []
    while any(queues):
        context, control, payload = rng.choice([queue for queue in queues if queue]).pop(0)
        said.append(wire.pdv(context, control, payload))
    return ASSOCIATE, b"".join(wire.pdu(4, pdv) for pdv in said) + wire.RELEASE


def confused(rng: random.Random, data: bytes) -> Stream:
    """Commands that say they are data sets and the other way round, contexts that nobody agreed on, any control byte."""
    said = []
    for control, payload in _pdvs(rng, data):
        context = rng.choice((1, 1, 1, 3, 0, 2, 255))
        said.append(wire.pdv(context, rng.choice((control, control ^ 1, control ^ 2, rng.randrange(256))), payload))
    return ASSOCIATE, b"".join(wire.pdu(4, pdv) for pdv in said) + wire.RELEASE


def other_requests(rng: random.Random, data: bytes) -> Stream:
    kind = rng.choice((wire.ECHO_RQ, wire.FIND_RQ, wire.ACTION_RQ, 0x0010, 0x0021, 0x0FFF, 0x8001, rng.getrandbits(16)))
    flag = rng.choice((wire.DATA_SET, wire.NO_DATA_SET, 0x1234))
    rq = wire.request(kind, sop_class=rng.choice((wire.CT, wire.VERIFICATION, "1.2.3", "")), data_set=flag)
    said = b"".join(wire.fragments(rng.choice((1, 3)), 1, rq, 4096))
    if rng.random() < 0.5:
        said += b"".join(wire.fragments(1, 0, data, 16384))
    return ASSOCIATE, said + b"".join(conversation(rng, data))


def odd_commands(rng: random.Random, data: bytes) -> Stream:
    elements = {0x0002: wire.CT.encode(), 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0800: b"\0\0", 0x1000: b"2.25.9"}
    for _ in range(rng.randint(1, 3)):
        number = rng.choice((*elements, rng.getrandbits(16)))
        elements[number] = rng.randbytes(rng.choice((0, 1, 2, 4, 64, 300, 20000)))
        if rng.random() < 0.4:
            del elements[number]
    said = b"".join(wire.fragments(1, 1, wire.command(elements), 16384))
    return ASSOCIATE, said + b"".join(wire.fragments(1, 0, data, 16384)) + wire.RELEASE


def negotiation(rng: random.Random, data: bytes) -> Stream:
    asked = flipped(rng, ASSOCIATE) if rng.random() < 0.6 else with_length(rng, ASSOCIATE, rng.choice((2, 74, 97, 100)))
    return asked, b"".join(conversation(rng, data))


def garbage(rng: random.Random, data: bytes) -> Stream:
    raw = rng.randbytes(rng.choice((1, 6, 100, 5000)))
    return (raw, b"") if rng.random() < 0.5 else (ASSOCIATE, raw)


KINDS: Final[Sequence[Kind]] = (
    bits, pdu_length, pdv_length, command_length, element_length, pdu_type, truncated, disordered, interleaved, confused,
    other_requests, odd_commands, negotiation, garbage,
)  # fmt: skip


def stream(seed: str, data: bytes) -> tuple[str, Stream]:
    """The kind and the stream of one seed; `data`: a well-formed data set."""
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    return kind.__name__, kind(rng, data)


def _pdvs(rng: random.Random, data: bytes) -> list[tuple[int, bytes]]:
    """Control byte and payload of one message's fragments."""
    found = []
    for bit, payload in ((1, wire.request()), (0, data)):
        step = rng.choice((50, 1000, 16000))
        pieces = [payload[at : at + step] for at in range(0, len(payload), step)]
        found += [(bit | (2 if n == len(pieces) - 1 else 0), piece) for n, piece in enumerate(pieces)]
    return found
