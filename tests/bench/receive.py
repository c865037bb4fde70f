"""`make bench`: how many instances per second we receive, clean and keep, beside what Orthanc stores, in the same minutes.

DCMTK's dcmsend or storescu sends the same synthetic CT objects (525 KB) to a real Orthanc, which syncs to disk, and to our
receive processes, which de-identify, verify, sync and only then answer. Rounds alternate; each begins with empty storage,
and every round is checked: all instances are there. `-d`: the sender as DCMTK ships it (Nagle) instead of with TCP_NODELAY.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gateway.model import AccessionNumber, FoundSeries, Plan, PlannedSeries, Verdict, Wanted
from gateway.state.db import Database
from gateway.state.outbox import Outbox
from gateway.state.store import Store
from tests.bench.receiver import KEY, OURS, PROJECT, READY
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Orthanc
from tests.support.process import HOST, new_folder, program

DEADLINE = 120.0  # seconds that a round may take
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """Where to send, and how many instances are there now."""

    ae_title: str
    port: int
    held: Callable[[], int]


Receiver = Callable[[StudyFacts], AbstractContextManager[Target]]


def corpus(folder: Path, instances: int) -> StudyFacts:
    """One CT series of 512 x 512 pixels, 525 KB each."""
    return make_study(
        folder, patient_id="SYN-PID-9", name="Benchsynth^Berta", birth_date="19500102", accession="SYN-ACC-9",
        study_date="20240503", series=[SeriesSpec("CT", "Thorax", instances, rows=512, columns=512)],
    )  # fmt: skip


@contextlib.contextmanager
def orthanc(study: StudyFacts) -> Iterator[Target]:
    with Orthanc(options={"StableAge": 3600, "MaximumPduLength": 131072}) as peer:

        def held() -> int:
            with urllib.request.urlopen(f"http://{HOST}:{peer.http_port}/statistics", timeout=10) as answer:
                return int(json.load(answer)["CountInstances"])

        yield Target(peer.ae_title, peer.port, held)


def ours(processes: int) -> Receiver:
    @contextlib.contextmanager
    def start(study: StudyFacts) -> Iterator[Target]:
        folder = new_folder("bench")
        key = planned(folder, study)
        with socket.create_server((HOST, 0), backlog=128) as listener:
            argv = [sys.executable, "-m", "tests.bench.receiver", str(listener.fileno()), str(folder)]
            children = [
                subprocess.Popen(argv, cwd=ROOT, pass_fds=[listener.fileno()], stdout=subprocess.PIPE)
                for _ in range(processes)
            ]
            try:
                for child in children:
                    assert child.stdout is not None
                    assert child.stdout.readline() == READY, "a receive process did not start"
                port = listener.getsockname()[1]
                yield Target(OURS, port, lambda: len(Outbox(folder / "outbox").files(key)))
            finally:
                end(children)

    return start


def planned(folder: Path, study: StudyFacts) -> str:
    """Makes the state of a request for the study, just planned. Returns the series' key."""
    database = Database(folder / "state.sqlite")
    store = Store(database, KEY, node="bench")
    wanted = Wanted(PROJECT, AccessionNumber(study.patient["accession"]), patient_id=study.patient["patient_id"])
    store.add_requests([wanted], (), project=PROJECT, cursor=None, now=time.time())
    (claim,) = store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=time.time())
    found = FoundSeries(study.StudyInstanceUID, study.series[0].SeriesInstanceUID, {"Modality": "CT"}, study.instances)
    plan = Plan(series=(PlannedSeries("main", found, Verdict(True)),), studies=1)
    assert store.settle_found(claim, plan, now=time.time())
    (row,) = store.expected(study.StudyInstanceUID)
    database.close()
    return row.key


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


@dataclass(frozen=True)
class Sender:
    """A DCMTK tool, and how many of it share the work at once."""

    tool: str
    associations: int
    nodelay: bool

    def __str__(self) -> str:
        return f"{self.tool} x{self.associations}{'' if self.nodelay else ' as shipped'}"

    def send(self, target: Target, study: StudyFacts) -> float:
        """Seconds until all are sent and answered with success. Raises RuntimeError when one is not."""
        environment = {**os.environ, "TCP_NODELAY": "1"} if self.nodelay else dict(os.environ)
        argv = [program(self.tool), "-q", "-aec", target.ae_title, HOST, str(target.port)]
        shares = [study.files[i :: self.associations] for i in range(self.associations)]
        started = time.monotonic()
        running = [subprocess.Popen([*argv, *map(str, share)], env=environment) for share in shares]
        try:
            codes = [process.wait(DEADLINE) for process in running]
        finally:
            for process in running:
                process.kill()
        seconds = time.monotonic() - started
        if any(codes) or target.held() != study.instances:
            raise RuntimeError(f"{self}: exit codes {codes}, {target.held()} of {study.instances} instances kept")
        return seconds


def rounds(receivers: dict[str, Receiver], sender: Sender, study: StudyFacts, number: int) -> dict[str, list[float]]:
    """Instances per second of each receiver, by round; the receivers take turns."""
    rates: dict[str, list[float]] = {name: [] for name in receivers}
    for _ in range(number):
        for name, receiver in receivers.items():
            with receiver(study) as target:
                rates[name].append(study.instances / sender.send(target, study))
    return rates


def report(sender: Sender, rates: dict[str, list[float]]) -> None:
    base = statistics.median(rates["orthanc"])
    for name, found in rates.items():
        middle = statistics.median(found)
        numbers = f"{middle:8.1f} instances/s (min {min(found):.1f}, max {max(found):.1f})"
        print(f"{sender!s:24} {name:12} {numbers}  {middle / base:5.2f} x orthanc", flush=True)


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("-n", "--instances", type=int, default=200)
    wants.add_argument("-r", "--rounds", type=int, default=3)
    wants.add_argument("-a", "--associations", type=int, nargs="+", default=[1, 2])
    wants.add_argument("-p", "--processes", type=int, nargs="+", default=[2])
    wants.add_argument("-t", "--tool", choices=["dcmsend", "storescu"], default="dcmsend")
    wants.add_argument("-d", "--as-shipped", action="store_true", help="the sender without TCP_NODELAY")
    asked = wants.parse_args()
    study = corpus(new_folder("corpus"), asked.instances)
    receivers = {"orthanc": orthanc, **{f"ours, {p} proc": ours(p) for p in asked.processes}}
    for associations in asked.associations:
        sender = Sender(asked.tool, associations, not asked.as_shipped)
        report(sender, rounds(receivers, sender, study, asked.rounds))


if __name__ == "__main__":
    main()
