"""Requests out of fragments, and what a peer may not do; the responses beside pynetdicom's own."""

from __future__ import annotations

import io
import struct

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_messages import _MESSAGE_TYPES, C_ECHO_RSP, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from gateway.dicom.dimse import KNOWN, LONGEST_COMMAND, Context, Messages, Request, Stored, parse, response, text
from gateway.dicom.pdu import Fragment, Violation
from tests.dicom import wire

STORING, ECHOING = Context(wire.CT, wire.EXPLICIT), Context(wire.VERIFICATION, wire.IMPLICIT)
CONTEXTS = {1: STORING, 3: ECHOING, 5: STORING}


class Heap:
    """A Gathering in memory."""

    def __init__(self, context: Context) -> None:
        self.context, self.got, self.closed = context, b"", 0

    def add(self, view: memoryview) -> None:
        self.got += view

    def done(self) -> bytes:
        return self.got

    def close(self) -> None:
        self.closed += 1


def command(raw: bytes, context: int = 1, *, ends: bool = True) -> Fragment:
    return Fragment(context, True, memoryview(raw), ends)


def data(raw: bytes, context: int = 1, *, ends: bool = True) -> Fragment:
    return Fragment(context, False, memoryview(raw), ends)


def test_a_store_is_whole_with_its_data_set() -> None:
    messages = Messages(CONTEXTS, Heap)
    rq = wire.request(number=513)
    assert messages.take(command(rq[:20], ends=False)) is None and not messages.between
    assert messages.take(command(rq[20:])) is None and not messages.between
    assert messages.take(data(b"da", ends=False)) is None
    stored = messages.take(data(b"ta"))
    assert isinstance(stored, Stored) and messages.between
    assert isinstance(stored.gathered, Heap) and (stored.gathered.got, stored.gathered.context) == (b"data", STORING)
    request = stored.request
    assert (request.context_id, request.message_id, request.is_store, request.is_echo) == (1, 513, True, False)
    assert (text(request.sop_class), text(request.sop_instance)) == (wire.CT, "2.25.7")
    assert "2.25.7" not in repr(stored)


def test_a_store_without_a_data_set_is_whole_at_once() -> None:
    messages = Messages(CONTEXTS, Heap)
    stored = messages.take(command(wire.request(data_set=wire.NO_DATA_SET)))
    assert isinstance(stored, Stored) and stored.gathered.done() == b"" and messages.between


@pytest.mark.parametrize("kind", [wire.ECHO_RQ, wire.ACTION_RQ, wire.FIND_RQ, 0x8001, 0x0FFF, 0x8110])
@pytest.mark.parametrize("data_set", [wire.NO_DATA_SET, wire.DATA_SET])
def test_other_requests_are_told_by_their_command(kind: int, data_set: int) -> None:
    """What follows them is not ours to gather."""
    messages = Messages(CONTEXTS, Heap)
    raw = wire.request(kind, sop_class=wire.VERIFICATION, data_set=data_set)
    request = messages.take(command(raw, 3))
    assert isinstance(request, Request) and request.raw == raw and messages.between
    assert request.is_echo == (kind == wire.ECHO_RQ and data_set == wire.NO_DATA_SET)


def test_an_echo_of_another_class_is_none() -> None:
    request = Messages(CONTEXTS, Heap).take(command(wire.request(wire.ECHO_RQ, data_set=wire.NO_DATA_SET), 3))
    assert isinstance(request, Request) and not request.is_echo


STORE = wire.request()
BROKEN = {
    "data set without command": ([data(b"x")], "data-set.without-command"),
    "data set of another context": ([command(STORE), data(b"x", 5)], "message.interleaved"),
    "command inside a data set": ([command(STORE), data(b"x", ends=False), command(STORE)], "message.interleaved"),
    "command of another context inside a data set": ([command(STORE), command(STORE, 5)], "message.interleaved"),
    "command inside a command": ([command(STORE[:9], ends=False), command(STORE, 5)], "message.interleaved"),
    "data set inside a command": ([command(STORE[:9], ends=False), data(b"x")], "data-set.without-command"),
    "a second data set": ([command(STORE), data(b"x"), data(b"y")], "data-set.without-command"),
    "no such context": ([command(STORE, 7)], "context.not-accepted"),
    "an even context": ([command(STORE, 2)], "context.not-accepted"),
    "endless command": ([command(bytes(LONGEST_COMMAND), ends=False), command(b"x")], "command.too-long"),
    "empty command": ([command(b"")], "command.incomplete"),
    "not a command at all": ([command(b"garbage that is long enough")], "command.malformed"),
    "cut off": ([command(STORE[:-3])], "command.malformed"),
    "cut off in a header": ([command(STORE + b"\0\0\0")], "command.cut-off"),
    "a length of 4 GB": ([command(struct.pack("<HHI", 0, 2, 0xFFFFFFFF) + b"1.2")], "command.malformed"),
    "an element of another group": ([command(struct.pack("<HHI", 8, 0x18, 2) + b"1\0")], "command.malformed"),
    "unknown command": ([command(wire.request(0x0002))], "command.unknown"),
    "no instance": ([command(wire.command({2: b"1.2 ", 0x100: b"\1\0", 0x110: b"\1\0", 0x800: b"\0\0"}))],
                    "command.incomplete"),
    "no data set type": ([command(wire.command({2: b"1.2 ", 0x100: b"\1\0", 0x110: b"\1\0"}))], "command.incomplete"),
    "a word of four bytes": ([command(wire.command({2: b"1.2 ", 0x100: b"\1\0\0\0", 0x800: b"\0\0"}))],
                             "command.incomplete"),
    "a UID without end": ([command(wire.request(instance="1." * 200))], "command.uid"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_a_peer_may_not_do(what: str) -> None:
    fragments, reason = BROKEN[what]
    messages = Messages(CONTEXTS, Heap)
    for fragment in fragments[:-1]:
        assert messages.take(fragment) is None or fragment is fragments[1]
    with pytest.raises(Violation, match=reason):
        messages.take(fragments[-1])


def test_pynetdicom_knows_what_we_leave_to_it() -> None:
    assert set(_MESSAGE_TYPES) == KNOWN


def test_what_had_begun_is_closed() -> None:
    heaps: list[Heap] = []
    messages = Messages(CONTEXTS, lambda context: heaps.append(Heap(context)) or heaps[-1])  # type: ignore[func-returns-value]
    messages.take(command(STORE))
    messages.close()
    messages.close()
    assert [heap.closed for heap in heaps] == [1]


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0x0124, 0xC211])
@pytest.mark.parametrize("instance", ["2.25.7", "2.25.71"])
def test_a_store_is_answered_as_pynetdicom_does(status: int, instance: str) -> None:
    rsp = C_STORE()
    rsp.MessageIDBeingRespondedTo, rsp.Status = 513, status
    rsp.AffectedSOPClassUID, rsp.AffectedSOPInstanceUID = UID(wire.CT), UID(instance)
    message = C_STORE_RSP()
    message.primitive_to_message(rsp)
    assert response(parse(wire.request(number=513, instance=instance), 1, STORING), status) == encoded(message)


def test_an_echo_is_answered_as_pynetdicom_does() -> None:
    rsp = C_ECHO()
    rsp.MessageIDBeingRespondedTo, rsp.Status, rsp.AffectedSOPClassUID = 9, 0, UID(wire.VERIFICATION)
    message = C_ECHO_RSP()
    message.primitive_to_message(rsp)
    raw = wire.request(wire.ECHO_RQ, sop_class=wire.VERIFICATION, data_set=wire.NO_DATA_SET, number=9)
    assert response(parse(raw, 3, ECHOING), 0) == encoded(message)


def test_an_odd_uid_comes_back_even() -> None:
    raw = wire.command({2: b"1.2 ", 0x100: b"\1\0", 0x110: b"\1\0", 0x800: b"\0\0", 0x1000: b"2.25.7"})
    odd = raw.replace(struct.pack("<HHI", 0, 0x1000, 6) + b"2.25.7", struct.pack("<HHI", 0, 0x1000, 5) + b"2.25.")
    answer = response(parse(odd, 1, STORING), 0)
    assert answer.endswith(struct.pack("<HHI", 0, 0x1000, 6) + b"2.25.\0")


def encoded(message: C_STORE_RSP | C_ECHO_RSP) -> bytes:
    """The command set, as pynetdicom would send it."""
    out = io.BytesIO()
    for primitive in message.encode_msg(1, 16384):
        for _, value in primitive.presentation_data_value_list:
            out.write(value[1:])
    return out.getvalue()
