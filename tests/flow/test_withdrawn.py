"""Withdrawal with the whole daemon, its receive processes and a PACS: before anything is delivered, and after.

Afterwards a search of every byte in archive, outbox, state, audit trail, log, metrics and what commands said finds no trace of the
patients but their pseudonyms, in the audit trail.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner

from gateway.dicom.qrscp import EmbeddedPacs
from gateway.run.commands.group import pacs_gateway
from gateway.run.demo.site import free_ports
from gateway.state.outbox import JOURNAL
from tests.run.command_line import furnish
from tests.support.daemon import Daemon
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import files_below, leaks

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
PEOPLE = {"SYNPID6001": "Annasynth", "SYNPID6002": "Bertsynth", "SYNPID6003": "Cleosynth"}
EARLY, LATER, STAYS = PEOPLE


@dataclass
class Hospital:
    """Two examinations of each person in the PACS; the RIS tells of one, or of both."""

    folder: Path
    daemon: Daemon
    studies: dict[str, list[StudyFacts]]

    def tell(self, patient: str, number: int) -> None:
        with closing(sqlite3.connect(self.folder / "ris.sqlite")) as ris, ris:
            row = (self.studies[patient][number].patient["accession"], patient)
            ris.execute("insert into research_view values (?, ?)", row)
        ris.close()

    def archived(self) -> list[Path]:
        return [p for p in (self.folder / "archive").rglob("*") if p.is_file()]

    def series(self) -> dict[str, int]:
        found: dict[str, int] = self.daemon.status()["queues"]["series"].get("chest", {})
        return found

    def withdraw(self, *words: str) -> str:
        code, said = self.say("withdraw", "--project", "chest", "--reason", "asked to", *words)
        assert code == 0, said
        return said

    def say(self, *words: str) -> tuple[int, str]:
        told = CliRunner().invoke(pacs_gateway, [*words, "--config", str(self.daemon.config)], standalone_mode=False)
        return int(told.return_value), told.output

    def look_again(self) -> None:
        """What rests because its archive was away is due now, not in half a minute."""
        with closing(sqlite3.connect(self.folder / "state" / "state.sqlite")) as state, state:
            state.execute("update series set not_before = 0")
        state.close()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    studies = {patient: [_study(tmp_path / "in", patient, n) for n in (1, 2)] for patient in PEOPLE}
    (receiver,) = free_ports(1)
    files = [f for found in studies.values() for s in found for f in s.files]
    pacs = EmbeddedPacs("EMBEDDED", files, {"RESEARCH": ("127.0.0.1", receiver)})
    furnish(tmp_path, ae="EMBEDDED", pacs=pacs.start())
    config = tmp_path / "gateway.toml"
    text = config.read_text().replace('schedule = "1h"', 'schedule = "1s"')
    config.write_text(re.sub(r"(\[receiver\]\n.*\nport = )\d+", rf"\g<1>{receiver}", text))
    with closing(sqlite3.connect(tmp_path / "ris.sqlite")) as ris, ris:
        ris.execute("delete from research_view")
    daemon = Daemon(tmp_path)
    yield Hospital(tmp_path, daemon, studies)
    daemon.kill_group()
    pacs.stop()


def _study(folder: Path, patient: str, number: int) -> StudyFacts:
    return make_study(
        folder, series=(SeriesSpec("CT", "Thorax", 4),), seed=number, patient_id=patient, name=f"{PEOPLE[patient]}^Synthia",
        birth_date="19511017", accession=f"SYNACC{patient[-4:]}{number}", study_date="20240118",
    )  # fmt: skip


def test_withdrawn_before_delivery_and_after_it(hospital: Hospital) -> None:
    daemon, archive = hospital.daemon, hospital.folder / "archive"
    daemon.start()
    daemon.wait_ready()
    archive.rename(hospital.folder / "unmounted")  # retrieved, but not delivered
    for patient in PEOPLE:
        hospital.tell(patient, 0)
    daemon.wait_until(lambda: hospital.series() == {"retrieved": 3}, 60)
    (hospital.folder / "unmounted").rename(archive)
    said = hospital.withdraw("--patient-id", EARLY)
    daemon.stop()
    hospital.look_again()
    daemon.start()  # a restart, and what rested is delivered
    daemon.wait_until(lambda: hospital.series() == {"confirmed": 2, "withdrawn": 1}, 60)
    pseudonyms = {str(pydicom.dcmread(p).PatientID) for p in hospital.archived()}
    assert len(pseudonyms) == 2
    said += hospital.withdraw("--patient-id", LATER)
    left = {str(pydicom.dcmread(p).PatientID) for p in hospital.archived()}
    assert len(left) == 1 and len(hospital.archived()) == 4
    for patient in PEOPLE:  # they come to the hospital again
        hospital.tell(patient, 1)
    daemon.wait_until(lambda: hospital.series() == {"confirmed": 2, "withdrawn": 2}, 60)
    assert {str(pydicom.dcmread(p).PatientID) for p in hospital.archived()} == left
    metrics = daemon.get("/metrics")[1]
    assert daemon.stop() == 0
    told = [("log", daemon.log.read_bytes()), ("metrics", metrics), ("said", said.encode())]
    places = [*files_below(archive, hospital.folder / "state"), *told]
    gone = {v for p in (EARLY, LATER) for s in hospital.studies[p] for v in s.identifiers if len(v) > 4}
    assert leaks(gone, places) == []
    traces = leaks(pseudonyms - left, [p for p in places if p[0] != "said"])
    assert {trace.split(":")[0] for trace in traces} == {"audit.jsonl"}
    assert {p.name for p in (hospital.folder / "state" / "outbox").iterdir()} <= {JOURNAL}
    assert hospital.say("audit", "verify")[0] == 0
