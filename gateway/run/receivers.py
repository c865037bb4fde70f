"""The receive processes: started on one inherited listener, watched, replaced when they die, drained at the end.

Each is a fresh interpreter (fork from a threaded daemon is not safe). The listener is made once and stays open here, so
that connections wait in its queue while a process is replaced.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.errors import Fatal
from gateway.ops.metrics import Metrics, replay
from gateway.run.receive import BEAT, READY
from gateway.settings import Receiver, Settings

BACKLOG = 128
DRAIN_SECONDS = 30.0
START_SECONDS = 60.0
SHORTEST_LIFE = 5.0
"""Seconds: a process that dies at once is not replaced faster than this."""


@dataclass
class Child:
    """One receive process and our end of its counting pipe."""

    name: str
    process: subprocess.Popen[bytes]
    pipe: int
    started: float  # monotonic seconds
    rest: bytes = b""
    ready: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Hear:
    """Whom the processes' lines reach: `beat(name)` is called for each, `tap(line)` sees what `metrics` counts."""

    metrics: Metrics
    beat: Callable[[str], None]
    tap: Callable[[bytes], None]


def listen(receiver: Receiver) -> socket.socket:
    """The one listening socket. Raises Fatal("receiver.address") when it cannot be had."""
    family = socket.AF_INET6 if ":" in receiver.bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((receiver.bind, receiver.port))
        listener.listen(BACKLOG)
    except OSError as err:
        listener.close()
        mend = "another program has the port, or ports below 1024 need the socket unit"
        raise Fatal("receiver.address", f"{receiver.bind}:{receiver.port}: {err.strerror}; {mend}") from None
    listener.setblocking(False)  # shared: whoever loses the race for a connection must not sleep on it
    return listener


class Receivers:
    """`level`: of their logs."""

    def __init__(self, settings: Settings, listener: socket.socket, hear: Hear, *, level: str) -> None:
        self._settings, self._listener, self._hear, self._level = settings, listener, hear, level
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._reader = threading.Thread(target=self._read, name="receivers", daemon=True)

    def start(self) -> None:
        """Starts every process and waits until each listens. Raises Fatal("receiver.start")."""
        wanted = self._settings.receiver.processes
        number = os.cpu_count() or 1 if wanted == "auto" else wanted
        self._children = [self._spawn(f"receive-{i + 1}") for i in range(number)]
        self._reader.start()
        until = time.monotonic() + START_SECONDS
        for child in self._children:
            while not child.ready.wait(0.1):
                if child.process.poll() is not None or time.monotonic() > until:
                    raise Fatal("receiver.start", "a receive process did not start; its own log lines say why")

    def ready(self) -> bool:
        """True while every process lives and listens."""
        return all(c.ready.is_set() and c.process.poll() is None for c in self._children)

    def replace_dead(self) -> None:
        """Replaces each process that ended by itself; its associations failed at the sender and come again."""
        for i, child in enumerate(self._children):
            code = child.process.poll()
            young = time.monotonic() - child.started < SHORTEST_LIFE
            if code is not None and not young and not self._stopping.is_set():
                structlog.get_logger().error("receiver.died", process=child.name, exit_code=code)
                self._children[i] = self._spawn(child.name)

    def stop(self) -> None:
        """Drains: SIGTERM, wait, SIGKILL to what is left; then the last counts are read."""
        self._stopping.set()
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.process.wait(DRAIN_SECONDS + 5)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait(5)
        if self._reader.is_alive():
            self._reader.join(5)
        for child in self._children:
            if child.pipe >= 0:
                self._pump(child)
                self._drop(child)
        self._selector.close()

    def _spawn(self, name: str) -> Child:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.run.receive", str(self._listener.fileno()), str(write_end), self._level],
            stdin=subprocess.PIPE,
            pass_fds=(self._listener.fileno(), write_end),
        )
        os.close(write_end)
        assert process.stdin is not None  # stdin=PIPE
        pickle.dump(self._settings, process.stdin)
        process.stdin.flush()  # and stays open: the life line
        child = Child(name, process, read_end, time.monotonic())
        self._selector.register(read_end, selectors.EVENT_READ, child)
        return child

    def _read(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(timeout=0.2):
                child: Child = key.data
                if not self._pump(child):  # it ended: nothing more will come
                    self._selector.unregister(child.pipe)
                    self._drop(child)

    def _pump(self, child: Child) -> bool:
        """Counts what came through the pipe. False: it is closed."""
        while True:
            try:
                some = os.read(child.pipe, 65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not some:
                return False
            *lines, child.rest = (child.rest + some).split(b"\n")
            for line in lines:
                self._line(child, line + b"\n")

    def _line(self, child: Child, line: bytes) -> None:
        self._hear.beat(child.name)
        if line == READY:
            child.ready.set()
        elif line != BEAT:
            self._hear.tap(line)
            replay(line, self._hear.metrics, source=child.name)

    def _drop(self, child: Child) -> None:
        if child.process.stdin:
            child.process.stdin.close()
        os.close(child.pipe)
        child.pipe = -1
        self._hear.metrics.forget(child.name)
