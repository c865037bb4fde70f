"""The demo's hospital: twelve studies of people who do not exist, the RIS rows about them, and what must be kept of them.

What is kept is said here a second time and by hand (`KEPT`), not asked of the product's own rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.run.demo.images import Exam, Made, Shots, make_study

CT_STUDIES: Final = 10
CHEST: Final = Shots("CT", "Thorax 1.5 mm", 8)
LABELLED: Final = replace(CHEST, burned_in=1)
SCOUT: Final = Shots("CT", "Scout", 2)
CAPTURES: Final = Shots("CT", "Thorax screen captures", 5, image_type=("DERIVED", "SECONDARY"))
SONO: Final = Shots("US", "Thorax sonography", 4)
MR: Final = Shots("MR", "Thorax T1", 6)
KEPT: Final = (CHEST, LABELLED)

SPECIAL: Final = 4  # the CT study with everything that is excluded: scout, captures, burned-in text, and a sonography
UNKNOWN: Final = "DEMOACC9001"  # the PACS has never heard of it
MALFORMED: Final = "DEMOACC9*"  # asked of a PACS it would match half the archive
TWICE: Final = 2  # the row that a join in the view repeats

Row = tuple[str, str, str, str, str]
"""accession_number, patient_id, study_date, modality, changed_at."""


@dataclass(frozen=True)
class Hospital:
    made: tuple[Made, ...]
    rows: tuple[Row, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(m.path for m in self.made)

    @property
    def kept(self) -> tuple[Made, ...]:
        """What the archive must hold in the end."""
        return tuple(m for m in self.made if m.shots in KEPT and not m.burned_in)

    @property
    def kept_series(self) -> int:
        return len({m.path.parent for m in self.kept})

    @property
    def requests(self) -> int:
        """Accession numbers that can be asked for, each once."""
        return len({row[0] for row in self.rows} - {MALFORMED})

    def wanted(self) -> Counter[str]:
        """The pixel digests of the archive to be."""
        return Counter(m.pixels for m in self.kept)


def build_hospital(folder: Path) -> Hospital:
    """Makes its files below `folder`."""
    exams = [_exam(i) for i in range(CT_STUDIES + 1)]
    return Hospital(tuple(_studies(folder, exams)), tuple(_rows(exams)))


def _studies(folder: Path, exams: list[Exam]) -> Iterator[Made]:
    *scanned, resonance = exams
    for i, exam in enumerate(scanned):
        series = (LABELLED, SCOUT, CAPTURES) if i == SPECIAL else (CHEST, SCOUT)
        yield from make_study(folder / f"study-{i:02d}", exam, series)
    yield from make_study(folder / "study-10", exams[SPECIAL], (SONO,))  # the same accession number as a CT
    yield from make_study(folder / "study-11", resonance, (MR,))


def _exam(i: int) -> Exam:
    return Exam(
        accession=accession(i),
        patient_id=f"DEMOPID7{i:03d}",
        name=f"Demoperson{i:02d}^Synthia",
        birth_date=f"19{50 + i}0{1 + i % 9}17",
        study_date=f"2024{1 + i:02d}{11 + i}",
    )


def accession(i: int) -> str:
    return f"DEMOACC{1000 + i}"


def _rows(exams: list[Exam]) -> Iterator[Row]:
    asked = [(e.accession, e.patient_id, e.study_date) for e in exams]
    odd = [(UNKNOWN, "DEMOPID9001", "20240601"), (MALFORMED, "DEMOPID9002", "20240602"), asked[TWICE]]
    for minute, row in enumerate([*asked, *odd]):
        yield *row, "CT", f"2024-06-03 08:{minute:02d}:00"
