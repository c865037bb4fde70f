"""A daemon in a network of its own, whose link to the PACS loses packets or is cut, and a proxy that delays or falls silent.

This kernel has no netem: nftables drops packets, and delay is a proxy's. For root only; nothing outside the namespace is touched,
and the namespace goes with everything in it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.daemon import REPOSITORY, Daemon
from tests.support.process import program

RULES: Final = """\
add table inet faults
flush table inet faults
table inet faults {{
  chain input {{ type filter hook input priority 0; iifname "{link}" {what} counter drop; }}
  chain output {{ type filter hook output priority 0; oifname "{link}" {what} counter drop; }}
}}
"""
CHUNK: Final = 65536


@dataclass(frozen=True)
class Network:
    """`here`: our side's address, where the PACS is; `there`: the daemon's."""

    name: str
    here: str
    there: str

    def _rules(self, text: str) -> None:
        run("ip", "netns", "exec", self.name, program("nft"), "-f", "-", stdin=text)

    def lose(self, percent: int) -> None:
        """So many of a hundred packets, both ways; 100 is a partition, 0 heals everything."""
        if percent == 0:
            self._rules("add table inet faults\ndelete table inet faults\n")
        else:
            what = "" if percent == 100 else f"numgen random mod 100 < {percent}"
            self._rules(RULES.format(link=f"{self.name}b", what=what))

    def dropped(self) -> int:
        """Packets, since the rules were set."""
        told = run("ip", "netns", "exec", self.name, program("nft"), "list", "table", "inet", "faults")
        words = told.split()
        return sum(int(words[i + 2]) for i, word in enumerate(words) if word == "counter")


def run(name: str, *words: str, stdin: str = "") -> str:
    done = subprocess.run([program(name), *words], input=stdin, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} {' '.join(words)}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Only root may: the test is skipped, or fails under CI=true."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("only root may make networks")
    number = os.getpid() % 16384
    octets = f"10.213.{number // 64}.{number % 64 * 4}".rsplit(".", 1)
    net = Network(f"gw{number}", f"{octets[0]}.{int(octets[1]) + 1}", f"{octets[0]}.{int(octets[1]) + 2}")
    run("ip", "netns", "add", net.name)
    try:
        _link(net)
        yield net
    finally:
        run("ip", "netns", "del", net.name)  # its end of the link goes with it, and so does ours


def _link(net: Network) -> None:
    ours, theirs = f"{net.name}a", f"{net.name}b"
    run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
    run("ip", "link", "set", theirs, "netns", net.name)
    for where, link, address in ((), ours, net.here), (("-n", net.name), theirs, net.there):
        run("ip", *where, "addr", "add", f"{address}/30", "dev", link)
        run("ip", *where, "link", "set", link, "gso_max_segs", "1", "up")  # else one drop is 64 KB
    run("ip", "-n", net.name, "link", "set", "lo", "up")


class Inside(Daemon):
    """The daemon, in that network."""

    network: Network

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [program("ip"), "netns", "exec", self.network.name, sys.executable, "-m", "gateway.run.cli", "run",
                 "--config", str(self.config), "--log-level", self._level],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=REPOSITORY,
            )  # fmt: skip


class Proxy:
    """Listens on every address and passes everything on to `target`, each byte `delay` seconds later, in both directions.

    `silent_after`: bytes from the caller after which one connection, the next, says no more and stays open.
    """

    def __init__(self, target: tuple[str, int], *, delay: float = 0.0) -> None:
        self._target, self._delay = target, delay
        self.silent_after: int | None = None
        self.silenced = 0
        self._listener = socket.create_server(("", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            if select.select([self._listener], [], [], 0.1)[0]:
                caller, _ = self._listener.accept()
                silent, self.silent_after = self.silent_after, None
                self._threads.append(threading.Thread(target=self._serve, args=(caller, silent), daemon=True))
                self._threads[-1].start()

    def _serve(self, caller: socket.socket, silent: int | None) -> None:
        with contextlib.suppress(OSError), caller, socket.create_connection(self._target, timeout=10) as callee:
            for sock in (caller, callee):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
            ways = [_Way(caller, callee, silent), _Way(callee, caller, None)]
            while not self._stop.is_set() and not all(way.over for way in ways):
                wait = 0.005 if any(way.waiting for way in ways) else 0.1
                ready = select.select([way.source for way in ways if not way.closed], [], [], wait)[0]
                for way in ways:
                    if way.source in ready:
                        self.silenced += way.read(due=time.monotonic() + self._delay)
                    way.write(time.monotonic())


class _Way:
    """One direction of a connection. `left`: how many bytes more it passes on; None: all."""

    def __init__(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        self.source, self._sink, self._left = source, sink, left
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.closed = self.over = self._silent = False

    def read(self, *, due: float) -> bool:
        """What came is passed on at `due`. True when it falls silent with this."""
        raw = self.source.recv(CHUNK)
        self.closed = not raw
        if self._left is not None:
            raw = raw[: self._left]
            self._left -= len(raw)
        if raw:
            self.waiting.append((due, raw))
        falls, self._silent = self._left == 0 and not self._silent, self._left == 0
        return falls

    def write(self, now: float) -> None:
        while self.waiting and self.waiting[0][0] <= now:
            due, raw = self.waiting.popleft()
            try:
                sent = self._sink.send(raw)
            except BlockingIOError:
                sent = 0
            if sent < len(raw):
                self.waiting.appendleft((due, raw[sent:]))
                return
        if self.closed and not self.waiting and not self.over:
            self.over = True
            self._sink.shutdown(socket.SHUT_WR)
