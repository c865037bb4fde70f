"""A hospital's day at any size: what the RIS asks for, what two PACS have of it, and how their moves fail at first.

Of a hundred accession numbers 20 are known to no PACS, 5 have several studies, 3 have another patient's, 7 have nothing that the
rules keep; of those that are known a sixth is only in the old PACS, which fetches from tape. Of every ten examinations the moves of
one fail at first, each in another way. Everything follows from the number of the examination: two days are the same.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from tests.faults.sending import Message, Rejected, Sender, message
from tests.support.dicomfiles import SeriesFacts, SeriesSpec, StudyFacts, make_study
from tests.support.scripted_pacs import row
from tests.support.scripting import Reply, ScriptedPacs

MAIN, OLD = "main", "old"
TWO_PACS: Final = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

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
ae_title = "MAIN"
host = "127.0.0.1"
port = {main}
max_moves = 2
response_timeout = "30s"

[[pacs]]
name = "old"
ae_title = "OLD"
host = "127.0.0.1"
port = {old}
max_moves = 2
response_timeout = "30s"
"""
"""A daemon between these two, without its projects: `folder`, and the ports `receiver`, `metrics`, `main`, `old`."""
KEPT: Final = SeriesSpec("CT", "Thorax", 2, rows=4, columns=4)
LEFT_OUT: Final = SeriesSpec("US", "Sono", 1, rows=4, columns=4)
PARTS: Final = {"empty": 20, "several": 5, "wrong": 3, "excluded": 7}
"""Of a hundred; the rest is plain."""
FAILURES: Final = (
    "out-of-resources", "unable", "half-and-warning", "nothing-and-success", "after-the-final", "cut", "refused", "half-and-abort",
)  # fmt: skip
OUTCOME: Final = {
    "empty": "empty",
    "several": "delivered",
    "wrong": "held",
    "excluded": "excluded",
    "plain": "delivered",
}


@dataclass(frozen=True)
class Exam:
    """One accession number. `kind`: of PARTS, or plain. `fails`: how its first move fails, or ""."""

    number: int
    kind: str
    pacs: str
    fails: str

    @property
    def accession(self) -> str:
        return f"SYNDAY{self.number:05d}"

    @property
    def patient(self) -> str:
        return f"SYNPID{self.number:05d}"


def exams(count: int) -> list[Exam]:
    """The kinds are spread evenly: in any hundred, and roughly in any twenty, they have their share."""
    kinds = [kind for kind, share in PARTS.items() for _ in range(share)]
    kinds += ["plain"] * (100 - len(kinds))
    return [_exam(n, kinds[n * 37 % 100]) for n in range(count)]


def _exam(number: int, kind: str) -> Exam:
    fails = FAILURES[number // 10 % len(FAILURES)] if number % 10 == 4 else ""
    return Exam(number, kind, OLD if number % 6 == 1 else MAIN, fails)


def expected(wanted: list[Exam]) -> Counter[str]:
    """Part of the balance -> accession numbers."""
    return Counter(OUTCOME[exam.kind] for exam in wanted)


@dataclass
class Holding:
    """One series in a PACS. `moves`: how often it was asked for."""

    exam: Exam
    study: StudyFacts = field(repr=False)
    facts: SeriesFacts = field(repr=False)
    messages: list[Message] = field(repr=False)
    moves: int = 0


def hospital(folder: Path, wanted: list[Exam]) -> list[Holding]:
    return [holding for exam in wanted for holding in _holdings(folder, exam)]


def _holdings(folder: Path, exam: Exam) -> Iterator[Holding]:
    studies = {"empty": 0, "several": 2}.get(exam.kind, 1)
    patient = f"OTHER{exam.number:05d}" if exam.kind == "wrong" else exam.patient
    for n in range(studies):
        study = make_study(
            folder, series=[LEFT_OUT if exam.kind == "excluded" else KEPT], seed=n, patient_id=patient,
            name=f"Daysynth{exam.number:05d}^Dora", birth_date="19610203", accession=exam.accession, study_date=day(exam),
        )  # fmt: skip
        for series in study.series:
            yield Holding(exam, study, series, [message(file) for file in series.files])


def day(exam: Exam) -> str:
    return f"2024{1 + exam.number % 12:02d}{1 + exam.number % 28:02d}"


def pixels(holdings: list[Holding]) -> list[str]:
    """SHA-256 of what the archive must hold."""
    return sorted(
        hashlib.sha256(one.data[-32:]).hexdigest()
        for h in holdings if h.exam.kind in ("plain", "several") for one in h.messages
    )  # fmt: skip


class Archive:
    """What one PACS has, and its two scripts. A move fails once for each series that fails at all."""

    def __init__(self, name: str, holdings: list[Holding], receiver: int) -> None:
        mine = [h for h in holdings if h.exam.pacs == name]
        self.name, self.receiver = name, receiver
        self._by_accession: dict[str, list[Holding]] = {}
        for h in mine:
            self._by_accession.setdefault(h.exam.accession, []).append(h)
        self._by_study = {h.study.StudyInstanceUID: h for h in mine}
        self.failed: Counter[str] = Counter()
        self.moves = 0

    def pacs(self) -> ScriptedPacs:
        return ScriptedPacs(find=self.find, move=self.move, name=self.name)

    # ---- C-FIND

    def find(self, reply: Reply) -> None:
        for answer in self._rows(reply.level, reply.keys):
            reply.send(0xFF00, answer)
        reply.send(0x0000)

    def _rows(self, level: str, keys: Dataset) -> list[Dataset]:
        if level == "STUDY":
            return [_study(h) for h in self._by_accession.get(str(keys.AccessionNumber), ())]
        holding = self._by_study.get(str(keys.StudyInstanceUID))
        if holding is None:
            return []
        if level == "SERIES":
            return [_series(holding)]
        return [row(SOPInstanceUID=one.SOPInstanceUID, QueryRetrieveLevel="IMAGE") for one in holding.messages]

    # ---- C-MOVE

    def move(self, reply: Reply) -> None:
        holding = self._by_study[str(reply.keys.StudyInstanceUID)]
        holding.moves += 1
        self.moves += 1
        how = holding.exam.fails if holding.moves == 1 else ""
        if self.name == OLD and holding.moves == 1:
            how = "nothing-and-success"
        if how:
            self.failed[how] += 1
        try:
            self._fail(how, holding, reply) if how else self._send(holding, reply)
        except (OSError, Rejected):  # the gateway was killed
            reply.send(0xA702)

    def _send(self, holding: Holding, reply: Reply) -> None:
        self._store(holding.messages)
        reply.send(0x0000, NumberOfCompletedSuboperations=len(holding.messages), NumberOfFailedSuboperations=0)

    def _store(self, messages: list[Message]) -> None:
        with Sender(self.receiver, sorted({one.sop_class for one in messages}), calling=self.name.upper()) as assoc:
            for one in messages:
                assoc.store(one)
            assoc.release()

    def _fail(self, how: str, holding: Holding, reply: Reply) -> None:
        finals = {"out-of-resources": 0xA701, "unable": 0xC000, "refused": 0xA702, "nothing-and-success": 0x0000}
        if how in finals:
            reply.send(finals[how])
        elif how == "after-the-final":
            threading.Timer(0.3, self._late, (holding.messages,)).start()
            reply.send(0x0000)
        elif how == "cut":
            reply.cut()
        else:
            self._store(holding.messages[:1])
            if how == "half-and-warning":
                reply.send(0xB000, NumberOfCompletedSuboperations=1, NumberOfFailedSuboperations=1)
            else:
                reply.assoc.abort()

    def _late(self, messages: list[Message]) -> None:
        try:
            self._store(messages)
        except (OSError, Rejected):
            return  # killed meanwhile: it will be asked for again


def _study(h: Holding) -> Dataset:
    return row(
        QueryRetrieveLevel="STUDY", StudyInstanceUID=h.study.StudyInstanceUID, AccessionNumber=h.exam.accession,
        PatientID=h.study.patient["patient_id"], StudyDate=day(h.exam), StudyTime="101112",
        ModalitiesInStudy=[h.facts.spec.modality], NumberOfStudyRelatedSeries="1",
        NumberOfStudyRelatedInstances=str(len(h.messages)),
    )  # fmt: skip


def _series(h: Holding) -> Dataset:
    return row(
        QueryRetrieveLevel="SERIES", StudyInstanceUID=h.study.StudyInstanceUID, SeriesInstanceUID=h.facts.SeriesInstanceUID,
        Modality=h.facts.spec.modality, SeriesDescription=h.facts.spec.description, SeriesNumber="1",
        NumberOfSeriesRelatedInstances=str(len(h.messages)),
    )  # fmt: skip
