"""Asks one PACS: accession number -> studies -> series, many questions over one association (PS3.4 C.4.1)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from pydicom.dataset import Dataset

from gateway.cfind import answer, question
from gateway.cfind.accession_forms import Form, agrees, forms
from gateway.cfind.select import EXACT_FORM, Found
from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.identifier import text
from gateway.dicom.listing import list_images
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import GatewayError, Retry
from gateway.model import AccessionNumber, FoundSeries, FoundStudy, Wanted
from gateway.settings import Pacs

T = TypeVar("T")

STUDY_CAP: Final = 200
"""Studies of one accession number; more means that the PACS ignores the key."""
SERIES_CAP: Final = 5000
CANARY_CAP: Final = 20
IDLE_SECONDS: Final = 5.0
"""An association that nobody needs is a slot of the PACS and a thread of ours (A6, B1)."""


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
        self._scu = Scu(pacs, calling_ae, count=count, deadlines=deadlines)
        self._keys = question.keys_for(keywords)
        self._used = 0.0
        self._proven = False

    def prove(self, *, beat: Callable[[], object] = lambda: None) -> None:
        """Once a life: an accession number that cannot exist must find nothing (F1). `beat` is called first.

        Raises Retry, uncharged: find.key-ignored for a PACS that answers with studies all the same, or what `find` raises when
        it does not answer. A question that fails by itself proves nothing either way, and is asked again with the next one.
        """
        if self._proven:
            return
        beat()
        try:
            self._proven = self._finds_nobody()
        except Retry:
            self._count.add("find_total", pacs=self._name, result="failed")
            raise

    def find(
        self, accession: AccessionNumber, *, ris: Wanted | None = None, beat: Callable[[], object] = lambda: None
    ) -> Found:
        """All studies and series of that accession number, in the first of the PACS's forms of it that finds any.

        `ris`: what else the RIS says of it. `beat` is called before each question: a sign of life.

        Raises Retry: charged when it is about this accession number (find.too-many, find.truncated, find.unable),
        uncharged when the PACS does not answer (pacs.*, find.timeout). An answer is complete or it is an error.
        """
        result = "failed"
        try:
            found = self._find(accession, ris, beat)
            result = "found" if found.series else "empty"
            return found
        finally:
            self._count.add("find_total", pacs=self._name, result=result)

    def images(self, StudyInstanceUID: str, SeriesInstanceUID: str) -> list[str]:
        """SOPInstanceUIDs of a series, by an IMAGE-level question."""
        return self._whole(self._timed(lambda: list_images(self._scu, StudyInstanceUID, SeriesInstanceUID)))

    def close(self) -> None:
        """Releases the association, if there is one. The next question opens another."""
        self._scu.close()

    def close_if_idle(self) -> None:
        if self._scu.is_open and time.monotonic() - self._used > IDLE_SECONDS:
            self.close()

    def _finds_nobody(self) -> bool:
        """False: nothing is known, it could not answer this one."""
        nobody = AccessionNumber(f"CANARY{secrets.token_hex(5).upper()}")
        try:
            rows = self._ask(question.studies(nobody, self._keys), CANARY_CAP)
        except Retry as err:
            if not err.charge:
                raise
            if err.reason != "find.too-many":
                return False
            raise _ignored() from None
        if any(text(row, "StudyInstanceUID") for row in rows):
            raise _ignored()
        return True

    def _find(self, accession: AccessionNumber, ris: Wanted | None, beat: Callable[[], object]) -> Found:
        studies: list[FoundStudy] = []
        template, dropped = EXACT_FORM, 0
        for form in forms(accession, self._forms):
            beat()
            studies, lost = self._studies(form, ris)
            template, dropped = form.template, dropped + lost
            if studies:
                break
        complete = []
        for study in studies:
            series, lost = self._series(study, beat)
            complete.append(answer.completed(study, series))
            dropped += lost
        return Found(tuple(complete), form=template, dropped_rows=dropped)

    def _studies(self, form: Form, ris: Wanted | None) -> tuple[list[FoundStudy], int]:
        rows = self._ask(question.studies(form.accession, self._keys), STUDY_CAP)
        found, dropped = answer.studies(rows, form.accession, self._keys.study)
        proven = [study for study in found if not form.cut or agrees(study, ris)]
        return proven, dropped + len(found) - len(proven)

    def _series(self, study: FoundStudy, beat: Callable[[], object]) -> tuple[list[FoundSeries], int]:
        beat()
        rows = self._ask(question.series(study.StudyInstanceUID, self._keys), SERIES_CAP)
        series, dropped = answer.series(rows, study.StudyInstanceUID, self._keys.series)
        return [self._counted(one, beat) for one in series], dropped

    def _counted(self, one: FoundSeries, beat: Callable[[], object]) -> FoundSeries:
        """dcmqrscp, for one, does not say how many instances a series has."""
        if one.instances is not None:
            return one
        beat()
        try:
            listed = self.images(one.StudyInstanceUID, one.SeriesInstanceUID)
        except GatewayError as err:
            if isinstance(err, Retry) and not err.charge and not err.reason.startswith("find.unsupported"):
                raise
            return one  # no IMAGE level here: a rule that needs the number says so by its `.error` verdict
        return answer.counted(one, len(listed))

    def _ask(self, identifier: Dataset, row_cap: int) -> list[Dataset]:
        return self._whole(self._timed(lambda: self._scu.find(identifier, row_cap=row_cap)))

    def _whole(self, rows: list[T]) -> list[T]:
        """As many rows as this PACS gives at most are not all of them (F7). Raises Retry."""
        if self._limit and len(rows) >= self._limit:
            raise Retry("find.truncated", f"{len(rows)} rows: this PACS cuts answers off at {self._limit}")
        return rows

    def _timed(self, ask: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return ask()
        finally:
            self._used = time.monotonic()
            self._count.observe("find_seconds", self._used - start, pacs=self._name)


def _ignored() -> Retry:
    detail = "studies were found for an accession number that does not exist: the PACS does not match by it"
    return Retry("find.key-ignored", detail, after=CONFIG_PAUSE, charge=False)
