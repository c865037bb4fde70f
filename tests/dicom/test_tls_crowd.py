"""TLS associations begin in threads of their own, and are known from before that."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest
from pynetdicom.association import Association

from gateway.dicom.incoming import Limits
from tests.dicom.serving import eventually
from tests.dicom.test_tls import client, secured, talks
from tests.support.certificates import Authority
from tests.support.process import HOST


def test_those_that_come_while_others_begin_are_known_until_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin in threads of their own: whoever is not known is not drained, and the bound does not hold for him."""
    authority, start = Authority(tmp_path / "ca"), Association.start
    ours, theirs = authority.issue("gateway"), authority.issue("pacs")

    def late(assoc: Association) -> None:
        time.sleep(0.3)
        start(assoc)

    monkeypatch.setattr(Association, "start", late)
    context = client(theirs, theirs.ca)
    with secured(ours.tls, Limits(acse=10, drain=2)) as rig, contextlib.ExitStack() as held:
        for _ in range(12):
            sock = held.enter_context(socket.create_connection((HOST, rig.port), timeout=10))
            held.enter_context(context.wrap_socket(sock, server_hostname=HOST))
        assert eventually(lambda: len(rig.server._connected) == 12)


def test_those_that_could_not_begin_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(assoc: Association) -> None:
        raise RuntimeError("can't start new thread")

    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("gateway"), authority.issue("pacs")
    context = client(theirs, theirs.ca)
    with secured(ours.tls, Limits(acse=10, drain=2)) as rig:  # 32 connections
        with monkeypatch.context() as few:
            few.setattr(Association, "start", no_more)
            for _ in range(40):
                with (
                    socket.create_connection((HOST, rig.port), timeout=10) as sock,
                    context.wrap_socket(sock, server_hostname=HOST) as hung_up,
                    contextlib.suppress(ssl.SSLEOFError),
                ):
                    assert hung_up.recv(1) == b""
        assert talks(rig.port, context)
        assert rig.rejected("connections") == 0


@pytest.mark.catalogue("O6")
@pytest.mark.parametrize("linger", [(0, 0), (1, 0)], ids=["FIN", "RST"])
def test_a_load_balancer_that_looks_whether_the_port_is_open_is_no_failed_handshake(
    tmp_path: Path, linger: tuple[int, int]
) -> None:
    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("gateway"), authority.issue("pacs")
    with secured(ours.tls) as rig:
        for _ in range(10):
            with socket.create_connection((HOST, rig.port)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
                time.sleep(0.02)
        assert talks(rig.port, client(theirs, theirs.ca))
        assert rig.rejected("tls") == 0
