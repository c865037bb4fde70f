"""A PACS in the same process, in the place of `Scu`: each answer is right, or strange in a way drawn from the catalogue by a seed.

What it does in the end can be known all the same: it has every instance, tells how many there are, and lists them when it is asked
again. So whatever is still missing after a while of good behaviour was lost by the gateway.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol, Self

from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from gateway.dicom.models import STUDY_ROOT, Model, unique_keys
from gateway.dicom.moving import MoveWatch, refuse_unsafe
from gateway.dicom.status import find_failure
from gateway.errors import Retry
from gateway.settings import Pacs
from tests.faults.sending import Message, message
from tests.support.dicomfiles import SeriesFacts, SeriesSpec, StudyFacts, make_study
from tests.support.scripted_pacs import row

KINDS: Final = ("plain", "plain", "plain", "several", "empty", "wrong", "excluded", "old", "differs")
FINDS: Final = (
    "nothing", "aborted", "timeout", "A700", "C001", "FE00", "1234", "0124", "twice", "others", "no-uid", "too-many", "too-few",
    "padded", "no-patient", "wrong-patient", "late",
)  # fmt: skip
SENDS: Final = ("nothing", "half", "twice", "shuffled", "late", "others", "spoilt", "padded", "whole", "whole")
ENDS: Final = ("0000", "0000", "B000", "A701", "A702", "A801", "C001", "FE00", "0124", "1234", "aborted", "stalled")
STRANGE: Final = 0.5


@dataclass(frozen=True)
class Exam:
    """`kind`: of KINDS. Of one that is "wrong" the study is another patient's; where it "differs", its headers are."""

    number: int
    kind: str
    studies: Sequence[StudyFacts] = field(repr=False)
    patients: Sequence[str] = ()
    """As the PACS names them, study by study."""

    accession = property(lambda self: f"SYNCOM{self.number:04d}")
    patient = property(lambda self: f"SYNPID{self.number // 2:04d}")
    day = property(lambda self: f"2024{1 + self.number % 12:02d}{1 + self.number % 28:02d}")


def exams(folder: Path, number: int, rng: random.Random) -> list[Exam]:
    """Two and two are of one patient."""
    return [_made(folder, Exam(n, rng.choice(KINDS), ()), rng) for n in range(number)]


def _made(folder: Path, exam: Exam, rng: random.Random) -> Exam:
    modality = "US" if exam.kind == "excluded" else "CT"
    patient = f"OTHER{exam.number:04d}" if exam.kind == "wrong" else exam.patient
    header = f"DIFFER{exam.number:04d}" if exam.kind == "differs" else patient
    studies = []
    for seed in range({"empty": 0, "several": 2}.get(exam.kind, 1)):
        spec = [
            SeriesSpec(modality, f"Thorax {n}", rng.choice([1, 2, 4]), rows=4, columns=4)
            for n in range(rng.choice([1, 2]))
        ]
        studies.append(make_study(
            folder, series=spec, seed=seed, patient_id=header, name=f"Composynth{exam.number:04d}^Dora", birth_date="19610203",
            accession=exam.accession, study_date=exam.day,
        ))  # fmt: skip
    return Exam(exam.number, exam.kind, studies, [patient] * len(studies))


class Around(Protocol):
    """What the PACS touches of its site."""

    def meanwhile(self) -> None: ...
    def pass_time(self, seconds: float) -> None: ...
    def arrive(self, one: Message) -> None: ...
    def later(self, one: Message) -> None: ...


class StrangePacs:
    """Both of a site. `strange`: chance of a strange answer. `log`: what was strange."""

    def __init__(self, wanted: Sequence[Exam], site: Around, seed: int) -> None:
        self.exams, self.site, self.seed, self.strange = wanted, site, seed, STRANGE
        self.log: list[tuple[str, ...]] = []
        self._tries: Counter[str] = Counter()
        self._messages: dict[str, list[Message]] = {}

    def scu(self, pacs: Pacs, calling_ae: str, *, model: Model = STUDY_ROOT, **_: object) -> StrangeScu:
        """In the place of `Scu`."""
        return StrangeScu(pacs.name, model, self)

    def _draw(self, about: str, ways: Sequence[str]) -> tuple[str, random.Random]:
        """What becomes of it at this try."""
        self._tries[about] += 1
        rng = random.Random(f"{self.seed}/{about}/{self._tries[about]}")
        how = rng.choice(ways) if rng.random() < self.strange else ""
        if how:
            self.log.append((about, how))
        return how, rng

    def messages(self, series: SeriesFacts) -> list[Message]:
        return self._messages.setdefault(series.SeriesInstanceUID, [message(file) for file in series.files])

    # ---- C-FIND

    def find(self, name: str, keys: Dataset) -> list[Dataset]:
        self.site.meanwhile()
        level = str(keys.QueryRetrieveLevel)
        wanted = str(keys.get("SeriesInstanceUID") or keys.get("StudyInstanceUID") or keys.get("AccessionNumber"))
        if not wanted.startswith(("SYN", "2.25.")):
            return []  # the canary, which is never the same
        how, rng = self._draw(f"{name} find {level} {wanted}", FINDS)
        if how in ("A700", "C001", "FE00", "1234", "0124"):
            raise find_failure(int(how, 16)).error()
        if how in ("aborted", "timeout"):
            self.site.pass_time(60.0 if how == "timeout" else 0.0)
            raise Retry("find.timeout" if how == "timeout" else "pacs.aborted", charge=False)
        rows = _STRANGE.get(how, _plain)(self._rows(name, level, keys), self._others(rng) if level == "STUDY" else [])
        self.site.pass_time(50.0 if how == "late" else 0.0)
        self.site.meanwhile()
        return [decode(BytesIO(encode(r, False, True) or b""), False, True) for r in rows]

    def _rows(self, name: str, level: str, keys: Dataset) -> list[Dataset]:
        mine = [e for e in self.exams if (e.kind == "old") == (name == "old")]
        if level == "STUDY":
            return [r for e in mine if e.accession == str(keys.AccessionNumber) for r in _studies(e)]
        studies = (s for e in mine for s in e.studies if s.StudyInstanceUID == str(keys.StudyInstanceUID))
        study = next(studies, None)
        if study is None:
            return []
        if level == "SERIES":
            return [_series(study, s) for s in study.series]
        found = [s for s in study.series if s.SeriesInstanceUID == str(keys.SeriesInstanceUID)]
        return [row(QueryRetrieveLevel="IMAGE", SOPInstanceUID=uid) for s in found for uid in s.SOPInstanceUIDs]

    def _others(self, rng: random.Random) -> list[Dataset]:
        return [r for e in rng.sample(list(self.exams), 2) for r in _studies(e)]

    # ---- C-MOVE

    def move(self, name: str, keys: Dataset, watch: MoveWatch) -> int:
        (series,) = [
            s
            for e in self.exams
            for t in e.studies
            for s in t.series
            if s.SeriesInstanceUID == str(keys.SeriesInstanceUID)
        ]
        only = str(keys.get("SOPInstanceUID") or "")
        how, rng = self._draw(f"{name} move {series.SeriesInstanceUID}", SENDS)
        end, _ = self._draw(f"{name} end {series.SeriesInstanceUID}", ENDS)
        watch.progress()
        for one in self._sent(how, [m for m in self.messages(series) if only in ("", m.SOPInstanceUID)], rng):
            self.site.arrive(one)
            self.site.meanwhile()
            watch.progress()
        if end == "aborted":
            raise Retry("pacs.aborted", charge=False)
        if end == "stalled":
            self.site.pass_time(900.0)
            raise Retry("move.stalled")
        return int(end or "0000", 16)

    def _sent(self, how: str, whole: list[Message], rng: random.Random) -> list[Message]:
        first = whole[: (len(whole) + 1) // 2]
        if how == "late":
            for one in whole[len(first) :]:
                self.site.later(one)
        if how == "others":
            return [
                *whole,
                *(
                    m
                    for e in rng.sample(list(self.exams), 2)
                    for t in e.studies
                    for s in t.series
                    for m in self.messages(s)
                ),
            ]
        return {
            "nothing": [], "half": first, "late": first, "twice": whole * 2, "shuffled": rng.sample(whole, len(whole)),
            "spoilt": [Message(m.sop_class, m.SOPInstanceUID, m.data[:-7]) for m in whole[:1]] + whole[1:],
            "padded": [Message(m.sop_class, m.SOPInstanceUID + "\0", m.data) for m in whole],
        }.get(how, whole)  # fmt: skip


@dataclass(frozen=True)
class StrangeScu:
    """As much of `Scu` as finding and moving use."""

    name: str
    model: Model
    pacs: StrangePacs
    is_open: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...

    def echo(self) -> None: ...

    def keys(self, PatientID: str, **uids: str) -> dict[str, str]:
        return unique_keys(self.model, PatientID, **uids)

    def find(self, identifier: Dataset, **_: object) -> list[Dataset]:
        return self.pacs.find(self.name, identifier)

    def move(self, identifier: Dataset, _destination: str, *, watch: MoveWatch) -> int:
        refuse_unsafe(identifier)
        return self.pacs.move(self.name, identifier, watch)


def _studies(e: Exam) -> list[Dataset]:
    return [
        row(
            QueryRetrieveLevel="STUDY", StudyInstanceUID=s.StudyInstanceUID, AccessionNumber=e.accession, PatientID=patient,
            StudyDate=e.day, ModalitiesInStudy=[s.series[0].spec.modality], NumberOfStudyRelatedSeries=str(len(s.series)),
        )
        for s, patient in zip(e.studies, e.patients, strict=True)
    ]  # fmt: skip


def _series(study: StudyFacts, s: SeriesFacts) -> Dataset:
    return row(
        QueryRetrieveLevel="SERIES", StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID=s.SeriesInstanceUID,
        Modality=s.spec.modality, NumberOfSeriesRelatedInstances=str(len(s.files)),
    )  # fmt: skip


def _plain(rows: list[Dataset], _others: list[Dataset]) -> list[Dataset]:
    return rows


def _changed(
    keyword: str, change: Callable[[str], str | None]
) -> Callable[[list[Dataset], list[Dataset]], list[Dataset]]:
    def changed(rows: list[Dataset], _others: list[Dataset]) -> list[Dataset]:
        for r in rows:
            if keyword in r:
                setattr(r, keyword, change(str(r[keyword].value)))
        return rows

    return changed


_STRANGE: Final[dict[str, Callable[[list[Dataset], list[Dataset]], list[Dataset]]]] = {
    "nothing": lambda _rows, _others: [],
    "twice": lambda rows, _others: [*rows, *reversed(rows)],
    "others": lambda rows, others: [*others, *rows],
    "no-uid": lambda rows, _others: [*rows, row(Modality="CT")],
    "too-many": _changed("NumberOfSeriesRelatedInstances", lambda told: str(int(told) + 2)),
    "too-few": lambda rows, _others: rows[:-1] if rows and "SOPInstanceUID" in rows[0] else rows,
    "padded": _changed("AccessionNumber", lambda told: f"{told}  "),
    "no-patient": _changed("PatientID", lambda _: None),
    "wrong-patient": _changed("PatientID", lambda _: "SOMEBODY"),
}
