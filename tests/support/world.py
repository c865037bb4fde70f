"""A small hospital: a RIS view with its odd rows, a PACS full of studies, and what the archive must hold in the end.

60 RIS rows: 43 accession numbers the PACS knows (5 of them shared by a CT and an ultrasound study), 12 it does not know,
3 malformed, 2 duplicates. Kept by the project's rules: the thorax series of CT studies, without their secondary captures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import sqlalchemy as sa

from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import PASSWORD, PacsPeer, Postgres, free_port

KNOWN, SHARED, UNKNOWN = 43, 5, 12
MALFORMED = ("BAD*1", "BAD\t2", "X" * 70)
THORAX = SeriesSpec("CT", "Thorax 1.5", 12)
SCOUT = SeriesSpec("CT", "Scout", 2)
CAPTURES = SeriesSpec("CT", "Thorax captures", 6, image_type=("DERIVED", "SECONDARY"))
DRAGGED = SeriesSpec("US", "Thorax sono", 3)

CONFIG = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{key}"

[receiver]
ae_title = "RESEARCH"
bind = "127.0.0.1"
port = {receiver}
processes = 2
min_free_disk = "100 MB"

[health]
socket = "{folder}/health.sock"

[metrics]
bind = "127.0.0.1"
port = {metrics}

[[pacs]]
name = "main"
ae_title = "{ae}"
host = "127.0.0.1"
port = {pacs}
max_moves = 2
response_timeout = "60s"

[[ris]]
name = "ris"
url = "{url}"
password_file = "{password}"

[[project]]
name = "chest-ct"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "2s"
query = "select accession_number, patient_id, study_date, modality, changed_at from research_view where changed_at >= :since"
cursor = "changed_at"

[project.select]
study = "'CT' in ModalitiesInStudy"
series = "Modality == 'CT' and NumberOfSeriesRelatedInstances >= 5"
instance = "not ('SECONDARY' in ImageType)"

[project.deidentify]
patient_id = "CHEST-{{pseudonym}}"

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""


@dataclass(frozen=True)
class Hospital:
    """The studies, by accession number, and the RIS rows that ask for them."""

    studies: tuple[StudyFacts, ...]
    rows: tuple[dict[str, object], ...]

    @property
    def instances(self) -> int:
        return sum(s.instances for s in self.studies)

    @property
    def files(self) -> list[Path]:
        return [f for s in self.studies for f in s.files]

    def identifiers(self) -> set[str]:
        """Every value that must be found nowhere, the accession numbers of unknown and malformed rows included."""
        known = {value for s in self.studies for value in s.identifiers}
        asked = {str(r[c]) for r in self.rows for c in ("accession_number", "patient_id")}
        return {v for v in known | asked if len(v) > 4}

    def wanted_pixels(self) -> list[str]:
        """The digests of the pixels that the archive must hold: read from the source files, knowing only the rules."""
        return sorted(
            pixel_digest(f) for s in self.studies for made in s.series if made.spec is THORAX for f in made.files
        )


def build_hospital(folder: Path) -> Hospital:
    studies = tuple(_studies(folder))
    return Hospital(studies, tuple(_rows(studies)))


def _studies(folder: Path) -> Iterator[StudyFacts]:
    for i in range(KNOWN):
        facts = {
            "patient_id": f"SYNPID{7000 + i}", "name": f"Testperson{i:02d}^Synthia", "birth_date": f"19{40 + i}0{1 + i % 9}17",
            "accession": f"SYNACC{i:04d}", "study_date": f"2024{1 + i % 12:02d}{1 + i % 28:02d}",
        }  # fmt: skip
        captures = (CAPTURES,) if i % 6 == 0 else ()
        yield make_study(folder, series=(THORAX, SCOUT, *captures), seed=i, **facts)
        if i < SHARED:
            yield make_study(folder, series=(DRAGGED,), seed=1000 + i, **facts)


def _rows(studies: tuple[StudyFacts, ...]) -> Iterator[dict[str, object]]:
    first = datetime(2024, 6, 1, 8, 0, tzinfo=UTC)
    known = {s.patient["accession"]: s.patient["patient_id"] for s in studies}
    days = {s.patient["accession"]: s.patient["study_date"] for s in studies}
    unknown = {f"SYNMISS{i:03d}": f"SYNPID{9000 + i}" for i in range(UNKNOWN)}
    odd = [(text, f"SYNPID{9500 + i}") for i, text in enumerate(MALFORMED)]
    twice = [(a, known[a]) for a in ("SYNACC0007", "SYNACC0008")]
    for i, (accession, pid) in enumerate([*known.items(), *unknown.items(), *odd, *twice]):
        yield {
            "accession_number": accession, "patient_id": pid, "study_date": days.get(accession, "20240601"), "modality": "CT",
            "changed_at": first + timedelta(minutes=i),
        }  # fmt: skip


def fill_ris(ris: Postgres, rows: tuple[dict[str, object], ...]) -> None:
    engine = sa.create_engine(ris.open_url)
    with engine.begin() as c:
        c.execute(sa.text("drop table if exists exam cascade"))
        c.execute(sa.text(
            "create table exam (accession_number text, patient_id text, study_date text, modality text, changed_at timestamptz)"
        ))  # fmt: skip
        c.execute(sa.text("create view research_view as select * from exam"))
        c.execute(
            sa.text("insert into exam values (:accession_number, :patient_id, :study_date, :modality, :changed_at)"), rows
        )  # fmt: skip
    engine.dispose()


def write_config(folder: Path, *, pacs: PacsPeer, ris: Postgres, key: bytes, receiver: int) -> None:
    """gateway.toml with its key and password file; `receiver`: the port the PACS sends to."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("pseudonym.key", key), ("ris.password", PASSWORD.encode())):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    (folder / "archive").mkdir()
    (folder / "gateway.toml").write_text(CONFIG.format(
        folder=folder, key=folder / "pseudonym.key", password=folder / "ris.password", receiver=receiver,
        metrics=free_port(), ae=pacs.ae_title, pacs=pacs.port, url=ris.url,
    ))  # fmt: skip


def pixel_digest(path: Path) -> str:
    return hashlib.sha256(pydicom.dcmread(path).PixelData).hexdigest()


def archive_files(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file under the archive, hidden ones too."""
    root = folder / "archive"
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()
    }
