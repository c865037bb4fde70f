"""`make bench`: instances per second that we retrieve from Orthanc, beside DCMTK's movescu to a bare storescp, series by series.

Ours: the list of each series, the C-MOVE, two receive processes that de-identify, verify and sync, and each series settled in the
state. Theirs: a movescu process for each series, and storescp --fork, which neither cleans nor syncs. The same Orthanc sends to
both, in turns, with one move and with four at once; each round begins with empty storage and is checked: all instances are there.
Everybody has TCP_NODELAY. A target that is missed is printed as NOT MET; it is a measurement, not a failure.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from gateway.cmove.gate import Gate
from gateway.cmove.retrieve import MoveStep
from gateway.ops.core import keep_tables
from gateway.ops.health import Board
from gateway.settings import Pacs
from gateway.state.db import Database
from gateway.state.outbox import Outbox
from gateway.state.store import Store
from gateway.state.views import Views
from tests.bench import targets
from tests.bench.machine import apart, cleared
from tests.bench.receiver import KEY, OURS, PROJECT, Uncounted
from tests.bench.targets import Target
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Orthanc
from tests.support.process import ENVIRONMENT, HOST, new_folder, program

THEIRS: Final = "STORESCP"
TARGETS: Final = {1: 0.5, 4: 0.8}
"""Moves at once -> how fast we are to be, in parts of movescu and storescp."""
DEADLINE: Final = 180.0
SIDE: Final = 512


def corpus(series: int, instances: int) -> StudyFacts:
    """One CT study, 525 KB an instance."""
    specs = [SeriesSpec("CT", f"Thorax {n}", instances, rows=SIDE, columns=SIDE) for n in range(series)]
    return make_study(
        new_folder("move-corpus"), patient_id="SYN-PID-9", name="Benchsynth^Berta", birth_date="19500102", accession="SYN-ACC-9",
        study_date="20240503", series=specs,
    )  # fmt: skip


def introduce(peer: Orthanc, ae_title: str, port: int) -> None:
    """Orthanc knows its destinations by name, and learns new ones while it runs."""
    body = json.dumps({"AET": ae_title, "Host": HOST, "Port": port}).encode()
    wanted = urllib.request.Request(f"http://{HOST}:{peer.http_port}/modalities/{ae_title}", data=body, method="PUT")
    urllib.request.urlopen(wanted, timeout=10).close()


# ---- ours


def ours(peer: Orthanc, study: StudyFacts, moves: int) -> float:
    """Seconds until every series is settled."""
    with targets.ours(2)(study) as target:
        introduce(peer, OURS, target.port)
        assert target.folder is not None
        database = Database(target.folder / "state.sqlite")
        seconds = _moved(peer, database, target.folder, moves)
        states = dict(Views(database, KEY).counts().series)
        database.close()
        if states != {(PROJECT, "retrieved"): len(study.series)} or kept(target) != study.instances:
            raise RuntimeError(f"not everything came: {states}, {kept(target)} of {study.instances} instances")
    return seconds


def kept(target: Target) -> int:
    assert target.folder is not None
    outbox = Outbox(target.folder / "outbox")
    return sum(len(outbox.files(key)) for key in outbox.series())


def _moved(peer: Orthanc, database: Database, folder: Path, moves: int) -> float:
    pacs = Pacs(name="main", ae_title=peer.ae_title, host=peer.host, port=peer.port, max_moves=moves)
    gate = Gate(pacs, count=Uncounted(), wall=partial(datetime.fromtimestamp, tz=UTC))
    make = partial(
        MoveStep, store=Store(database, KEY, node="bench"), outbox=Outbox(folder / "outbox"), gate=gate, projects=[PROJECT],
        calling_ae=OURS, count=Uncounted(), board=Board(), clock=time.time, stop=threading.Event(),
    )  # fmt: skip
    return timed([partial(_until_done, make().step) for _ in range(moves)])


def _until_done(step: Callable[[], bool]) -> None:
    while step():
        pass


def timed(jobs: Sequence[Callable[[], object]]) -> float:
    """Seconds that they take, all at once. Raises what one of them raises."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(jobs)) as threads:
        for done in [threads.submit(job) for job in jobs]:
            done.result(DEADLINE)
    return time.monotonic() - began


# ---- theirs


def theirs(peer: Orthanc, study: StudyFacts, moves: int) -> float:
    with targets.storescp(study) as target:
        introduce(peer, THEIRS, target.port)
        left = list(study.series)

        def worker() -> None:
            while left:
                movescu(peer, study.StudyInstanceUID, left.pop().SeriesInstanceUID)

        seconds = timed([worker] * moves)
        if target.held() != study.instances:
            raise RuntimeError(f"storescp: {target.held()} of {study.instances} instances")
    return seconds


def movescu(peer: Orthanc, study_uid: str, series_uid: str) -> None:
    keys = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study_uid}", f"SeriesInstanceUID={series_uid}")
    words = [word for key in keys for word in ("-k", key)]
    argv = [program("movescu"), "-S", "-aem", THEIRS, "-aec", peer.ae_title, *words, HOST, str(peer.port)]
    done = subprocess.run(
        argv, env={**os.environ, **ENVIRONMENT}, timeout=DEADLINE, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"movescu ended with {done.returncode}: {done.stdout}{done.stderr}")


# ---- both


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("-s", "--series", type=int, default=8)
    wants.add_argument("-n", "--instances", type=int, default=50, help="of each series")
    wants.add_argument("-r", "--rounds", type=int, default=3)
    wants.add_argument(
        "--folder", type=Path, help="where everybody keeps what comes; /dev/shm: as on a disk that costs nothing"
    )
    asked = wants.parse_args()
    apart(asked.folder)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )  # the figures are what is printed
    study = corpus(asked.series, asked.instances)
    keep_tables()  # as the daemon does
    with Orthanc(options={"StableAge": 3600, "MaximumPduLength": 131072}) as peer:
        peer.upload(study.files)
        for moves, factor in TARGETS.items():
            rates: dict[str, list[float]] = {"movescu": [], "ours": []}
            for _ in range(asked.rounds):
                for name, job in (("movescu", theirs), ("ours", ours)):
                    with cleared():
                        rates[name].append(study.instances / job(peer, study, moves))
            report(moves, factor, {name: statistics.median(found) for name, found in rates.items()})


def report(moves: int, factor: float, rates: dict[str, float]) -> None:
    for name, rate in rates.items():
        print(f"moves at once: {moves}  {name:8} {rate:7.1f} instances/s", flush=True)
    ratio = rates["ours"] / rates["movescu"]
    word = "met" if ratio >= factor else "NOT MET"
    print(f"moves at once: {moves}  target at least {factor:g} x movescu to storescp: {ratio:.2f}  {word}", flush=True)


if __name__ == "__main__":
    main()
