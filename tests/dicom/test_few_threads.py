"""With no threads left (TasksMax, or the kernel's limit) one connection ends, and what serves the others goes on."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from types import SimpleNamespace
from typing import cast

import pytest
from pynetdicom.association import Association

from gateway.cstore.commitment import Commitments
from gateway.dicom.commitment import Asked, Line
from gateway.dicom.tls import Doorstep
from gateway.dicom.turnstile import Turnstile
from tests.dicom.serving import OURS, associate_pdu, dcmtk, serving
from tests.dicom.test_commitment import Known
from tests.support.process import HOST

ASKED = Asked("MODALITY", HOST, "2.25.4711", ())
HEARD = cast(Line, SimpleNamespace(report=lambda *_: True))


def no_more(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_without_a_thread_for_it_a_connection_ends_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    doorstep = Doorstep(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), seconds=5.0, refused=print)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(threading.Thread, "start", no_more)
    doorstep.receive(ours, print)
    assert len(doorstep) == 0 and theirs.recv(1) == b""
    doorstep.close()
    theirs.close()


def test_the_turnstile_takes_nobody_without_a_thread_and_goes_on_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(b"no", seconds=30)
    pairs = [socket.socketpair() for _ in range(2)]
    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            turnstile.take(pairs[0][0])
    pairs[0][0].close()  # as socketserver does
    turnstile.take(pairs[1][0])
    pairs[1][1].sendall(associate_pdu("X", "X"))
    assert pairs[1][1].recv(2) == b"no"
    turnstile.close()
    for _, theirs in pairs:
        theirs.close()


def test_one_without_a_thread_for_it_is_refused_and_what_ends_waits_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known()
    commitments = Commitments(known, known, ae_title=OURS, peer=lambda *_: None)
    begun = threading.Barrier(2)

    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", no_more)
        assert not commitments.begin(ASKED, HEARD)
    start = threading.Thread.start

    def late(thread: threading.Thread) -> None:
        if thread.name == "commitment":
            begun.wait(5)
            time.sleep(0.3)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    other = threading.Thread(target=commitments.begin, args=(ASKED, HEARD), name="asks")
    other.start()
    begun.wait(5)
    commitments.close(5.0)  # raises where it finds one that has not begun
    other.join(5)


def test_associations_that_could_not_begin_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(most=1) as rig:  # and 20 connections
        with monkeypatch.context() as few:
            few.setattr(Association, "start", no_more)
            for _ in range(30):
                with socket.create_connection((HOST, rig.port), timeout=10) as sock:
                    assert sock.recv(1) == b""
        assert dcmtk("echoscu", rig.port).returncode == 0
        assert rig.rejected("connections") == 0
