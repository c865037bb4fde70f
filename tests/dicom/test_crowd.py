"""Too many peers, peers that do not read, do not speak or speak nonsense: each ends by deadline or answer, others go on."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections import Counter

import pytest
from structlog.testing import capture_logs

from gateway.dicom.incoming import Limits
from gateway.dicom.turnstile import Turnstile
from tests.dicom import wire
from tests.dicom.serving import associate_pdu, dcmtk, eventually, serving
from tests.dicom.test_lean import UNEXPECTED
from tests.dicom.test_server import sample
from tests.support.process import HOST

LIMIT = b"\0\2\3\2"
HOSTILE = ("../../../etc/x", "A\nINJECTED=1", "\x1b[31mRED", "'; DROP TABLE", "${jndi:x}", "\x00\x01\x02", "é\x85 %s%n")


def answer(sock: socket.socket) -> tuple[int, bytes]:
    """Kind of the PDU that comes, and the codes of a rejection."""
    kind, body = wire.read_pdu(sock)
    return kind, body if kind == 3 else b""


def test_of_five_hundred_at_once_as_many_as_allowed_are_served_and_all_others_told_to_come_again() -> None:
    with serving(most=32, limits=Limits(acse=60, drain=2)) as rig, contextlib.ExitStack() as crowd:
        before = wire.associate(rig.port)
        crowd.enter_context(before)
        socks = [crowd.enter_context(socket.create_connection((HOST, rig.port), timeout=60)) for _ in range(500)]
        for sock in socks:
            sock.sendall(wire.associate_rq())
        answers = [answer(sock) for sock in socks]
        assert Counter(answers) == {(2, b""): 31, (3, LIMIT): 469}
        served = [sock for sock, (kind, _) in zip(socks, answers, strict=True) if kind == 2]
        for sock in (before, *served):
            sock.sendall(wire.store(bytes(100)))
            assert wire.status(sock) == 0
        assert rig.rejected("limit") + rig.rejected("connections") == 469
        for sock in socks:
            sock.close()
        assert eventually(lambda: rig.associations() == 1)
        assert dcmtk("echoscu", rig.port).returncode == 0


def test_who_is_turned_away_in_tiny_pieces_or_speaks_something_else() -> None:
    with serving(most=1, limits=Limits(acse=2, drain=2)) as rig, contextlib.ExitStack() as crowd:
        held = [crowd.enter_context(socket.create_connection((HOST, rig.port), timeout=20)) for _ in range(20)]
        late = [crowd.enter_context(socket.create_connection((HOST, rig.port), timeout=20)) for _ in range(4)]
        pieces, foreign, gone, _ = late
        request = wire.associate_rq()
        for at in range(0, len(request), 40):
            pieces.sendall(request[at : at + 40])
        assert answer(pieces) == (3, LIMIT)
        foreign.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert wire.read_pdu(foreign) == (0, b"")
        gone.close()
        for sock in (late[3], *held):  # silent ones end by deadline, inside and at the turnstile
            assert wire.read_pdu(sock) == (0, b"")
        assert eventually(lambda: dcmtk("echoscu", rig.port).returncode == 0)


def test_the_turnstile_is_bounded_and_hangs_up_at_the_end() -> None:
    turnstile = Turnstile(b"no", most=1, seconds=30)
    pairs = [socket.socketpair() for _ in range(2)]
    for ours, _ in pairs:
        turnstile.take(ours)
    assert pairs[1][1].recv(1) == b""
    turnstile.close()
    assert pairs[0][1].recv(1) == b""
    for _, theirs in pairs:
        theirs.close()


def test_a_peer_that_does_not_read_ends_by_deadline_while_others_go_on() -> None:
    """Its answers pile up until its window and our buffer are full."""
    with serving(limits=Limits(pdu=1.0, idle=2.0, drain=2)) as rig, wire.associate(rig.port, timeout=30) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        echoes = wire.echo() * 2000
        with contextlib.suppress(OSError):
            while True:
                deaf.sendall(echoes)
        assert eventually(lambda: rig.associations() == 0, 20)
        assert dcmtk("echoscu", rig.port).returncode == 0


def test_an_idle_association_ends_by_deadline() -> None:
    with serving(limits=Limits(idle=0.5, drain=2)) as rig:
        with wire.associate(rig.port, timeout=20) as idle:
            assert wire.read_pdu(idle)[0] in (0, 7)
        with wire.associate(rig.port, timeout=20) as used:  # after an echo too, and after a request of pynetdicom's
            used.sendall(wire.echo())
            assert wire.status(used) == 0
            assert wire.read_pdu(used)[0] in (0, 7)
        assert eventually(lambda: rig.associations() == 0)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_peer_calls_itself_or_its_instances_is_logged(text: str) -> None:
    raw = text.encode("latin-1")
    with capture_logs() as logs, serving() as rig:
        for calling, called in ((text, "RESEARCH"), ("MODALITY", text), ("STRANGER", text)):
            with socket.create_connection((HOST, rig.port), timeout=20) as sock:
                request = bytearray(associate_pdu("X", "X"))
                request[10:26] = called.encode("latin-1")[:16].ljust(16)
                request[26:42] = calling.encode("latin-1")[:16].ljust(16)
                sock.sendall(request)
                assert wire.read_pdu(sock)[0] in (2, 3, 7, 0)
        with wire.associate(rig.port) as sock:
            sock.sendall(wire.store(raw * 5, instance=text))
            assert wire.read_pdu(sock)[0] in (4, 7)
        assert dcmtk("echoscu", rig.port).returncode == 0
    assert text[:12] not in repr([{k: str(v) for k, v in line.items()} for line in logs])
    assert not [line for line in logs if any(text[:6] in str(value) for value in line.values())]


def test_who_calls_from_nowhere_near_a_peer_is_told_at_once_and_takes_no_room() -> None:
    with serving(most=1, strangers=frozenset({"127.0.0.2"})) as rig, contextlib.ExitStack() as crowd:
        begun = [
            crowd.enter_context(socket.create_connection((HOST, rig.port), 20, ("127.0.0.2", 0))) for _ in range(40)
        ]
        for sock in begun:
            sock.sendall(b"\1\0\0\0\1\0x")  # a request that never goes on
        assert eventually(lambda: rig.rejected("calling-ae") == 40)
        whole = crowd.enter_context(socket.create_connection((HOST, rig.port), 20, ("127.0.0.2", 0)))
        whole.sendall(wire.associate_rq())
        assert answer(whole) == (3, b"\0\1\1\3")
        assert dcmtk("echoscu", rig.port).returncode == 0


def test_whose_host_name_cannot_be_resolved_is_told_to_come_again() -> None:
    with serving() as rig, socket.create_connection((HOST, rig.port), 20) as sock:
        sock.sendall(wire.associate_rq(calling="UNRESOLVED"))
        assert answer(sock) == (3, b"\0\2\3\2")
        assert rig.rejected("unresolved") == 1


@pytest.mark.catalogue("O6")
def test_a_load_balancer_that_looks_whether_the_port_is_open_is_nobody_who_was_rejected() -> None:
    with serving(strangers=frozenset({"127.0.0.2"})) as rig:
        for _ in range(20):
            socket.create_connection((HOST, rig.port), 20, ("127.0.0.2", 0)).close()
        with socket.create_connection((HOST, rig.port), 20, ("127.0.0.2", 0)) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(1) == b""
        assert eventually(lambda: rig.rejected("calling-ae") == 1)
        assert dcmtk("echoscu", rig.port).returncode == 0
        assert rig.rejected("calling-ae") == 1


def test_without_a_descriptor_left_the_one_who_accepts_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def none_left(_: object) -> None:
        tries.append(time.monotonic())
        raise OSError(errno.EMFILE, "none left")

    with serving() as rig:
        with monkeypatch.context() as change:
            change.setattr("pynetdicom.transport.AssociationServer.get_request", none_left)
            with socket.create_connection((HOST, rig.port)):
                assert eventually(lambda: len(tries) > 1)
                assert tries[1] - tries[0] > 0.1
        assert dcmtk("echoscu", rig.port).returncode == 0


@pytest.mark.parametrize("missing", ["gateway.dicom.lean.Bell", "gateway.dicom.gather.Slab"])
def test_without_a_descriptor_or_memory_it_is_pynetdicoms(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Its thread died of it, and then nobody read the socket any more, or saw it close."""

    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "none left")

    with serving() as rig:
        monkeypatch.setattr(missing, none_left)
        before = threading.active_count()
        assert dcmtk("storescu", rig.port, sample("CT_small.dcm")).returncode == 0
        assert eventually(lambda: threading.active_count() == before)
    assert len(rig.got) == 1


@pytest.mark.catalogue("B8", "O3")
def test_who_says_nothing_while_the_clock_is_set_back_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    with (
        serving(limits=Limits(acse=1.0, drain=2)) as rig,
        socket.create_connection((HOST, rig.port), timeout=5) as silent,
        monkeypatch.context() as change,
    ):
        time.sleep(0.3)
        change.setattr(time, "time", lambda: now() - 3600)
        assert silent.recv(1) == b""


@pytest.mark.catalogue("B8", "O3")
def test_who_waits_for_a_report_while_the_clock_is_set_forward_is_not_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    with serving() as rig, wire.associate(rig.port) as sock, monkeypatch.context() as change:
        sock.sendall(wire.pdu(4, wire.pdv(1, 3, UNEXPECTED)))  # pynetdicom's from here on, as after an N-ACTION
        time.sleep(0.5)
        change.setattr(time, "time", lambda: now() + 3600)
        time.sleep(0.5)
        sock.sendall(wire.store(b"data"))
        assert wire.status(sock) == 0
