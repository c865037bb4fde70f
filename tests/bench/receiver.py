"""The receiving stack of a benchmark: `python -m tests.bench.receiver LISTENER_FD FOLDER`; SIGTERM drains and ends it.

FOLDER holds the state (database, outbox) in which the study to come is planned already. Nothing in here is simplified but
the counting, which goes nowhere.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from pathlib import Path

from gateway.cstore.receive import Receive
from gateway.cstore.space import WhileRoom
from gateway.deidentify.cleaner import make_cleaner
from gateway.dicom.quiet import silence
from gateway.dicom.server import StorageServer
from gateway.ops import log
from gateway.settings import Deidentify
from gateway.state.db import Database
from gateway.state.outbox import Outbox
from gateway.state.store import Store

KEY = bytes(range(32))
PROJECT, OURS = "bench", "RESEARCH"
READY = b"ready\n"


class Uncounted:
    """A Count for which nothing counts."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...

    def set(self, name: str, value: float, **labels: str) -> None: ...


def serve(listener: socket.socket, folder: Path, stop: threading.Event) -> None:
    """Receives, cleans and keeps until `stop` is set."""
    count = Uncounted()
    cleaner = make_cleaner(project=PROJECT, deidentify=Deidentify(), instance_rule=None, key=KEY)
    store = Store(Database(folder / "state.sqlite"), KEY, node="bench")
    receive = Receive(
        store=store, outbox=Outbox(folder / "outbox"), cleaners={PROJECT: cleaner}, count=count, clock=time.time
    )
    room = WhileRoom(receive.store, folder=folder, minimum=1 << 20, count=count, clock=time.time)
    server = StorageServer(
        OURS, listener, admit=lambda calling, address: True, on_store=room.store, max_associations=32, count=count
    )
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    server.serve(stop)


def main() -> None:
    silence()
    log.configure("info", sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), stop)


if __name__ == "__main__":
    main()
