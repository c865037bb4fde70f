"""Where the soak runs: two PACS that fail as real ones do, a RIS, a folder and a DICOM archive, the real daemon between them.

What the PACS have, and how their moves fail, is that of `tests.flow.daily`: of a hundred accession numbers 20 are known to no
PACS, 5 have several studies, 3 have another patient's, 7 are ultrasound; of every ten examinations the moves of one fail at first;
a sixth is in the old PACS, which fetches from tape.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

from tests.faults.sending import message
from tests.flow import daily
from tests.flow.daily import MAIN, OLD, Archive, Exam, Holding
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.dicomfiles import SeriesSpec, make_study
from tests.support.peers import Orthanc
from tests.support.process import free_port
from tests.support.scripted_pacs import aborts
from tests.support.scripting import ScriptedPacs

THORAX: Final = SeriesSpec("CT", "Thorax", 6, rows=32, columns=32)
SONO: Final = SeriesSpec("US", "Sono", 1, rows=64, columns=64)
SETTLED: Final = ("new", "planned", "retrieved", "delivered")
"""States of requests and series in which something is still to be done."""
CONFIG: Final = (
    daily.TWO_PACS
    + """
[[ris]]
name = "ris"
url = "sqlite:///{folder}/ris.sqlite"
"""
)
PROJECT: Final = """
[[project]]
name = "{name}"
pacs = ["main", "old"]

[project.source]
ris = "ris"
schedule = "1s"
query = "select accession_number, patient_id, study_date, modality, changed_at from {name} where changed_at >= :since"
cursor = "changed_at"
overlap = "1m"
recheck = ["30s", "5m"]

[project.select]
study = "'{modality}' in ModalitiesInStudy"

[project.deidentify]
options = {options}

[[project.deliver]]
type = "directory"
path = "{folder}/{name}"
"""
DICOM: Final = """
[[project.deliver]]
type = "dicom"
ae_title = "RESEARCHPACS"
host = "127.0.0.1"
port = {port}
storage_commitment = false
"""
TABLE: Final = "(accession_number text, patient_id text, study_date text, modality text, changed_at text)"


def exams(count: int) -> list[Exam]:
    """Those of `daily.exams`."""
    return daily.exams(count)


class LeakingDaemon(Daemon):
    """`tests.ops.leaking`."""

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.ops.leaking", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=REPOSITORY
            )


class Site:
    """In `folder`, with everything in its PACS that it will ever be asked for. A context manager."""

    def __init__(self, folder: Path, wanted: Sequence[Exam], daemon: type[Daemon] = Daemon) -> None:
        self.folder, self.receiver, self.metrics = folder, free_port(), free_port()
        self.state, self.daemon, self.asked = folder / "state", daemon(folder, level="info"), 0
        self.exams = wanted
        self._holdings = [h for exam in wanted for h in _held(folder / "files", exam)]
        self._pacs: dict[str, ScriptedPacs] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in (MAIN, OLD):
                self._pacs[name] = stack.enter_context(Archive(name, self._holdings, self.receiver).pacs())
            archive = stack.enter_context(Orthanc("RESEARCHPACS"))
            self._furnish(archive.port)
            stack.callback(self.daemon.kill_group)
            self.daemon.start()
            self.daemon.wait_ready(300)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _furnish(self, archive: int) -> None:
        (self.folder / "pseudonym.key").touch(mode=0o600)
        (self.folder / "pseudonym.key").write_bytes(bytes(range(32)))
        ports = {name: pacs.port for name, pacs in self._pacs.items()}
        text = CONFIG.format(folder=self.folder, receiver=self.receiver, metrics=self.metrics, **ports)
        with self.ris() as c:
            for name, modality, options in (("chest", "CT", "[]"), ("sono", "US", '["clean-pixel-data"]')):
                (self.folder / name).mkdir()
                c.execute(f"create table {name} {TABLE}")
                text += PROJECT.format(folder=self.folder, name=name, modality=modality, options=options)
                text += DICOM.format(port=archive) if name == "chest" else ""
        self.daemon.config.write_text(text)

    # ---- the RIS

    @contextlib.contextmanager
    def ris(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.folder / "ris.sqlite", timeout=20)) as connection, connection:
            yield connection

    def ask(self, wanted: Sequence[Exam]) -> None:
        """Rows of the RIS: every examination for the one project, ultrasound for the other as well."""
        rows = [(exam.accession, exam.patient, daily.day(exam), exam) for exam in wanted]
        with self.ris() as c:
            for accession, patient, date, exam in rows:
                modality = "US" if exam.kind == "excluded" else "CT"
                for name in ("chest", "sono") if modality == "US" else ("chest",):
                    c.execute(
                        f"insert into {name} values (?, ?, ?, ?, datetime('now'))", (accession, patient, date, modality)
                    )
                    self.asked += 1

    # ---- what fails

    @contextlib.contextmanager
    def without_pacs(self) -> Iterator[None]:
        """The main PACS takes associations, and aborts them."""
        pacs = self._pacs[MAIN]
        find, move = pacs.find, pacs.move
        pacs.find = pacs.move = aborts
        try:
            yield
        finally:
            pacs.find, pacs.move = find, move

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A file or folder is away: the RIS, an archive."""
        (self.folder / name).rename(self.folder / f"{name}.away")
        try:
            yield
        finally:
            (self.folder / f"{name}.away").rename(self.folder / name)

    # ---- how far it is

    def later(self) -> None:
        """Pauses of requests and series between tries end, as if hours went by."""
        with contextlib.closing(sqlite3.connect(self.state / "state.sqlite", timeout=20)) as c, c:
            c.execute("update series set not_before = 0 where state = 'planned' and not_before > 0")
            c.execute("update request set not_before = 0 where state = 'new' and not_before > 0")

    def under_way(self) -> int:
        """Requests and series with something still to do, and rows of the RIS that were not read yet."""
        code, body = self.daemon.get("/status")
        if code != HTTPStatus.OK:  # the state is busy: that is no answer
            print(f"GET /status: {code} {body!r}", file=sys.stderr, flush=True)
            return 1
        queues = json.loads(body)["queues"]
        found = [states for kind in ("requests", "series") for states in queues[kind].values()]
        known = sum(sum(states.values()) for states in queues["requests"].values())
        return int(sum(states.get(state, 0) for states in found for state in SETTLED)) + self.asked - int(known)

    def counted(self, name: str) -> float:
        """Sum of a metric over its labels, as scraped last."""
        return sum(
            float(found) for found in re.findall(rf"^pacs_gateway_{name}(?:\{{.*\}})? (\S+)$", self.scraped, re.M)
        )

    scraped = ""


def _held(folder: Path, exam: Exam) -> Iterator[Holding]:
    spec = SONO if exam.kind == "excluded" else THORAX
    patient = f"OTHER{exam.number:05d}" if exam.kind == "wrong" else exam.patient
    for n in range({"empty": 0, "several": 2}.get(exam.kind, 1)):
        study = make_study(
            folder, series=[spec], seed=n, patient_id=patient, name=f"Soaksynth{exam.number:05d}^Dora", birth_date="19610203",
            accession=exam.accession, study_date=daily.day(exam),
        )  # fmt: skip
        for series in study.series:
            yield Holding(exam, study, series, [message(file) for file in series.files])
            for file in series.files:
                file.unlink()
