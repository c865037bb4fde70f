"""The port on which archives report: over TLS, beside who says nothing there, and while a certificate is being renewed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, build_role, evt

from gateway.dicom.association import Deadlines
from gateway.dicom.commitment import PUSH_MODEL, Asked, Line, Reference, dial
from gateway.dicom.committing import MOST, Asking, Waiting, _entity, _listening
from gateway.dicom.models import SYNTAXES
from gateway.dicom.requesting import associate
from gateway.errors import Retry
from gateway.settings import Pacs, Tls
from tests.support.certificates import Authority
from tests.support.process import HOST, free_port

TRANSACTION = "2.25.4711"
REFERENCE = Reference("1.2.840.10008.5.1.4.1.1.2", "2.25.1")


def peer(port: int, tls: Tls) -> Pacs:
    return Pacs(name="peer", ae_title="RESEARCH", host=HOST, port=port, tls=tls)


def test_who_says_nothing_on_the_port_for_reports_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dicom.committing.SILENT", 1.0)
    tls, port = Authority(tmp_path).issue("both").tls, free_port()
    waiting = Waiting(TRANSACTION, "ARCHIVE")

    def take() -> None:
        with _listening(peer(1, tls), waiting, Asking("RESEARCH", port, 5.0, Deadlines())):
            began.set()
            told.wait(20)

    began, told = threading.Event(), threading.Event()
    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    assert began.wait(5)
    with socket.create_connection((HOST, port)):
        time.sleep(0.3)
        dial(peer(port, tls), "ARCHIVE", Asked("", HOST, TRANSACTION, (REFERENCE,)), {REFERENCE: 0})
        assert waiting.report is not None and waiting.report.committed == {"2.25.1"}
        told.set()
        taking.join(10)
        assert not taking.is_alive()


@pytest.mark.parametrize("secured", [False, True])
def test_who_comes_in_crowds_takes_no_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secured: bool
) -> None:
    monkeypatch.setattr("gateway.dicom.committing.SILENT", 3.0)
    tls, port = Authority(tmp_path).issue("both").tls if secured else Tls(), free_port()
    with (
        _listening(peer(1, tls), Waiting(TRANSACTION, "ARCHIVE"), Asking("RESEARCH", port, 1.0)),
        contextlib.ExitStack() as crowd,
    ):
        before = threading.active_count()
        came = [crowd.enter_context(socket.create_connection((HOST, port), timeout=1)) for _ in range(100)]
        assert came[-1].recv(1) == b""
        assert threading.active_count() - before <= 2 * MOST


def test_a_certificate_in_the_midst_of_being_renewed_is_waited_for(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours").issue("ours"), Authority(tmp_path / "other").issue("other")
    torn = Tls(certificate=ours.certificate, key=other.key, ca=ours.ca)
    asking = Asking("RESEARCH", free_port(), 1.0)
    with pytest.raises(Retry, match=r"^sink\.tls"), _listening(peer(1, torn), Waiting(TRANSACTION, "ARCHIVE"), asking):
        pytest.fail("it listened")


@pytest.mark.catalogue("A4", "O1")
def test_a_report_goes_to_the_other_address_of_a_host_that_has_two(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, waiting = socket.getaddrinfo, Waiting(TRANSACTION, "ARCHIVE")

    def resolved(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        hosts = ["127.0.0.9", HOST] if host == "peer.example" else [host]
        return [found for one in hosts for found in plain(one, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    port = free_port()
    ae = _entity("RESEARCH")
    ae.start_server((HOST, port), block=False, evt_handlers=waiting.handlers(Deadlines()))
    at = Pacs(name="peer", ae_title="RESEARCH", host="peer.example", port=port)
    try:
        dial(at, "ARCHIVE", Asked("", HOST, TRANSACTION, (REFERENCE,)), {REFERENCE: 0})
    finally:
        ae.shutdown()
    assert waiting.report is not None and waiting.report.committed == {"2.25.1"}


@pytest.mark.catalogue("B8", "O3")
def test_who_says_nothing_there_while_the_clock_is_set_back_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dicom.committing.SILENT", 1.0)
    now, port = time.time, free_port()
    with (
        _listening(peer(1, Tls()), Waiting(TRANSACTION, "ARCHIVE"), Asking("RESEARCH", port, 1.0)),
        socket.create_connection((HOST, port), timeout=5) as silent,
        monkeypatch.context() as change,
    ):
        time.sleep(0.3)
        change.setattr(time, "time", lambda: now() - 3600)
        assert silent.recv(1) == b""


def test_an_association_that_the_archive_keeps_is_not_there_for_the_next_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which it knows nothing of: the report would be refused, and the files never known to be safe."""
    monkeypatch.setattr("gateway.dicom.committing.CLOSING", 0.2)
    lines, port, waiting = list[Line](), free_port(), Waiting(TRANSACTION, "ARCHIVE")
    archive = AE("ARCHIVE")
    archive.add_requested_context(PUSH_MODEL, SYNTAXES)
    with _listening(peer(1, Tls()), waiting, Asking("RESEARCH", port, 1.0)):
        kept = associate(
            archive, Pacs(name="peer", ae_title="RESEARCH", host=HOST, port=port), "commitment", pdu=5.0,
            ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
            handlers=[(evt.EVT_CONN_OPEN, lambda event: lines.append(Line(event.assoc)))],
        ).assoc  # fmt: skip
        assert lines[0].send(Asked("", HOST, TRANSACTION, (REFERENCE,)), {REFERENCE: 0})
    assert waiting.report is not None
    until = time.monotonic() + 5
    while kept.is_alive() and time.monotonic() < until:
        time.sleep(0.05)
    assert not kept.is_alive()
