"""`make bench`: how many instances per second we receive, clean and keep, beside what Orthanc and DCMTK's storescp store.

One sender that is never the bottleneck (`tests.bench.sender`) sends the same synthetic CT objects (525 KB, and small ones of 40 KB)
to real peers and to ours; rounds alternate, each begins with empty storage, and each is checked: all instances are there. Two of
ours: "parser" writes what arrives as storescp does (no cleaning, no sync); "whole job" de-identifies, verifies, syncs and only then
answers. "The disk alone" writes and syncs the same files and does nothing else: the most that anybody can do who syncs. At the end
the same from DCMTK's dcmsend as it is shipped, with Nagle's algorithm on, as most hospitals have it.

A target that is missed is printed as NOT MET; it is a measurement, not a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.machine import apart, cleared, synced_alone
from tests.bench.targets import ROOT, Receiver, Target, Watch, orthanc, ours, storescp
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.process import HOST, new_folder, program

DEADLINE = 180.0  # seconds that a round may take
SIZES = {"CT 525 KB": (512, 1), "small 40 KB": (144, 2)}
"""Rows and columns, and how many times as many instances are sent."""


@dataclass
class Measured:
    """One receiver's rounds: instances/s, CPU seconds per 1,000 instances, highest resident set (bytes)."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@dataclass(frozen=True)
class Aim:
    """`receiver` is to be `factor` times as fast as `peer`, with so many associations."""

    receiver: str
    peer: str
    factor: float
    associations: tuple[int, ...]


TARGETS = (
    Aim("ours, parser", "storescp", 1.3, (1, 2, 4)),
    Aim("ours, whole job", "orthanc", 3.0, (1, 2)),
    Aim("ours, whole job", "storescp", 0.5, (1, 2, 4)),
)


def corpus(folder: Path, instances: int, side: int) -> StudyFacts:
    """One CT series of `side` x `side` pixels of two bytes, and a header as nasty as real ones."""
    return make_study(
        folder, patient_id="SYN-PID-9", name="Benchsynth^Berta", birth_date="19500102", accession="SYN-ACC-9",
        study_date="20240503", series=[SeriesSpec("CT", "Thorax", instances, rows=side, columns=side)],
    )  # fmt: skip


@dataclass(frozen=True)
class Sender:
    """Ours, or DCMTK's dcmsend as it is shipped."""

    associations: int
    shipped: bool = False

    def __str__(self) -> str:
        return f"{'dcmsend as shipped' if self.shipped else 'sender'} x{self.associations}"

    def send(self, target: Target, study: StudyFacts) -> float:
        """Seconds until all are sent and answered with success. Raises RuntimeError when one is not."""
        seconds, bad = self._dcmsend(target, study) if self.shipped else self._ours(target, study)
        if bad or target.held() != study.instances:
            raise RuntimeError(f"{self}: {bad} answers were no success, {target.held()} of {study.instances} kept")
        return seconds

    def _ours(self, target: Target, study: StudyFacts) -> tuple[float, int]:
        argv = [sys.executable, "-m", "tests.bench.sender", str(target.port), target.ae_title, str(self.associations)]
        files = "\n".join(map(str, study.files))
        done = subprocess.run(argv, cwd=ROOT, input=files, capture_output=True, text=True, timeout=DEADLINE, check=True)
        told = json.loads(done.stdout)
        return told["seconds"], told["bad"]

    def _dcmsend(self, target: Target, study: StudyFacts) -> tuple[float, int]:
        environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
        argv = [program("dcmsend"), "-q", "-aec", target.ae_title, HOST, str(target.port)]
        began = time.monotonic()
        done = subprocess.run([*argv, *map(str, study.files)], env=environment, timeout=DEADLINE, check=False)
        return time.monotonic() - began, done.returncode


def rounds(receivers: Mapping[str, Receiver], sender: Sender, study: StudyFacts, number: int) -> dict[str, Measured]:
    """The receivers take turns."""
    found = {name: Measured() for name in receivers}
    for _ in range(number):
        for name, receiver in receivers.items():
            with cleared(), receiver(study) as target, Watch(target.pids) as watch:
                found[name].rates.append(study.instances / sender.send(target, study))
            found[name].cpu.append(watch.cpu * 1000 / study.instances)
            found[name].peak = max(found[name].peak, watch.peak)
    return found


def report(size: str, sender: Sender, found: Mapping[str, Measured]) -> None:
    for name, one in found.items():
        ratios = "".join(f" {one.rate / found[peer].rate:6.2f} x {peer}" for peer in ("storescp", "orthanc"))
        speed = f"{one.rate:7.1f}/s ({min(one.rates):.0f}-{max(one.rates):.0f})"
        cost = f"{statistics.median(one.cpu):6.2f} CPU s/1000  {one.peak / 1e6:5.0f} MB"
        print(f"{size:12} {sender!s:21} {name:16} {speed:24} {ratios}  {cost}", flush=True)


def judge(size: str, sender: Sender, found: Mapping[str, Measured]) -> None:
    for target in TARGETS:
        if sender.associations in target.associations and target.receiver in found:
            ratio = found[target.receiver].rate / found[target.peer].rate
            word = "met" if ratio >= target.factor else "NOT MET"
            said = f"{target.receiver} at least {target.factor} x {target.peer}: {ratio:.2f}"
            print(f"{size:12} {sender!s:21} target {said}  {word}", flush=True)


def disk(size: str, sender: Sender, peer: Measured, study: StudyFacts, number: int) -> None:
    """What the disk allows: the same files kept as we promise it, by threads that receive and clean nothing."""
    rates = []
    for _ in range(number):
        with cleared():
            rates.append(synced_alone(study.files, sender.associations))
    rate = statistics.median(rates)
    speed = f"{rate:7.1f}/s ({min(rates):.0f}-{max(rates):.0f})"
    print(
        f"{size:12} {f'threads x{sender.associations}':21} {'the disk alone':16} {speed:24} {rate / peer.rate:6.2f} x storescp",
        flush=True,
    )


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("-n", "--instances", type=int, default=600)
    wants.add_argument("-r", "--rounds", type=int, default=3)
    wants.add_argument("-a", "--associations", type=int, nargs="+", default=[1, 2, 4])
    wants.add_argument("-p", "--processes", type=int, default=2, help="our receive processes")
    wants.add_argument("-s", "--sizes", nargs="+", choices=[name.split()[0] for name in SIZES], default=None)
    wants.add_argument(
        "--folder", type=Path, help="where everybody keeps what comes; /dev/shm: as on a disk that costs nothing"
    )
    asked = wants.parse_args()
    apart(asked.folder)
    receivers: dict[str, Receiver] = {
        "storescp": storescp, "orthanc": orthanc, "ours, parser": ours(asked.processes, job="parser"),
        "ours, whole job": ours(asked.processes),
    }  # fmt: skip
    for size, (side, times) in SIZES.items():
        if asked.sizes is None or size.split()[0] in asked.sizes:
            measure(size, receivers, side, asked.instances * times, asked)


def measure(size: str, receivers: Mapping[str, Receiver], side: int, instances: int, asked: argparse.Namespace) -> None:
    folder = new_folder("corpus")
    study = corpus(folder, instances, side)
    for sender in map(Sender, asked.associations):
        found = rounds(receivers, sender, study, asked.rounds)
        report(size, sender, found)
        judge(size, sender, found)
        disk(size, sender, found["storescp"], study, asked.rounds)
    shipped = Sender(1, shipped=True)
    few = corpus(folder / "few", 40, side)  # a peer takes 20 of them a second
    report(size, shipped, rounds(receivers, shipped, few, 1))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
