"""What C-FIND found, and which of it the project wants. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.model import Candidate, FoundSeries, FoundStudy, Plan, PlannedSeries, Verdict
from gateway.rules import SelectionRule

EXACT_FORM = "{an}"


@dataclass(frozen=True)
class Found:
    """The studies of one examination with their series. `dropped_rows`: answers that were not about it.

    `candidates`: every study that was considered. `doubt`: why a person has to decide; then there are no studies.
    """

    studies: tuple[FoundStudy, ...] = ()
    form: str = EXACT_FORM
    dropped_rows: int = 0
    candidates: tuple[Candidate, ...] = ()
    doubt: str = ""

    @property
    def series(self) -> int:
        return sum(len(study.series) for study in self.studies)


@dataclass(frozen=True)
class CompiledSelect:
    """The rules of `[project.select]` that are applied before retrieval; None = everything."""

    study: SelectionRule | None = None
    series: SelectionRule | None = None


def plan(found: Found, select: CompiledSelect, pacs_name: str) -> Plan:
    """Every series found, with its verdict. All series of an excluded study are excluded with the study's reason."""
    planned = tuple(
        PlannedSeries(pacs_name, series, verdict)
        for study in found.studies
        for series, verdict in _verdicts(study, select)
    )
    candidates = tuple(replace(c, pacs=pacs_name) for c in found.candidates)
    newest = max((str(study.attributes.get("StudyDate") or "") for study in found.studies), default="")
    return Plan(planned, found.form, len(found.studies), found.dropped_rows, candidates, found.doubt, newest)


def _verdicts(study: FoundStudy, select: CompiledSelect) -> list[tuple[FoundSeries, Verdict]]:
    whole = select.study.verdict(study.attributes) if select.study else Verdict(True)
    if not whole.keep:
        return [(series, whole) for series in study.series]
    return [(series, _series_verdict(study, series, select.series)) for series in study.series]


def _series_verdict(study: FoundStudy, series: FoundSeries, rule: SelectionRule | None) -> Verdict:
    """A series rule may look at its study too (StudyDescription, PatientSex)."""
    return rule.verdict({**study.attributes, **series.attributes}) if rule else Verdict(True)
