"""Receivers that `make bench` sends to, each a fresh one with empty storage: Orthanc, DCMTK's storescp, and ours.

Each runs with TCP_NODELAY in its environment (`tests.support.process.ENVIRONMENT`), which DCMTK and Orthanc heed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.cstore.page import Page
from gateway.model import AccessionNumber, FoundSeries, Plan, PlannedSeries, Verdict, Wanted
from gateway.state import segment
from gateway.state.db import Database
from gateway.state.outbox import JOURNAL, Outbox
from gateway.state.prepared import READY as PREPARED
from gateway.state.prepared import SUFFIX
from gateway.state.store import Store
from tests.bench.receiver import KEY, OURS, PROJECT, READY
from tests.support.dicomfiles import StudyFacts
from tests.support.peers import Orthanc
from tests.support.process import ENVIRONMENT, HOST, Process, free_port, listening, new_folder, program

ROOT: Final = Path(__file__).parents[2]
TICK: Final = os.sysconf("SC_CLK_TCK")
LEAN_RECEIVER: Final = """
import sys
from gateway.run.receive import PIXELS
sys.modules.update(dict.fromkeys(PIXELS))
from tests.bench.receiver import main
main()
"""
"""As `gateway.run.receive` begins: without numpy and codecs."""
START: Final = 30.0
LOOK: Final = 0.02
"""Seconds between two looks at a receiver's memory: children of storescp live no longer than an association."""


@dataclass(frozen=True)
class Target:
    """Where to send, how many instances are there now, and the processes that are the receiver."""

    ae_title: str
    port: int
    held: Callable[[], int]
    pids: tuple[int, ...]
    folder: Path | None = None  # of ours: where the outbox is


Receiver = Callable[[StudyFacts], AbstractContextManager[Target]]


@contextlib.contextmanager
def orthanc(study: StudyFacts) -> Iterator[Target]:
    """It syncs to disk (its default), and de-identifies nothing."""
    with Orthanc(options={"StableAge": 3600, "MaximumPduLength": 131072}) as peer:

        def held() -> int:
            with urllib.request.urlopen(f"http://{HOST}:{peer.http_port}/statistics", timeout=10) as answer:
                return int(json.load(answer)["CountInstances"])

        yield Target(peer.ae_title, peer.port, held, (peer.process.pid,))


@contextlib.contextmanager
def storescp(study: StudyFacts) -> Iterator[Target]:
    """It neither syncs nor de-identifies; as shipped, but `--fork`: without it one association at a time."""
    folder, out, port = new_folder("storescp"), new_folder("storescp-out"), free_port()
    process = Process(
        [program("storescp"), "-q", "--fork", "-od", str(out), str(port)], folder=folder,
        ready=lambda: listening(port),
    )  # fmt: skip
    process.start()
    try:
        yield Target("ANY-SCP", port, lambda: len(os.listdir(out)), (process.pid,))
    finally:
        process.stop()


def ours(processes: int, *, job: str = "whole") -> Receiver:
    """`job`: see `tests.bench.receiver`."""

    @contextlib.contextmanager
    def start(study: StudyFacts) -> Iterator[Target]:
        folder = new_folder("bench")
        key = planned(folder, study)
        with contextlib.closing(_listener()) as listener, contextlib.closing(Page(0)) as page:
            shared = (listener.fileno(), page.fileno())
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", LEAN_RECEIVER, *map(str, (*shared, place, processes, folder, job, key))],
                    cwd=ROOT, pass_fds=shared, stdout=subprocess.PIPE, env={**os.environ, **ENVIRONMENT},
                )
                for place in range(processes)
            ]  # fmt: skip
            try:
                for child in children:
                    assert child.stdout is not None
                    assert child.stdout.readline() == READY, "a receive process did not start"
                _wait_for_journals(folder / "outbox" / JOURNAL, processes)
                port = listener.getsockname()[1]
                pids = tuple(child.pid for child in children)
                yield Target(OURS, port, lambda: len(Outbox(folder / "outbox").files(key)), pids, folder)
            finally:
                end(children)

    return start


def _wait_for_journals(journal: Path, processes: int) -> None:
    """A receive process writes 64 MiB when it starts, which is no part of receiving."""
    deadline = time.monotonic() + START
    while True:
        segments, prepared = list(journal.glob(f"*{segment.SUFFIX}")), list(journal.glob(f"*{SUFFIX}/*"))
        if len(segments) == 2 * processes and len(prepared) == PREPARED * processes:
            return
        assert time.monotonic() < deadline, "a receive process made no journal"
        time.sleep(LOOK)


def _listener() -> socket.socket:
    listener = socket.create_server((HOST, 0), backlog=128)
    listener.setblocking(False)
    return listener


def planned(folder: Path, study: StudyFacts) -> str:
    """Makes the state of a request for the study, just planned. Returns the key of its first series."""
    database = Database(folder / "state.sqlite")
    store = Store(database, KEY, node="bench")
    wanted = Wanted(PROJECT, AccessionNumber(study.patient["accession"]), patient_id=study.patient["patient_id"])
    store.add_requests([wanted], (), project=PROJECT, cursor=None, now=time.time())
    (claim,) = store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=time.time())
    found = [
        FoundSeries(study.StudyInstanceUID, s.SeriesInstanceUID, {"Modality": "CT"}, len(s.files)) for s in study.series
    ]
    plan = Plan(series=tuple(PlannedSeries("main", one, Verdict(True)) for one in found), studies=1)
    assert store.settle_found(claim, plan, now=time.time())
    key = store.expected(study.StudyInstanceUID)[0].key
    database.close()
    return key


def end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
        if child.stdout:
            child.stdout.close()


class Watch:
    """CPU seconds of processes and all their children, and the highest resident set of any one (bytes), while it is open."""

    def __init__(self, pids: tuple[int, ...]) -> None:
        self._pids, self._stop = pids, threading.Event()
        self.cpu, self.peak = 0.0, 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._before = self._ticks()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.cpu = (self._ticks() - self._before) / TICK

    def _look(self) -> None:
        while not self._stop.wait(LOOK):
            self.peak = max(self.peak, *(high_water(pid) for pid in self._all()))

    def _all(self) -> list[int]:
        found, todo = [], list(self._pids)
        while todo:
            found.append(todo.pop())
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{found[-1]}/task").iterdir():
                    todo += map(int, (task / "children").read_text().split())
        return found

    def _ticks(self) -> int:
        """Children that have ended are in their parent's account."""
        total = 0
        for pid in self._all():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += sum(map(int, fields[11:15]))
        return total


def high_water(pid: int) -> int:
    """Peak resident set in bytes; 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0
