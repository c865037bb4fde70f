"""Asks one PACS: accession number -> studies -> series, many questions over one association (PS3.4 C.4.1)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog
from pydicom.dataset import Dataset

from gateway.cfind import answer, question, whole
from gateway.cfind.accession_forms import Form, forms
from gateway.cfind.evidence import (
    ACCEPTED,
    PATIENT_DATE,
    PLAIN,
    Judged,
    Look,
    Seen,
    compare,
    days,
    judge,
    judge_by_day,
    merged,
    names_of,
)  # fmt: skip
from gateway.cfind.select import EXACT_FORM, Found
from gateway.cfind.whole import Part, Whole
from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.identifier import text
from gateway.dicom.listing import list_images
from gateway.dicom.models import MODELS
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import GatewayError, Retry
from gateway.model import AccessionNumber, FoundSeries, FoundStudy, Wanted
from gateway.settings import Pacs

T = TypeVar("T")

STUDY_CAP: Final = 200
"""Studies of one accession number; more means that the PACS ignores the key."""
SERIES_CAP: Final = 5000
CANARY_CAP: Final = 20
LEAST_LIMIT: Final = 20
"""Rows. No PACS cuts an answer off below that without a word: there the number of series that it told was wrong."""


@dataclass(frozen=True)
class _About:
    """What a search is about, besides the accession number."""

    ris: Wanted | None
    look: Look
    beat: Callable[[], object]


class Count(Protocol):
    """The part of ops.metrics.Count used here."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...


class Finder:
    """One PACS's answers. `keywords`: what the projects' rules look at. For one thread; `close` after a batch."""

    def __init__(
        self,
        pacs: Pacs,
        calling_ae: str,
        count: Count,
        *,
        keywords: frozenset[str] = frozenset(),
        deadlines: Deadlines | None = None,
    ) -> None:
        self._name, self._forms, self._limit = pacs.name, pacs.accession_forms, pacs.result_limit
        self._count = count
        self._scu = Scu(pacs, calling_ae, count=count, deadlines=deadlines, model=MODELS[pacs.query_model])
        self._keys = question.keys_for(keywords)
        self._proven = False

    def prove(self, *, ris: Wanted | None = None, beat: Callable[[], object] = lambda: None) -> None:
        """Once a life: an accession number that cannot exist must find nothing (F1). `beat` is called first.

        `ris`: whose patient is named, where each question has to name one (A10).

        Raises Retry, uncharged: find.key-ignored for a PACS that answers with studies all the same, or what `find` raises when
        it does not answer. A question that fails by itself proves nothing either way, and is asked again with the next one.
        """
        if self._proven:
            return
        beat()
        try:
            self._proven = self._finds_nobody(ris)
        except Retry:
            self._count.add("find_total", pacs=self._name, result="failed")
            raise

    def find(
        self,
        accession: AccessionNumber,
        *,
        ris: Wanted | None = None,
        look: Look = PLAIN,
        beat: Callable[[], object] = lambda: None,
    ) -> Found:
        """The studies of that examination with their series, in the first of the PACS's forms of its number that finds it.

        `ris`: what the RIS says of it, which each study is compared with. `beat` is called before each question: a sign of life.

        Raises Retry: charged when it is about this accession number (find.too-many, find.truncated, find.unable),
        uncharged when the PACS does not answer (pacs.*, find.timeout). An answer is complete or it is an error.
        """
        result = "failed"
        try:
            found = self._find(accession, _About(ris, look, beat))
            result = "found" if found.series or found.doubt else "empty"
            return found
        finally:
            self._count.add("find_total", pacs=self._name, result=result)

    def images(self, StudyInstanceUID: str, SeriesInstanceUID: str, *, PatientID: str = "") -> list[str]:
        """SOPInstanceUIDs of a series, by an IMAGE-level question."""
        uids = (StudyInstanceUID, SeriesInstanceUID)
        return self._whole(self._timed(lambda: list_images(self._scu, *uids, PatientID=PatientID)))

    def close(self) -> None:
        """Releases the association, if there is one. The next question opens another."""
        self._scu.close()

    def _finds_nobody(self, ris: Wanted | None) -> bool:
        """False: nothing is known, it could not answer this one."""
        nobody = AccessionNumber(f"CANARY{secrets.token_hex(5).upper()}")
        try:
            rows = self._ask(question.studies(nobody, self._keys, self._patient(ris)), CANARY_CAP)
        except Retry as err:
            if not err.charge:
                raise
            if err.reason != "find.too-many":
                return False
            raise _ignored() from None
        if any(text(row, "StudyInstanceUID") for row in rows):
            raise _ignored()
        return True

    def _find(self, accession: AccessionNumber, about: _About) -> Found:
        seen: list[Seen] = []
        judged, template, dropped = Judged(), EXACT_FORM, 0
        for form in forms(accession, self._forms):
            studies, lost = self._studies(form, about)
            judged = judge(seen := [*seen, *studies], about.look.decided)
            template, dropped = form.template, dropped + lost
            if judged.taken:
                break
        if not judged.taken and about.look.by_day:
            by_day, lost = self._of_patient(about)
            judged, dropped = merged(judged, by_day), dropped + lost
            template = PATIENT_DATE if judged.taken else template
        taken = tuple(s.study for s in judged.taken)
        return Found(taken, template, dropped, judged.candidates, judged.doubt)

    def _studies(self, form: Form, about: _About) -> tuple[list[Seen], int]:
        asked = question.studies(form.accession, self._keys, self._patient(about.ris))
        asked = question.with_issuer(asked) if about.ris and about.ris.issuer else asked
        rows = self._all(whole.studies(self._parts(STUDY_CAP, about.beat), asked), STUDY_CAP)
        found, dropped = answer.studies(rows, form.accession, self._keys.study)
        seen, lost = self._seen(found, form.template, about)
        proven = [one for one in seen if not form.cut or one.agrees]
        return proven, dropped + lost + len(seen) - len(proven)

    def _of_patient(self, about: _About) -> tuple[Judged, int]:
        """Where the RIS names patient and day: that patient's studies around that day."""
        ris = about.ris
        window = days(ris.study_date) if ris else None
        if ris is None or window is None or not question.searchable(ris.patient_id):
            return Judged(), 0
        seen, dropped = list[Seen](), 0
        for patient in filter(question.searchable, names_of(ris.patient_id, about.look.aliases)):
            asked = question.studies_of_patient(patient, window, self._keys)
            rows = self._all(whole.studies(self._parts(STUDY_CAP, about.beat), asked), STUDY_CAP)
            found, odd = answer.studies_of_patient(rows, patient, window, self._keys.study)
            more, lost = self._seen(found, PATIENT_DATE, about)
            seen, dropped = seen + more, dropped + odd + lost
        return judge_by_day(seen, ris, about.look.decided), dropped

    def _seen(self, studies: Iterable[FoundStudy], form: str, about: _About) -> tuple[list[Seen], int]:
        """Each with its series, but those of another patient or day: of them no more is asked, unless a person wants them."""
        seen, dropped = [], 0
        for study in studies:
            one = Seen(study, form, compare(study, about.ris, form, about.look.aliases))
            if not one.conflict or about.look.decided(one.uid) == ACCEPTED:
                series, lost = self._series(study, about.beat)
                filled = answer.completed(study, series)
                one = Seen(filled, form, compare(filled, about.ris, form, about.look.aliases))
                dropped += lost
            seen.append(one)
        return seen, dropped

    def _series(self, study: FoundStudy, beat: Callable[[], object]) -> tuple[list[FoundSeries], int]:
        patient = str(study.attributes.get("PatientID") or "")
        parents = self._scu.keys(patient, StudyInstanceUID=study.StudyInstanceUID)
        asked = question.series(parents, self._keys)
        rows = self._all(whole.series(self._parts(SERIES_CAP, beat), asked, study), SERIES_CAP)
        series, dropped = answer.series(rows, study.StudyInstanceUID, self._keys.series)
        return [self._counted(one, patient, beat) for one in series], dropped

    def _patient(self, ris: Wanted | None) -> dict[str, str]:
        """Of the RIS row, where the model wants it (A10). Without one the question is relational, which not all take."""
        return self._scu.keys(ris.patient_id if ris and question.searchable(ris.patient_id) else "")

    def _counted(self, one: FoundSeries, patient: str, beat: Callable[[], object]) -> FoundSeries:
        """dcmqrscp, for one, does not say how many instances a series has."""
        if one.instances is not None:
            return one
        beat()
        try:
            listed = self.images(one.StudyInstanceUID, one.SeriesInstanceUID, PatientID=patient)
        except GatewayError as err:
            if isinstance(err, Retry) and not err.charge and not err.reason.startswith("find.unsupported"):
                raise
            return one  # no IMAGE level here: a rule that needs the number says so by its `.error` verdict
        return answer.counted(one, len(listed))

    def _ask(self, identifier: Dataset, row_cap: int) -> list[Dataset]:
        return self._whole(self._timed(lambda: self._scu.find(identifier, row_cap=row_cap)))

    def _parts(self, row_cap: int, beat: Callable[[], object]) -> Callable[[Dataset], Part]:
        """How the parts of a question are asked; one that is cut off comes back as such."""

        def ask(identifier: Dataset) -> Part:
            beat()
            try:
                rows = self._timed(lambda: self._scu.find(identifier, row_cap=row_cap))
                return Part(rows, self._cut(rows))
            except Retry as err:
                if err.reason != whole.CUT:
                    raise
                return Part((), err)

        return ask

    def _all(self, found: Whole, row_cap: int) -> Sequence[Dataset]:
        """What was put together. An answer that was cut off without a word tells where this PACS cuts."""
        if found.noticed >= LEAST_LIMIT and not self._limit:
            self._limit = found.noticed
            structlog.get_logger().warning("find.limit-noticed", pacs=self._name, rows=found.noticed)
        if len(found.rows) > 2 * row_cap:  # each may be there twice, from the whole and from a part
            raise Retry("find.too-many", f"more than {row_cap} rows: the PACS may ignore a matching key")
        return found.rows

    def _whole(self, rows: list[T]) -> list[T]:
        """Raises Retry when it is not."""
        cut = self._cut(rows)
        if cut:
            raise cut
        return rows

    def _cut(self, rows: Sequence[object]) -> Retry | None:
        """As many rows as this PACS gives at most are not all of them (F7)."""
        if not self._limit or len(rows) < self._limit:
            return None
        return Retry(whole.CUT, f"{len(rows)} rows: this PACS cuts answers off at {self._limit}")

    def _timed(self, ask: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return ask()
        finally:
            self._count.observe("find_seconds", time.monotonic() - start, pacs=self._name)


def _ignored() -> Retry:
    detail = "studies were found for an accession number that does not exist: the PACS does not match by it"
    return Retry("find.key-ignored", detail, after=CONFIG_PAUSE, charge=False)
