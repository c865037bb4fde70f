"""SIGHUP under fire: associations are asked for all the time, certificates change, and none is refused."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from tests.dicom import wire
from tests.run.test_daemon import daemon, receivers, started  # noqa: F401  the fixture
from tests.support.certificates import Authority, Identity
from tests.support.daemon import Daemon
from tests.support.process import HOST, free_port

pytestmark = [pytest.mark.timeout(150), pytest.mark.real]
CALLING = "NOBODY"


class Hammer(threading.Thread):
    """One association after the other, each with a C-ECHO. `serials`: of the certificates shown, in order, each once."""

    def __init__(self, port: int, identity: Identity) -> None:
        super().__init__(daemon=True)
        self._port, self._over = port, threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.load_verify_locations(identity.ca)
        self._context.load_cert_chain(identity.certificate, identity.key)
        self.served, self.serials, self.failures = 0, list[int](), list[str]()

    def run(self) -> None:
        while not self._over.wait(0.02):
            try:
                self._once()
            except (OSError, AssertionError) as err:
                self.failures.append(f"{type(err).__name__} after {self.served}")
            else:
                self.served += 1

    def finish(self) -> None:
        self._over.set()
        self.join(60)

    def _once(self) -> None:
        with socket.create_connection((HOST, self._port), timeout=45) as raw, self._context.wrap_socket(raw) as sock:
            shown = sock.getpeercert(binary_form=True)
            assert shown
            serial = x509.load_der_x509_certificate(shown).serial_number
            if serial not in self.serials:
                self.serials.append(serial)
            sock.sendall(wire.associate_rq(calling=CALLING))
            assert wire.read_pdu(sock)[0] == 2
            sock.sendall(wire.echo())
            assert wire.status(sock) == 0
            sock.sendall(wire.RELEASE)
            assert wire.read_pdu(sock)[0] == 6


def exchange(new: Identity, old: Identity) -> None:
    shutil.copyfile(new.key, old.key)
    shutil.copyfile(new.certificate, old.certificate)


def test_certificates_change_and_no_association_is_refused(daemon: Daemon, tmp_path: Path) -> None:  # noqa: F811
    authority = Authority(tmp_path / "ca")
    own, renewed, peer = (authority.issue(name) for name in ("own", "renewed", "peer"))
    text = daemon.config.read_text().replace('bind = "127.0.0.1"', f'bind = "127.0.0.1"\n{own.toml}', 1)
    daemon.config.write_text(text)
    port = int(text.split("\nport = ")[1].split("\n")[0])
    started(daemon)
    before = receivers(daemon)
    hammer = Hammer(port, peer)
    hammer.start()
    daemon.wait_until(lambda: hammer.served > 5, 40)
    exchange(renewed, own)
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reloaded" in daemon.log.read_text() and daemon.get("/readyz")[0] == 200, 60)
    served = hammer.served
    daemon.wait_until(lambda: hammer.served > served + 5, 40)
    assert len(hammer.serials) == 2 and not set(before) & set(receivers(daemon))
    own.key.write_bytes(peer.key.read_bytes())  # not that of the certificate
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reload.refused" in daemon.log.read_text(), 60)
    served = hammer.served
    daemon.wait_until(lambda: hammer.served > served + 5, 40)
    hammer.finish()
    assert hammer.failures == []
    assert "the private key is not that of" in daemon.log.read_text()
    assert daemon.stop() == 0


def test_a_reload_is_not_waited_for_by_new_associations_while_an_old_one_still_sends(daemon: Daemon) -> None:  # noqa: F811
    """The processes that serve it drain for half a minute; others are there by then."""
    started(daemon)
    port = int(daemon.config.read_text().split("\nport = ")[1].split("\n")[0])
    before = receivers(daemon)
    with socket.create_connection((HOST, port), timeout=30) as busy:
        busy.sendall(wire.associate_rq(calling=CALLING))
        assert wire.read_pdu(busy)[0] == 2
        whole = wire.store(bytes(1 << 20))
        busy.sendall(whole[: len(whole) // 2])
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_until(lambda: len(set(receivers(daemon)) - set(before)) == 2, 40)
        for _ in range(10):
            with socket.create_connection((HOST, port), timeout=30) as sock:
                sock.sendall(wire.associate_rq(calling=CALLING))
                assert wire.read_pdu(sock)[0] == 2
        assert set(before) & set(receivers(daemon)), "the old one has not ended"
        busy.sendall(whole[len(whole) // 2 :])
        assert wire.status(busy) > 0, "answered by the process that began it: nobody asked for this instance"
        busy.sendall(wire.RELEASE)
        assert wire.read_pdu(busy)[0] == 6
    daemon.wait_until(lambda: "daemon.reloaded" in daemon.log.read_text(), 60)
    daemon.wait_until(lambda: not set(before) & set(receivers(daemon)), 40)
    assert daemon.stop() == 0


def test_a_reload_that_cannot_start_changes_nothing(daemon: Daemon) -> None:  # noqa: F811
    """The configuration is good, the state is not that of its key: found only when the new life begins."""
    started(daemon)
    before = receivers(daemon)
    key = daemon.config.parent / "pseudonym.key"
    key.write_bytes(bytes(range(1, 33)))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reload.refused" in daemon.log.read_text(), 40)
    assert "written with another key" in daemon.log.read_text()
    assert receivers(daemon) == before and daemon.get("/readyz")[0] == 200
    key.write_bytes(bytes(range(32)))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reloaded" in daemon.log.read_text() and daemon.get("/readyz")[0] == 200, 60)
    assert not set(before) & set(receivers(daemon))
    assert daemon.stop() == 0


def test_a_reload_to_what_cannot_be_had_changes_nothing(daemon: Daemon) -> None:  # noqa: F811
    """What is shown is opened last, and must be had before anything is drained."""
    started(daemon)
    good, before = daemon.config.read_text(), receivers(daemon)
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = re.sub(r"\[metrics]\nport = \d+", f"[metrics]\nport = {other.getsockname()[1]}", good)
        nowhere = good.replace("/health.sock", "/nowhere/health.sock")
        driverless = good.replace("sqlite:///", "nosuch+driver://")
        for number, bad in enumerate((taken, nowhere, driverless), start=1):
            daemon.config.write_text(bad)
            os.kill(daemon.pid, signal.SIGHUP)
            daemon.wait_until(lambda n=number: daemon.log.read_text().count("daemon.reload.refused") == n, 40)  # type: ignore[misc]
    assert receivers(daemon) == before and daemon.get("/readyz")[0] == 200
    assert "daemon.stopping" not in daemon.log.read_text()
    assert daemon.stop() == 0


def test_a_reload_from_one_address_to_all_says_that_it_wants_a_restart(daemon: Daemon) -> None:  # noqa: F811
    """Not that another program has the port: it is this one."""
    started(daemon)
    daemon.config.write_text(daemon.config.read_text().replace('bind = "127.0.0.1"', 'bind = "0.0.0.0"', 1))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reload.refused" in daemon.log.read_text(), 40)
    told = daemon.log.read_text()
    assert "to 0.0.0.0 only with a restart" in told and "another program" not in told
    assert daemon.get("/readyz")[0] == 200 and daemon.stop() == 0


def test_a_reload_moves_metrics_port_and_health_socket_and_is_no_start(daemon: Daemon) -> None:  # noqa: F811
    started(daemon)
    port, began = free_port(), daemon.status()["started"]
    good = daemon.config.read_text()
    daemon.config.write_text(
        re.sub(r"\[metrics]\nport = \d+", f"[metrics]\nport = {port}", good).replace("/health.sock", "/other.sock")
    )
    os.kill(daemon.pid, signal.SIGHUP)
    old, daemon.health = daemon.health, daemon.health.with_name("other.sock")
    daemon.wait_until(lambda: "daemon.reloaded" in daemon.log.read_text() and daemon.get("/readyz")[0] == 200, 60)
    with socket.create_connection((HOST, port), timeout=10):
        pass
    assert not old.exists()
    assert daemon.status()["started"] == began
    assert daemon.stop() == 0


def test_the_watchdog_is_fed_while_the_processes_of_a_reload_start(
    daemon: Daemon,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may take a minute, and as long again to end where they come to nothing: the daemon goes on meanwhile, and must live."""
    path = daemon.config.parent / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "800000")
        started(daemon)
        before = receivers(daemon)
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_until(lambda: len(receivers(daemon)) > len(before), 40)
        listener.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while listener.recv(4096):
                continue
        listener.settimeout(30)
        told = [listener.recv(4096)]
        while not told[-1].startswith(b"RELOADING=1"):
            told.append(listener.recv(4096))
        assert told.count(b"WATCHDOG=1") > 1
        assert daemon.stop() == 0
