"""A hospital in which everything that has an alert can go wrong: a PACS that knows us, one that does not, a RIS, an archive."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pydicom

from tests.support.certificates import Authority
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Orthanc
from tests.support.process import HOST, free_port, program

CONFIG: Final = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
bind = "127.0.0.1"
port = {receiver}
processes = 2
min_free_disk = "1 MB"
max_outbox = "110 KB"

[health]
socket = "{folder}/health.sock"

[metrics]
port = {metrics}

[[pacs]]
name = "main"
ae_title = "MAIN"
host = "127.0.0.1"
port = {main}
response_timeout = "10s"
max_rate = "100 KiB/s"

[[pacs]]
name = "strange"
ae_title = "STRANGE"
host = "127.0.0.1"
port = {strange}

[[pacs]]
name = "old"
ae_title = "OLD"
host = "127.0.0.1"
port = {old}
{tls}

[[ris]]
name = "ris"
url = "sqlite:///{folder}/ris.sqlite"

[[project]]
name = "chest"
pacs = ["main"]
[project.source]
ris = "ris"
schedule = "1s"
query = "select accession_number, patient_id, changed_at from exam where pacs = 'main' and changed_at >= :since"
cursor = "changed_at"
[project.deidentify]
keep = {kept}
[[project.deliver]]
type = "directory"
path = "{folder}/archive"

[[project]]
name = "knee"
pacs = ["strange"]
[project.source]
ris = "ris"
schedule = "1s"
query = "select accession_number, patient_id, changed_at from exam where pacs = 'strange' and changed_at >= :since"
cursor = "changed_at"
[[project.deliver]]
type = "directory"
path = "{folder}/archive2"
"""
GENEROUS: Final = """
ContrastBolusAgent Radiopharmaceutical InterventionDrugName DeviceID PlateID GeneratorID GridID CassetteID GantryID DoseModeName
SecondaryCaptureDeviceID DigitalImageFormatAcquired ContrastBolusRoute TriggerSourceOrType CardiacFramingType PhosphorType
RadiopharmaceuticalRoute PVCRejection PaddleDescription AcquisitionMode AcquisitionFieldOfViewLabel ProcessingFunction
MultiCoilConfiguration ASLTechniqueDescription FieldOfViewDescription ASLCrusherDescription NTPSourceAddress ApplicationName
AlgorithmDescription InstructionText ProtocolElementName
"""
"""Elements that the project keeps. With the patient's name in each of them verification finds more than it has tries to mend."""
PLAIN: Final = SeriesSpec("CT", "Thorax", 4)
LABELLED: Final = SeriesSpec("CT", "Thorax", 2, burned_in="YES")
LARGE: Final = SeriesSpec("CT", "Thorax", 30)
ORDINARY: Final = 6


def leaky(study: StudyFacts) -> StudyFacts:
    """The patient's name wherever the project keeps what stands there."""
    for file in study.files:
        ds = pydicom.dcmread(file)
        for keyword in GENEROUS.split():
            setattr(ds, keyword, study.patient["name"].replace("^", " "))
        ds.save_as(file)
    return study


class ImpatientDaemon(Daemon):
    """The real one, started by `impatient`."""

    def start(self) -> None:
        words = ["run", "--config", str(self.config), "--log-level", "info"]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.monitoring.impatient", *words], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, cwd=REPOSITORY,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def receivers(self) -> list[int]:
        """Process ids of its receive processes."""
        children = [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return [pid for pid in children if b"gateway.run.receive" in Path(f"/proc/{pid}/cmdline").read_bytes()]


class Hospital:
    """`folder`: gateway.toml, key, RIS, archives. Everything in it is synthetic."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.receiver, self.metrics = folder, free_port(), free_port()
        self.main = Orthanc("MAIN", destinations={"RESEARCH": (HOST, self.receiver)})
        self.strange = Orthanc("STRANGE")
        self.authority = Authority(folder / "ca")
        self._old, self._number = free_port(), 0
        (folder / "pseudonym.key").write_bytes(bytes(range(32)))
        (folder / "pseudonym.key").chmod(0o600)
        for name in ("archive", "archive2"):
            (folder / name).mkdir()
        with self._ris() as ris:
            ris.execute("create table exam (accession_number text, patient_id text, pacs text, changed_at text)")
        self.configure(days=1)
        self.daemon = ImpatientDaemon(folder)

    def configure(self, *, days: int, min_free: str = "1 MB") -> None:
        """gateway.toml anew. `days`: how long the certificate lasts."""
        ours = self.authority.issue(f"ours{days}", days=(-1, days))
        text = CONFIG.format(
            folder=self.folder, receiver=self.receiver, metrics=self.metrics, main=self.main.port, strange=self.strange.port,
            old=self._old, tls=ours.toml, kept=json.dumps(GENEROUS.split()),
        )  # fmt: skip
        self.daemon_config.write_text(text.replace('"1 MB"', f'"{min_free}"'))

    @property
    def daemon_config(self) -> Path:
        return self.folder / "gateway.toml"

    def admit(self, pacs: str, *series: SeriesSpec) -> None:
        """One examination more, in the PACS and in the RIS."""
        self._registered(pacs, [self._examined(*series)])

    def open(self) -> None:
        """All that is there on the first day."""
        ordinary = [self._examined(PLAIN) for _ in range(ORDINARY)]
        self._registered("main", [*ordinary, self._examined(LABELLED), leaky(self._examined(PLAIN))])
        self._registered("strange", [self._examined(PLAIN)])

    def _examined(self, *series: SeriesSpec) -> StudyFacts:
        self._number += 1
        return make_study(
            self.folder / "files", series=series, seed=self._number, patient_id=f"SYNPID{self._number:04d}",
            name="Testperson^Synthia", birth_date="19501110", accession=f"SYNACC{self._number:04d}", study_date="20240503",
            description="CT Thorax",
        )  # fmt: skip

    def _registered(self, pacs: str, studies: list[StudyFacts]) -> None:
        {"main": self.main, "strange": self.strange}[pacs].upload([file for study in studies for file in study.files])
        for study in studies:
            self.ask(pacs, study.patient["accession"], study.patient["patient_id"])

    def ask(self, pacs: str, accession: str, patient_id: str = "SYNPID") -> None:
        """A row of the RIS."""
        with self._ris() as ris:
            ris.execute("insert into exam values (?, ?, ?, datetime('now'))", (accession, patient_id, pacs))

    def call_wrongly(self, times: int) -> None:
        """Associations of somebody whom nobody knows."""
        argv = [program("echoscu"), "-aet", "NOBODY", "-aec", "RESEARCH", HOST, str(self.receiver)]
        for _ in range(times):
            assert subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode != 0

    def move(self, name: str, to: str) -> None:
        (self.folder / name).rename(self.folder / to)

    def close(self) -> None:
        self.daemon.kill_group()
        self.main.stop()
        self.strange.stop()

    @contextlib.contextmanager
    def _ris(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.folder / "ris.sqlite", timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()
