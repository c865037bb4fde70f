"""The lean path in a running server: what it takes, what it leaves to pynetdicom, and how it ends what cannot go on."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts

from gateway.dicom import lean, server
from gateway.dicom.server import Incoming, Limits
from gateway.errors import Retry
from tests.dicom import wire
from tests.dicom.serving import Serving, eventually, serving

ABORT = 7
PRIVATE = "1.3.12.2.1107.5.9.1"
RETIRED = tuple(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("3", "5", "6", "8", "9", "10", "11", "12.3"))
DATA = bytes(range(256)) * 40


@pytest.fixture(params=[True, False], ids=["lean", "pynetdicom"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both paths, and that it really is the one."""
    if request.param:
        monkeypatch.delattr(server, "from_event")
    else:
        monkeypatch.setattr(lean, "available", lambda: False)
    return bool(request.param)


def is_answered(rig: Serving, instance: str = "2.25.7") -> bool:
    with wire.associate(rig.port) as sock:
        sock.sendall(wire.store(DATA, instance=instance))
        return wire.status(sock) == 0


def test_stores_echoes_and_releases(either: bool) -> None:
    with serving() as rig:
        with wire.associate(rig.port) as sock:
            for number in (1, 2):
                sock.sendall(wire.store(DATA, instance=f"2.25.{number}", number=number) + wire.echo(number=9))
                assert wire.parsed(wire.read_pdu(sock)[1])[0x0120] == struct.pack("<H", number)
                assert wire.status(sock) == 0
            sock.sendall(wire.RELEASE)
            assert wire.read_pdu(sock)[0] == 6 and wire.read_pdu(sock)[0] == 0
        assert eventually(lambda: rig.associations() == 0)
    assert [(i.SOPInstanceUID, i.sop_class, i.transfer_syntax, data) for i, data in rig.got] == [
        (f"2.25.{number}", wire.CT, wire.EXPLICIT, DATA) for number in (1, 2)
    ]


@pytest.mark.parametrize("longest", [8, 16, 100, 16384, 131072])
def test_fragments_of_any_size(either: bool, longest: int) -> None:
    with serving() as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.store(DATA, longest=longest))
        assert wire.status(sock) == 0
    assert rig.got[0][1] == DATA


def test_single_bytes() -> None:
    with serving() as rig, wire.associate(rig.port) as sock:
        for byte in wire.store(DATA[:500], longest=64):
            sock.send(bytes([byte]))
        assert wire.status(sock) == 0
    assert rig.got[0][1] == DATA[:500]


def test_each_storage_class_is_stored_as_it_came(either: bool) -> None:
    """More than one association can propose (PS3.8 9.3.2: 128 contexts), retired and private ones with them."""
    standard = [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts]
    classes = list(dict.fromkeys([*standard, *RETIRED, PRIVATE]))
    assert len(classes) > 128
    with serving() as rig:
        for at in range(0, len(classes), 128):
            some = classes[at : at + 128]
            with wire.associate(rig.port, [(uid, (wire.EXPLICIT,)) for uid in some]) as sock:
                for number, uid in enumerate(some):
                    sock.sendall(wire.store(uid.encode(), context=2 * number + 1, sop_class=uid))
                    assert wire.status(sock) == 0, uid
    assert {(i.sop_class, data.decode()) for i, data in rig.got} == {(uid, uid) for uid in classes}


def test_each_transfer_syntax_is_stored_as_it_came(either: bool) -> None:
    syntaxes = [str(uid) for uid in AllTransferSyntaxes] + ["1.2.3.4.5"]
    with serving() as rig, wire.associate(rig.port, [(wire.CT, (uid,)) for uid in syntaxes]) as sock:
        for number, uid in enumerate(syntaxes):
            sock.sendall(wire.store(uid.encode(), context=2 * number + 1))
            assert wire.status(sock) == 0, uid
    assert [(i.transfer_syntax, data.decode()) for i, data in rig.got] == [(uid, uid) for uid in syntaxes]


@pytest.mark.parametrize("sop_class", [wire.VERIFICATION, "1.2.840.10008.5.1.4.31", "not a uid"])
def test_a_store_of_no_storage_class_is_refused_and_goes_on(sop_class: str) -> None:
    with serving() as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.store(DATA, sop_class=sop_class))
        assert wire.status(sock) == 0x0122
        sock.sendall(wire.store(DATA))
        assert wire.status(sock) == 0
    assert len(rig.got) == 1


def test_without_a_data_set_it_is_what_the_store_says(either: bool) -> None:
    with serving() as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.pdu(4, wire.pdv(1, 3, wire.request(data_set=wire.NO_DATA_SET))))
        assert wire.status(sock) == 0
    assert [data for _, data in rig.got] == [b""]


def test_no_room_is_told_and_the_association_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object) -> bytes:
        raise Retry("receive.no-room", charge=False)

    with serving() as rig, wire.associate(rig.port) as sock:
        with monkeypatch.context() as patched:
            patched.setattr("gateway.dicom.gather.Gathering.done", full)
            sock.sendall(wire.store(DATA))
            assert wire.status(sock) == 0xA700
        sock.sendall(wire.store(DATA))
        assert wire.status(sock) == 0


UNEXPECTED = wire.command({2: wire.CT.encode(), 0x100: b"\1\x80", 0x120: b"\1\0", 0x800: b"\1\1", 0x900: b"\0\0"})


def test_what_is_not_ours_is_pynetdicoms_and_so_is_the_rest() -> None:
    """It ignores a response that nobody asked for; what comes behind it in the same PDU, and later, is stored all the same."""
    echo = wire.pdv(3, 3, wire.request(wire.ECHO_RQ, sop_class=wire.VERIFICATION, data_set=wire.NO_DATA_SET))
    with serving() as rig, wire.associate(rig.port) as sock:
        for number in (1, 2):
            sock.sendall(wire.pdu(4, wire.pdv(1, 3, UNEXPECTED)) + wire.store(DATA, instance=f"2.25.{number}"))
            assert wire.status(sock) == 0
        sock.sendall(wire.pdu(4, echo))
        assert wire.status(sock) == 0
        sock.sendall(wire.RELEASE)
        assert wire.read_pdu(sock)[0] == 6
    assert [(i.SOPInstanceUID, data) for i, data in rig.got] == [("2.25.1", DATA), ("2.25.2", DATA)]


def test_a_message_without_end_that_pynetdicom_gathers_ends() -> None:
    with serving() as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.pdu(4, wire.pdv(1, 3, wire.request(wire.FIND_RQ))))
        piece = wire.pdu(4, wire.pdv(1, 0, bytes(120000)))
        with pytest.raises(ConnectionError):  # noqa: PT012  which of them finds it closed cannot be told
            for _ in range(1000):
                sock.sendall(piece)
        assert is_answered(rig)


STORE = wire.request()
HOSTILE = {
    "unknown PDU": wire.pdu(9, b"x" * 20),
    "a second A-ASSOCIATE-RQ": wire.associate_rq(),
    "PDU of 4 GB": struct.pack(">BxI", 4, 0xFFFFFFFF),
    "control PDU of 4 GB": struct.pack(">BxI", 5, 0xFFFFFFFF),
    "PDV of 4 GB": wire.pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3)),
    "PDV longer than its PDU": wire.pdu(4, struct.pack(">IBB", 100, 1, 3) + b"x"),
    "PDU longer than announced": wire.pdu(4, wire.pdv(1, 1, bytes(131072 + 20))),
    "empty PDU": wire.pdu(4, b""),
    "no such context": wire.pdu(4, wire.pdv(99, 3, STORE)),
    "data set without command": wire.pdu(4, wire.pdv(1, 2, DATA)),
    "two messages interleaved": wire.pdu(4, wire.pdv(1, 3, STORE) + wire.pdv(1, 0, b"a") + wire.pdv(3, 3, STORE)),
    "data set of another context": wire.pdu(4, wire.pdv(1, 3, STORE) + wire.pdv(3, 2, b"a")),
    "command that is none": wire.pdu(4, wire.pdv(1, 3, b"\xff" * 100)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_go_on_ends_while_others_do_not_notice(what: str) -> None:
    with serving() as rig, wire.associate(rig.port) as other, wire.associate(rig.port) as sock:
        sock.sendall(HOSTILE[what])
        assert wire.read_pdu(sock)[0] in (ABORT, 0)
        other.sendall(wire.store(DATA))
        assert wire.status(other) == 0
        assert eventually(lambda: rig.associations() == 1)
    assert len(rig.got) == 1


def ends_within(sock: socket.socket, seconds: float) -> bool:
    started = time.monotonic()
    while wire.read_pdu(sock)[0] not in (ABORT, 0):
        pass
    return time.monotonic() - started < seconds


@pytest.mark.parametrize("begun", [b"", wire.pdu(4, wire.pdv(1, 3, STORE)), wire.store(DATA)[:-1], b"\4"])
def test_silence_ends_by_its_deadline(begun: bytes) -> None:
    limits = Limits(pdu=0.5, idle=0.7, drain=2)
    with serving(limits=limits) as rig, wire.associate(rig.port) as sock:
        sock.sendall(begun)
        assert ends_within(sock, 5)
        assert eventually(lambda: rig.associations() == 0)
    assert not rig.got


def test_a_pdu_that_trickles_in_ends_by_its_deadline() -> None:
    with serving(limits=Limits(pdu=0.6, idle=60, drain=2)) as rig, wire.associate(rig.port) as sock:
        sock.settimeout(0.1)
        started = time.monotonic()
        assert all(still_open(sock, byte) for byte in wire.store(DATA)[:3])
        assert not all(still_open(sock, byte) for byte in wire.store(DATA)[3:100])
        assert time.monotonic() - started < 8


def still_open(sock: socket.socket, byte: int) -> bool:
    """After one more byte, and 0.1 seconds."""
    try:
        sock.send(bytes([byte]))
        return sock.recv(100) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_a_long_store_is_no_silence() -> None:
    waited = threading.Event()

    def slow(incoming: Incoming) -> int:
        waited.wait(0.7)
        return 0

    with serving(slow, limits=Limits(pdu=0.3, idle=0.5, drain=2)) as rig, wire.associate(rig.port) as sock:
        for _ in range(2):
            sock.sendall(wire.store(DATA))
            assert wire.status(sock) == 0


def test_stopping_ends_what_is_silent_at_once_and_lets_an_instance_arrive() -> None:
    with serving(limits=Limits(drain=20)) as rig, wire.associate(rig.port) as idle, wire.associate(rig.port) as busy:
        message = wire.store(DATA, longest=256)
        busy.sendall(message[:3000])
        assert eventually(lambda: rig.associations() == 2)
        rig.stop.set()
        assert wire.read_pdu(idle)[0] == ABORT
        busy.sendall(message[3000:])
        assert wire.status(busy) == 0
        assert wire.read_pdu(busy)[0] == ABORT
        rig.thread.join(5)
        assert not rig.thread.is_alive()
    assert [data for _, data in rig.got] == [DATA]


def test_stopping_gives_an_instance_no_more_than_its_time() -> None:
    with serving(limits=Limits(drain=0.5)) as rig, wire.associate(rig.port) as busy:
        busy.sendall(wire.store(DATA)[:3000])
        assert eventually(lambda: rig.associations() == 1)
        rig.stop.set()
        assert ends_within(busy, 5)
    assert not rig.got


def test_a_peer_that_hangs_up_in_the_middle_leaves_nothing() -> None:
    with serving() as rig:
        for size in (3, 20, 200, 2000):
            sock = wire.associate(rig.port)
            sock.sendall(wire.store(DATA)[:size])
            sock.close()
        assert eventually(lambda: rig.associations() == 0)
        assert is_answered(rig)
    assert len(rig.got) == 1


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), KeyError("x"), RecursionError()])
def test_a_mistake_of_ours_costs_one_instance(mistake: Exception) -> None:
    def breaks(incoming: Incoming) -> int:
        if incoming.SOPInstanceUID.endswith(".1"):
            raise mistake
        return 0

    with serving(breaks) as rig, wire.associate(rig.port) as sock:
        for instance, status in (("2.25.1", 0xC211), ("2.25.2", 0)):
            sock.sendall(wire.store(DATA, instance=instance))
            assert wire.status(sock) == status


def test_a_peer_that_takes_tiny_pdus_gets_its_answer_in_tiny_pdus() -> None:
    with serving() as rig, socket.create_connection(("127.0.0.1", rig.port), timeout=5) as sock:
        sock.sendall(wire.associate_rq(longest=40))
        assert wire.read_pdu(sock)[0] == 2
        sock.sendall(wire.store(DATA))
        command, control = b"", 0
        while not control & 2:
            kind, body = wire.read_pdu(sock)
            assert kind == 4 and len(body) <= 40
            command, control = command + body[6:], body[5]
        assert wire.parsed(b"\0" * 6 + command)[0x0900] == b"\0\0"
