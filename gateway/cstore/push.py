"""What comes unasked, for projects that say `push`: their selection rules decide on what the first instance of a series says.

A rule that names what only C-FIND knows (`LATE`) is judged once the study has been quiet for a while, on what came of it; until
then its series is kept like any other (docs/adr/0012-push.md). What no project keeps stays unsolicited.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from gateway.cstore.admission import Row
from gateway.dicom.identifier import text, value
from gateway.dicom.part10 import Ids
from gateway.dicom.toplevel import top_level
from gateway.errors import Refused
from gateway.model import AccessionNumber, Buffer, Verdict, known_modality
from gateway.rules import SelectionRule
from gateway.state.rows import Pushed

LATE: Final = frozenset((
    "ModalitiesInStudy", "NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries",
))  # fmt: skip
"""Attributes of a study or series that no instance has: counted when all of it has come."""
QUIET: Final = 60.0
OWN: Final = ("AccessionNumber", "PatientID", "StudyDate", "Modality", "SpecificCharacterSet")


@dataclass(frozen=True)
class PushProject:
    """`quiet`: seconds without an instance after which a study counts as whole."""

    name: str
    study: SelectionRule | None
    series: SelectionRule | None
    quiet: float = QUIET

    @property
    def keywords(self) -> frozenset[str]:
        return frozenset(k for rule in self._rules() for k in rule.keywords)

    def first(self, attributes: Mapping[str, object]) -> Verdict:
        """Of the rules that an instance can answer; the others have their say in `last`."""
        return _judged([rule for rule in self._rules() if not rule.keywords & LATE], attributes)

    def last(self, attributes: Mapping[str, object]) -> Verdict:
        """`attributes`: those of the first instance, and `LATE`."""
        return _judged([rule for rule in self._rules() if rule.keywords & LATE], attributes)

    def _rules(self) -> list[SelectionRule]:
        return [rule for rule in (self.study, self.series) if rule is not None]


def _judged(rules: Iterable[SelectionRule], attributes: Mapping[str, object]) -> Verdict:
    verdicts = [rule.verdict(attributes) for rule in rules]
    return next((v for v in verdicts if not v.keep), Verdict(True))


class Store(Protocol):
    def expected(self, StudyInstanceUID: str) -> Sequence[Row]: ...
    def series_hash(self, SeriesInstanceUID: str) -> str: ...
    def push(self, pushed: Pushed, *, now: float) -> bool: ...


class Push:
    """Thread-safe, as the store is."""

    def __init__(self, store: Store, projects: Sequence[PushProject], clock: Callable[[], float]) -> None:
        self._store, self._projects, self._clock = store, projects, clock
        keywords = frozenset(OWN).union(*(p.keywords for p in projects)) - LATE
        self._tags = frozenset(tag for tag in map(tag_for_keyword, keywords) if tag is not None)

    def admit(self, ids: Ids, data: Buffer, transfer_syntax: str, rows: Sequence[Row]) -> Sequence[Row]:
        """`rows`, and those of the projects that keep this series although nobody asked for it."""
        series = self._store.series_hash(ids.SeriesInstanceUID)
        known = {row.project for row in rows if row.series_hash == series and not row.again}
        missing = [p for p in self._projects if p.name not in known]
        if not missing:
            return rows
        row = top_level(data, transfer_syntax, self._tags)
        added = [self._added(p, ids, row) for p in missing]
        return self._store.expected(ids.StudyInstanceUID) if any(added) else rows

    def _added(self, project: PushProject, ids: Ids, row: Dataset) -> bool:
        seen = {keyword: value(row, keyword) for keyword in sorted(project.keywords - LATE)}
        return project.first(seen).keep and self._store.push(_pushed(project.name, ids, row, seen), now=self._clock())


def _pushed(project: str, ids: Ids, row: Dataset, seen: Mapping[str, object]) -> Pushed:
    return Pushed(
        project=project,
        StudyInstanceUID=ids.StudyInstanceUID,
        SeriesInstanceUID=ids.SeriesInstanceUID,
        accession=_accession(text(row, "AccessionNumber")),
        patient_id=text(row, "PatientID"),
        study_date=text(row, "StudyDate"),
        modality=known_modality(text(row, "Modality")),
        seen=json.dumps(seen),
    )


def _accession(found: str) -> AccessionNumber | None:
    """None: it has none that could be asked for."""
    try:
        return AccessionNumber.from_text(found)
    except Refused:
        return None
