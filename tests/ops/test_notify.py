"""sd_notify against a real datagram socket; the watchdog only while every role progresses."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.ops.notify import Heartbeats, Systemd, Watchdog, watchdog_interval

Told = Callable[[], str]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What the service manager got last."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        path = Path(folder) / "notify"
        sock.bind(str(path))
        sock.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield lambda: sock.recv(4096).decode("latin-1")


@pytest.fixture
def systemd(manager: Told) -> Iterator[Systemd]:
    assert callable(manager)  # it listens by now
    systemd = Systemd()
    yield systemd
    systemd.close()


def test_every_message(manager: Told, systemd: Systemd) -> None:
    systemd.ready("port 11112")
    assert manager() == "READY=1\nSTATUS=port 11112"
    systemd.ready()
    assert manager() == "READY=1"
    systemd.status("3 requests")
    assert manager() == "STATUS=3 requests"
    systemd.watchdog()
    assert manager() == "WATCHDOG=1"
    systemd.stopping()
    assert manager() == "STOPPING=1"
    systemd.reloading()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager())


def test_a_status_cannot_smuggle_another_message(manager: Told, systemd: Systemd) -> None:
    systemd.status("waiting\nSTOPPING=1")
    assert manager() == "STATUS=waiting STOPPING=1"
    systemd.status("\u0441\u0442\u043e\u043f done")  # sdnotify would drop the whole message
    assert manager() == "STATUS=???? done"


def test_silent_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd = Systemd()
    systemd.ready()
    systemd.close()
    systemd.watchdog()


@pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")  # sdnotify forgets the one it could not connect
def test_a_manager_that_went_away_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    systemd = Systemd()
    systemd.ready()
    systemd.close()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_interval(environ: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environ, os.getpid()) == interval


class Pings:
    def __init__(self) -> None:
        self.number = 0

    def watchdog(self) -> None:
        self.number += 1


def test_pinged_only_while_every_role_progresses() -> None:
    hearts, pings, now = Heartbeats(), Pings(), [0.0]
    hearts.expect("find", 10.0, now=0.0)
    hearts.expect("move", 60.0, now=0.0)
    dog = Watchdog(pings, hearts, 4.0, lambda: now[0])
    for second in range(11):
        now[0] = float(second)
        assert dog.tick() == ()
    assert pings.number == 6  # every two seconds
    now[0] = 13.0
    assert dog.tick() == ("find",)
    assert not hearts.alive(13.0)
    assert pings.number == 6
    hearts.beat("find", now=13.5)
    now[0] = 14.0
    assert dog.tick() == ()
    assert pings.number == 7


def test_not_watched_not_pinged_but_told() -> None:
    hearts, pings = Heartbeats(), Pings()
    hearts.expect("find", 1.0, now=0.0)
    dog = Watchdog(pings, hearts, None, lambda: 5.0)
    assert dog.tick() == ("find",)
    hearts.beat("find", now=5.0)
    assert dog.tick() == ()
    assert pings.number == 0


def test_a_beat_of_nobody_is_a_programming_mistake() -> None:
    with pytest.raises(KeyError):
        Heartbeats().beat("typo", now=1.0)


def test_beats_from_many_threads() -> None:
    hearts = Heartbeats()
    roles = [f"r{i}" for i in range(8)]
    for role in roles:
        hearts.expect(role, 5.0, now=0.0)

    def beat(role: str) -> None:
        for now in range(500):
            hearts.beat(role, now=float(now))

    threads = [threading.Thread(target=beat, args=(r,)) for r in roles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hearts.alive(503.0)
    assert hearts.stale(505.0) == tuple(roles)
