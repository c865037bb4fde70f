"""The stream of PDUs: any cut gives the same fragments, and no length is believed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import pytest

from gateway.dicom.pdu import SLACK, Stream, Violation, p_data
from tests.dicom import wire

LONGEST = 1000


def heard(stream: Stream, pieces: Iterable[bytes]) -> list[tuple[int, bool, bytes]]:
    """Whole commands and data sets: context, is it a command, bytes."""
    found, now = [], b""
    for piece in pieces:
        buffer = bytearray(piece)
        for fragment in stream.feed(memoryview(buffer)):
            now += fragment.view
            if fragment.ends:
                found.append((fragment.context, fragment.command, now))
                now = b""
        if not stream.foreign:
            buffer[:] = bytes(len(buffer))  # it is used again: what was not copied by now is lost
    assert not now
    return found


def message(data: bytes) -> bytes:
    """PDUs of one PDV, a PDU of three, an empty last fragment."""
    several = wire.pdu(4, wire.pdv(1, 0, data[:3]) + wire.pdv(1, 0, data[3:5]) + wire.pdv(1, 0, b""))
    rest = b"".join(wire.pdu(4, wire.pdv(1, 0, data[at : at + 40])) for at in range(5, len(data), 40))
    return wire.pdu(4, wire.pdv(1, 3, b"command")) + several + rest + wire.pdu(4, wire.pdv(1, 2, b""))


DATA = bytes(range(100))
STREAM = message(DATA) + message(DATA[::-1])
WANTED = [(1, True, b"command"), (1, False, DATA), (1, True, b"command"), (1, False, DATA[::-1])]


def test_cut_anywhere() -> None:
    for at in range(1, len(STREAM)):
        stream = Stream(LONGEST)
        assert heard(stream, (STREAM[:at], STREAM[at:])) == WANTED, at
        assert stream.between and stream.begun == 12


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 13])
def test_in_pieces_of(size: int) -> None:
    assert heard(Stream(LONGEST), (STREAM[at : at + size] for at in range(0, len(STREAM), size))) == WANTED


@pytest.mark.parametrize("kind", [5, 7, 1, 0, 255])
def test_another_pdu_is_left_whole(kind: int) -> None:
    whole = STREAM + wire.pdu(kind, b"four") + b"and more"
    for at in range(1, len(whole)):
        stream = Stream(LONGEST)
        pieces = iter((whole[:at], whole[at:]))
        assert heard(stream, until_foreign(stream, pieces)) == WANTED
        assert stream.rest() + b"".join(pieces) == wire.pdu(kind, b"four") + b"and more", at


def until_foreign(stream: Stream, pieces: Iterator[bytes]) -> Iterator[bytes]:
    while not stream.foreign:
        yield next(pieces)


def test_what_is_left_of_a_pdu_goes_on_under_a_header_of_its_own() -> None:
    data = wire.pdu(4, wire.pdv(1, 3, b"command") + wire.pdv(1, 2, b"data")) + b"next"
    stream = Stream(LONGEST)
    fragments = stream.feed(memoryview(data))
    assert bytes(next(fragments).view) == b"command"
    assert stream.rest() == wire.pdu(4, wire.pdv(1, 2, b"data")) + b"next"


def test_says_when_a_pdu_is_under_way() -> None:
    stream = Stream(LONGEST)
    assert stream.between
    for at in range(len(STREAM)):
        heard_of = list(stream.feed(memoryview(STREAM[at : at + 1])))
        assert stream.between == (at + 1 in ends()), (at, heard_of)


def ends() -> set[int]:
    at, found = 0, set()
    while at < len(STREAM):
        at += 6 + struct.unpack_from(">I", STREAM, at + 2)[0]
        found.add(at)
    return found


@pytest.mark.parametrize(
    ("stream", "reason"),
    [(struct.pack(">BxI", 4, 0xFFFFFFFF), "pdu.too-long"),
     (struct.pack(">BxI", 4, LONGEST + SLACK + 1), "pdu.too-long"),
     (struct.pack(">BxI", 4, 0), "pdu.empty"),
     (struct.pack(">BxI", 4, 5), "pdu.empty"),
     (wire.pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3)), "pdv.length"),
     (wire.pdu(4, struct.pack(">IBB", 1, 1, 3)), "pdv.length"),
     (wire.pdu(4, struct.pack(">IBB", 0, 1, 3) + b"xxxx"), "pdv.length"),
     (wire.pdu(4, struct.pack(">IBB", 7, 1, 3) + b"four"), "pdv.length"),
     (wire.pdu(4, wire.pdv(1, 3, b"ok") + b"12345"), "pdv.cut-off")],
)  # fmt: skip
def test_no_length_is_believed(stream: bytes, reason: str) -> None:
    for size in (1, len(stream)):
        with pytest.raises(Violation, match=reason):
            heard(Stream(LONGEST), (stream[at : at + size] for at in range(0, len(stream), size)))


def test_the_announced_length_and_a_little_more_are_taken() -> None:
    """Some senders do not count the PDV's header."""
    body = wire.pdv(1, 2, bytes(LONGEST + SLACK - 6))
    assert heard(Stream(LONGEST), [wire.pdu(4, body)]) == [(1, False, bytes(LONGEST + SLACK - 6))]


@pytest.mark.parametrize("longest", [0, 7, 10, 106, 107, 5000])
def test_a_command_in_pdus_that_the_peer_takes(longest: int) -> None:
    command = bytes(range(101))
    raw = p_data(5, command=command, longest=longest)
    assert heard(Stream(LONGEST), [raw]) == [(5, True, command)]
    at = 0
    while at < len(raw):
        length = struct.unpack_from(">I", raw, at + 2)[0]
        assert length <= (longest or LONGEST)
        at += 6 + length
