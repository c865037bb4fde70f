"""A StorageServer on loopback for tests, the counts it made, and DCMTK's senders to feed it."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.dicom.server import Incoming, Limits, StorageServer
from gateway.errors import Retry
from tests.support.process import HOST, program

OURS = "RESEARCH"
DEADLINE = 10.0
QUICK = Limits(drain=2.0)


class Counts:
    """A Count that remembers: `added[name, labels...]` and `now[name, labels...]`."""

    def __init__(self) -> None:
        self.added: Counter[tuple[str, ...]] = Counter()
        self.now: dict[tuple[str, ...], float] = {}
        self.observed: Counter[str] = Counter()
        self._lock = threading.Lock()  # threads of many associations count at once

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        with self._lock:
            self.added[(name, *labels.values())] += int(value)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        assert seconds >= 0
        with self._lock:
            self.observed[name] += 1

    def set(self, name: str, value: float, **labels: str) -> None:
        self.now[(name, *labels.values())] = value


class Serving:
    """A running server: `got` holds (Incoming, its bytes) in order of arrival."""

    def __init__(
        self, on_store: Callable[[Incoming], int] | None, limits: Limits, most: int, strangers: frozenset[str]
    ) -> None:
        listener = socket.create_server((HOST, 0), backlog=64)
        self.port: int = listener.getsockname()[1]
        self.got: list[tuple[Incoming, bytes]] = []
        self.counts, self.stop = Counts(), threading.Event()
        server = StorageServer(
            OURS, listener, admit=self.admit,
            is_stranger=strangers.__contains__, on_store=on_store or self.take, max_associations=most, count=self.counts,
        )  # fmt: skip
        self.thread = threading.Thread(target=server.serve, args=(self.stop, limits), daemon=True)
        self.thread.start()

    def admit(self, calling: str, address: str) -> bool:
        if calling == "UNRESOLVED":
            raise Retry("peer.unresolved", charge=False)
        return calling != "STRANGER" and address == HOST

    def take(self, incoming: Incoming) -> int:
        self.got.append((incoming, bytes(incoming.data)))
        return 0x0000

    def rejected(self, reason: str) -> int:
        return self.counts.added["associations_rejected_total", reason]

    def associations(self) -> float:
        return self.counts.now.get(("associations", "in"), 0)


@contextlib.contextmanager
def serving(
    on_store: Callable[[Incoming], int] | None = None,
    *,
    limits: Limits = QUICK,
    most: int = 8,
    strangers: frozenset[str] = frozenset(),
) -> Iterator[Serving]:
    """A server that is stopped and drained at the end, and must then have ended. `strangers`: addresses."""
    rig = Serving(on_store, limits, most, strangers)
    try:
        yield rig
    finally:
        rig.stop.set()
        rig.thread.join(limits.drain + DEADLINE)
        assert not rig.thread.is_alive()


def eventually(fact: Callable[[], bool], seconds: float = DEADLINE) -> bool:
    """True as soon as `fact()` is, False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def dcmtk(
    tool: str, port: int, *args: str | Path, called: str = OURS, calling: str = "MODALITY"
) -> subprocess.CompletedProcess[str]:
    """Runs storescu, dcmsend or echoscu against `port`."""
    argv = [program(tool), "-v", "-aet", calling, "-aec", called, HOST, str(port), *map(str, args)]
    return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=30, check=False)


def convert(*argv: str | Path) -> None:
    """Runs one of DCMTK's converters."""
    subprocess.run([program(str(argv[0])), *map(str, argv[1:])], check=True, timeout=30, capture_output=True)


def associate_pdu(
    calling: str = "MODALITY", called: str = OURS, syntaxes: Sequence[str] = ("1.2.840.10008.1.2",)
) -> bytes:
    """An A-ASSOCIATE-RQ for Verification (PS3.8 9.3.2), made by hand."""
    wanted = _item(0x30, b"1.2.840.10008.1.1") + b"".join(_item(0x40, s.encode()) for s in syntaxes)
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, b"\1\0\0\0" + wanted)
    body += _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"2.25.1"))
    return struct.pack(">BxI", 1, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
