"""The receiving stack of a benchmark: `python -m tests.bench.receiver LISTENER_FD FOLDER JOB KEY`; SIGTERM drains and ends it.

FOLDER holds the state (database, outbox) in which the study to come is planned already, its series under KEY. JOB "whole": nothing
in here is simplified but the counting, which goes nowhere. JOB "parser": what arrives is written to a file as it came, not cleaned,
not synced, which is what storescp does.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.cstore.page import Page
from gateway.cstore.receive import Receive
from gateway.cstore.space import WhileRoom
from gateway.deidentify.cleaner import make_cleaner
from gateway.deidentify.meta import file_meta
from gateway.dicom.quiet import silence
from gateway.dicom.server import OUT_OF_RESOURCES, Incoming, StorageServer
from gateway.ops import log
from gateway.ops.core import one_heap, seldom_collect
from gateway.run.process import BEAT_SECONDS, BEATS_PER_COLLECTION
from gateway.run.receiving import Reception
from gateway.settings import Deidentify
from gateway.state.db import Database
from gateway.state.outbox import Outbox
from gateway.state.store import Store

KEY = bytes(range(32))
PROJECT, OURS = "bench", "RESEARCH"
READY = b"ready\n"
TRIES = 10


class Uncounted:
    """A Count for which nothing counts."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...

    def set(self, name: str, value: float, **labels: str) -> None: ...


def serve(
    listener: socket.socket, folder: Path, plain: Path | None, stop: threading.Event, ahead: Callable[[int], bool]
) -> None:
    """Receives until `stop` is set. `plain`: where to write what arrives, as it came. `ahead`: see StorageServer."""
    count = Uncounted()
    outbox = Outbox(folder / "outbox")
    server = StorageServer(
        OURS, listener, admit=lambda calling, address: True, max_associations=64, count=count, spool=folder / "outbox",
        on_store=AsItCame(plain).store if plain else whole(folder, outbox, count), ahead=ahead,
    )  # fmt: skip
    seldom_collect()
    threading.Thread(target=_collect, args=[stop], daemon=True).start()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    Reception(server, outbox, outbox.close).serve(stop)


def _collect(stop: threading.Event) -> None:
    """As a receive process does."""
    while not stop.wait(BEAT_SECONDS * BEATS_PER_COLLECTION):
        gc.collect()


def whole(folder: Path, outbox: Outbox, count: Uncounted) -> Callable[[Incoming], int]:
    """As `gateway.run.wiring` makes it."""
    cleaner = make_cleaner(project=PROJECT, deidentify=Deidentify(), instance_rule=None, key=KEY)
    store = Store(Database(folder / "state.sqlite"), KEY, node="bench")
    receive = Receive(store=store, outbox=outbox, cleaners={PROJECT: cleaner}, count=count, clock=time.time)
    return WhileRoom(receive.store, folder=folder, minimum=1 << 20, count=count, clock=time.time).store


class AsItCame:
    """Part 10 files of what arrived."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def store(self, incoming: Incoming) -> int:
        sop_class, instance = incoming.sop_class.encode(), incoming.SOPInstanceUID.encode()
        meta = file_meta(sop_class, instance, incoming.transfer_syntax)
        fd = self._opened(f"{self._folder}/{incoming.SOPInstanceUID}.dcm")
        try:
            written = os.writev(fd, (meta, incoming.data))
        finally:
            os.close(fd)
        return 0x0000 if written == len(meta) + len(incoming.data) else OUT_OF_RESOURCES

    def _opened(self, name: str) -> int:
        """Its folder goes with the last file where a test empties it, and may go again as soon as it is made."""
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):
                return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            self._folder.mkdir(exist_ok=True)
        raise FileNotFoundError(name)


def main() -> None:
    one_heap()
    silence()
    log.configure("info", sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    listener, page, place, of, folder, job, key = sys.argv[1:8]
    plain = Path(folder) / "outbox" / key if job == "parser" else None
    ahead = partial(Page(0, int(page)).ahead, int(place), int(of))
    serve(socket.socket(fileno=int(listener)), Path(folder), plain, stop, ahead)


if __name__ == "__main__":
    main()
