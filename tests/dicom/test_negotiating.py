"""What a peer says at the beginning besides what it asks for or grants: skipped, not tested, or only told (PS3.8 9.3.2, 9.3.3)."""

from __future__ import annotations

import socket
import struct

import pytest

from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier
from gateway.dicom.negotiating import FIXED, plain
from tests.dicom import wire
from tests.dicom.serving import OURS, serving
from tests.dicom.wire import item
from tests.support import raw_pacs
from tests.support.process import HOST
from tests.support.raw_pacs import RawPacs, associate_ac

QUESTION = identifier("STUDY", {"AccessionNumber": "A1"})
TOLD = {
    "an item of the user's that nobody knows": item(0x5A, b"abc"),
    "a version name with NULs": item(0x55, b"VERS_1\0\0"),
    "a version name that is too long": item(0x55, b"A_VERSION_OF_TWENTY_"),
    "a version name outside ASCII": item(0x55, "München".encode("latin-1")),
    "a window": item(0x53, struct.pack(">HH", 0, 0)),
    "a user": item(0x58, b"\2\1" + struct.pack(">H4sH4s", 4, b"user", 4, b"word")),
    "a user of a type to come": item(0x58, b"\7\1" + struct.pack(">H4sH", 4, b"user", 0)),
    "extended negotiation": item(0x56, struct.pack(">H", len(wire.CT)) + wire.CT.encode() + b"\2\0\0\0\1\1"),
    "its service": item(0x57, struct.pack(">H", len(wire.CT)) + wire.CT.encode() + struct.pack(">H3sH", 3, b"1.2", 0)),
}


def with_user_item(pdu: bytes, told: bytes) -> bytes:
    """The user information is the last item."""
    at = pdu.rindex(item(0x51, struct.pack(">I", 16384))) - 2
    length = struct.unpack_from(">H", pdu, at)[0] + len(told)
    return wire.pdu(pdu[0], pdu[6:at] + struct.pack(">H", length) + pdu[at + 2 :] + told)


def changed(pdu: bytes, at: int, value: bytes) -> bytes:
    return pdu[:at] + value + pdu[at + len(value) :]


def is_served(proposal: bytes, contexts: int = 2) -> bool:
    """Accepted, with so many contexts, and a C-STORE is taken."""
    with serving() as rig, socket.create_connection((HOST, rig.port), timeout=5) as sock:
        sock.sendall(proposal)
        kind, body = wire.read_pdu(sock)
        assert kind == 2 and len(wire.accepted(body)[0]) == contexts
        sock.sendall(wire.store(b"data"))
        return wire.status(sock) == 0x0000 and [i.calling_ae for i, _ in rig.got] == ["MODALITY"]


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD.keys())
def test_who_stores_may_tell_more(told: bytes) -> None:
    assert is_served(with_user_item(wire.associate_rq(), told))


@pytest.mark.parametrize(
    ("at", "value"),
    [(7, b"\3"), (10, OURS.encode().ljust(16, b"\0")), (26, b"MODALITY\0garbage"), (42, b"\xff" * 32)],
    ids=["two versions of the protocol", "an AE title with NULs", "a string of C's", "reserved"],
)
def test_who_stores_may_begin_oddly(at: int, value: bytes) -> None:
    assert is_served(changed(wire.associate_rq(), at, value))


@pytest.mark.parametrize(
    "context", [b"\x05\0\0\0" + item(0x30, wire.CT.encode()), b"\x06\0\0\0" + item(0x30, b"1.2") + item(0x40, b"1.2")]
)
def test_a_context_that_is_none_takes_nothing_from_the_others(context: bytes) -> None:
    whole = wire.associate_rq()
    assert is_served(wire.pdu(1, whole[6:] + item(0x20, context) + item(0x60, b"and what is no item")))


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD.keys())
def test_a_pacs_may_tell_more(told: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_pacs, "associate_ac", lambda proposal: with_user_item(associate_ac(proposal), told))
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH") as scu:
        assert scu.find(QUESTION, row_cap=1) == []


def test_what_a_pacs_says_of_a_context_that_it_refuses_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(proposal: bytes) -> bytes:
        whole = associate_ac(proposal)
        at = whole.index(item(0x21, b"\3\0\0\0")[4:], FIXED)  # the C-MOVE's
        length = struct.unpack_from(">H", whole, at + 6)[0]
        return changed(whole, at, b"\3\0\4\0\x40\0" + struct.pack(">H", length) + b"\xff" * length)

    monkeypatch.setattr(raw_pacs, "associate_ac", answer)
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH") as scu:
        assert scu.find(QUESTION, row_cap=1) == []
        assert len(scu.open().accepted_contexts) == 2


@pytest.mark.parametrize("cut", [3, FIXED - 1, FIXED + 1, FIXED + 30, -3])
def test_what_is_cut_off_is_pynetdicoms(cut: int) -> None:
    whole = bytearray(wire.associate_rq())
    assert plain(whole) == whole
    assert plain(whole[:cut]) == whole[:cut]
    assert plain(bytearray(wire.RELEASE)) == wire.RELEASE
    assert plain(whole + item(0x20, b"")) == whole + item(0x20, b"")
