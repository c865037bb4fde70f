"""A peer that sends and never reads what we answer holds its own association, for a while, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.dicom.server import Incoming, Limits
from tests.dicom.serving import Serving, eventually, serving
from tests.faults.sending import Message, Sender, request
from tests.support.process import HOST

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE = Message(CT, "2.25.1", b"\x08\0\x18\0UI\x06\x002.25.1")
SMALLEST = 2048  # bytes of a receive buffer
HANG_UPS = 100
STALLED = 1.0  # seconds in which nothing more could be sent


def taken(_: Incoming) -> int:
    return 0x0000


@contextlib.contextmanager
def stalled(rig: Serving) -> Iterator[Sender]:
    """Sends until the receiver reads no more, because it waits for us to read."""
    with Sender(rig.port, [CT], calling="MODALITY", buffer=SMALLEST) as deaf:
        deaf.sock.settimeout(STALLED)
        many = b"".join(deaf.encoded(ONE) for _ in range(200))
        with contextlib.suppress(TimeoutError):
            while True:
                deaf.sock.sendall(many)
        yield deaf


def served(rig: Serving, number: int) -> bool:
    with Sender(rig.port, [CT], calling="MODALITY") as assoc:
        answers = [assoc.store(ONE) for _ in range(number)]
        assoc.release()
    return answers == [0x0000] * number


def test_others_are_served_meanwhile_and_it_is_cut_off_at_the_deadline() -> None:
    with serving(taken, limits=Limits(pdu=8.0, drain=2.0)) as rig:
        quiet = [Sender(rig.port, [CT], calling="MODALITY") for _ in range(2)]
        with stalled(rig):
            assert served(rig, 50)
            assert [assoc.store(ONE) for assoc in quiet] == [0x0000, 0x0000]
            assert eventually(lambda: rig.associations() == 2, 40.0), "it holds its association for ever"
        assert [assoc.store(ONE) for assoc in quiet] == [0x0000, 0x0000]
        for assoc in quiet:
            assoc.sock.close()


def test_it_does_not_hold_the_end_up() -> None:
    before = set(threading.enumerate())
    with serving(taken, limits=Limits(pdu=600.0, drain=1.0)) as rig, stalled(rig):
        assert len(set(threading.enumerate()) - before) > 1
        rig.stop.set()
        rig.thread.join(15)
        assert not rig.thread.is_alive()
        assert eventually(lambda: set(threading.enumerate()) <= before), "a thread stays"


@pytest.mark.parametrize("accepted", [True, False])
def test_who_hangs_up_at_once_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, accepted: bool) -> None:
    """`accepted`: it waits for that, no longer."""
    crashed: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: crashed.append(args.exc_type))
    with serving(taken, most=HANG_UPS + 8) as rig:
        before = set(threading.enumerate())
        for _ in range(HANG_UPS):
            if accepted:
                Sender(rig.port, [CT], calling="MODALITY").sock.close()
            else:
                with socket.create_connection((HOST, rig.port)) as rude:
                    rude.sendall(request([CT], "MODALITY"))
        assert served(rig, 3)
        assert eventually(lambda: set(threading.enumerate()) <= before and rig.associations() == 0), "a thread stays"
    assert crashed == []
