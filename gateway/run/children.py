"""Child processes of one kind: started, watched, replaced when they die, drained at the end.

Each is a fresh interpreter (fork from a threaded daemon is not safe), gets the settings on its standard input, which stays open
as its life line, and counts through a pipe.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from gateway.errors import Fatal
from gateway.ops.metrics import Metrics, replay
from gateway.run.process import BEAT, READY
from gateway.settings import Settings

START_SECONDS = 60.0
SHORTEST_LIFE = 5.0
"""Seconds: a process that dies at once is not replaced faster than this."""
YOUNG = 60.0
"""Seconds: what lived longer than this did not die of how it began."""
GATHER = 0.05
"""Seconds in which lines gather: to wake for each would cost a core that receives more than the counting itself."""


@dataclass(frozen=True)
class Kind:
    """`name`-1, `name`-2, ...: each `python -m module DESCRIPTORS... PLACE PIPE LEVEL`, `drain` seconds to end after SIGTERM.

    One that keeps dying young is replaced ever more slowly, up to once in `longest_pause` seconds.
    """

    name: str
    module: str
    number: int
    descriptors: tuple[int, ...] = ()
    drain: float = 48.0  # TLS handshakes, reports, associations, and the end of those that do not end: 46 at most
    longest_pause: float = SHORTEST_LIFE

    @property
    def names(self) -> list[str]:
        return [f"{self.name}-{i + 1}" for i in range(self.number)]

    def pause(self, deaths: int) -> float:
        """Seconds from the start of a process to that of its successor, at least. `deaths`: how many died young in a row."""
        return min(SHORTEST_LIFE * 2.0 ** min(max(deaths - 1, 0), 16), self.longest_pause)


@dataclass
class Child:
    """One process and our end of its counting pipe. `deaths`: how many before it died young, one after the other."""

    name: str
    process: subprocess.Popen[bytes]
    pipe: int
    started: float  # monotonic seconds
    deaths: int = 0
    told: bool = False
    rest: bytes = b""
    ready: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Hear:
    """Whom the processes' lines reach: `beat(name)` is called for each, `tap(line)` sees what `metrics` has counted."""

    metrics: Metrics
    beat: Callable[[str], None]
    tap: Callable[[bytes], None]


class Children:
    """The processes of one kind. `level`: of their logs."""

    def __init__(self, settings: Settings, kind: Kind, hear: Hear, *, level: str) -> None:
        self._settings, self.kind, self._hear, self._level = settings, kind, hear, level
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stopping, self._silent = threading.Event(), threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"{kind.name}-pipes", daemon=True)

    def start(self) -> None:
        """Starts every process. Raises Fatal("<kind>.start") when the system has no room for one; `stop` ends the others."""
        for name in self.kind.names:
            try:
                self._children.append(self._spawn(name))
            except OSError as err:
                told = f"a {self.kind.name} process cannot be started: {err.strerror or type(err).__name__}"
                raise Fatal(f"{self.kind.name}.start", told) from None
        self._reader.start()

    def wait_ready(self, meanwhile: Callable[[], object] = tuple) -> None:
        """Until each has said that it is ready. `meanwhile` is called all the time. Raises Fatal("<kind>.start")."""
        until = time.monotonic() + START_SECONDS
        for child in self._children:
            while not child.ready.wait(0.1):
                meanwhile()
                code = child.process.poll()
                if code is not None or time.monotonic() > until:
                    how = f"within {START_SECONDS:.0f} s" if code is None else f"(exit code {code})"
                    told = (
                        f"a {self.kind.name} process did not start {how}; its own log lines say why, of -9 the kernel's"
                    )
                    raise Fatal(f"{self.kind.name}.start", told)

    def ready(self) -> bool:
        """True while every process lives and is ready."""
        return all(c.ready.is_set() and c.process.poll() is None for c in self._children)

    def replace_dead(self) -> None:
        """Replaces each process that ended by itself; what it had under way comes again."""
        for i, child in enumerate(self._children):
            code = child.process.poll()
            if code is None or self._stopping.is_set():
                continue
            if not child.told:
                child.told = True
                young = time.monotonic() - child.started < YOUNG
                child.deaths = child.deaths + 1 if young else 0
                structlog.get_logger().error(f"{self.kind.name}.died", process=child.name, exit_code=code)
            if time.monotonic() - child.started >= self.kind.pause(child.deaths):
                self._replace(i, child)

    def stop(self) -> None:
        """Drains: SIGTERM, wait, SIGKILL to what is left; then the last counts are read."""
        self._stopping.set()
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self.kind.drain
        for child in self._children:
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait(5)
        self._silent.set()  # not before: they count to the end
        if self._reader.is_alive():
            self._reader.join(5)
        unread = self._selector.get_map() or {}  # None when it was stopped before
        for key in [*unread.values()]:  # also of a child that was replaced just now
            self._pump(key.data)
            self._drop(key.data)
        self._selector.close()

    def _replace(self, place: int, child: Child) -> None:
        """Tried again when the system has no room for a process now: the others go on."""
        try:
            self._children[place] = self._spawn(child.name, child.deaths)
        except OSError as err:
            child.started = time.monotonic()
            structlog.get_logger().error(f"{self.kind.name}.not-started", process=child.name, errno=err.errno)

    def _spawn(self, name: str, deaths: int = 0) -> Child:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        words = (*self.kind.descriptors, self.kind.names.index(name), write_end, self._level)
        try:
            with _held_back(signal.SIGINT, signal.SIGHUP):
                process = subprocess.Popen(
                    [sys.executable, "-m", self.kind.module, *map(str, words)],
                    stdin=subprocess.PIPE,
                    pass_fds=(*self.kind.descriptors, write_end),
                )
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        assert process.stdin is not None  # stdin=PIPE
        with contextlib.suppress(BrokenPipeError):  # it died at once: its pipe tells
            pickle.dump(self._settings, process.stdin)
            process.stdin.flush()  # and stays open: the life line
        child = Child(name, process, read_end, time.monotonic(), deaths)
        self._selector.register(read_end, selectors.EVENT_READ, child)
        return child

    def _read(self) -> None:
        while not self._silent.is_set():
            for key, _ in self._selector.select(timeout=0.2):
                child: Child = key.data
                if not self._pump(child):  # it ended: nothing more will come
                    self._selector.unregister(child.pipe)
                    self._drop(child)
            self._silent.wait(GATHER)

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
        elif line != BEAT and replay(line, self._hear.metrics, source=child.name):
            self._hear.tap(line)

    def _drop(self, child: Child) -> None:
        if child.process.stdin:
            with contextlib.suppress(BrokenPipeError):  # what it did not take
                child.process.stdin.close()
        os.close(child.pipe)
        child.pipe = -1
        self._hear.metrics.forget(child.name)


@contextlib.contextmanager
def _held_back(*signals: signal.Signals) -> Iterator[None]:
    """A process started here does not get them either: until it says itself that it ignores them, they would end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
