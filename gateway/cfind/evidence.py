"""Is a study that was found the examination that the RIS names? Pure.

Compared are accession number, patient, day and modality; what either side leaves out is unknown and speaks neither way. A study
that disagrees is left out beside one that agrees, and held for a person when there is none: PatientIDs change in a PACS too, when
studies of other hospitals are assigned anew (F5), so that nobody but a person can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from gateway.cfind.accession_forms import alike
from gateway.cfind.day import read_day, written
from gateway.cfind.question import ISSUER
from gateway.model import Agreement, Candidate, Evidence, FoundStudy, Wanted

AGREES, DIFFERS, UNKNOWN = Agreement.AGREES, Agreement.DIFFERS, Agreement.UNKNOWN
PATIENT_DATE: Final = "patient-date"
"""The form of what was found by patient and day, not by an accession number."""
WINDOW: Final = 1
"""Days around the RIS's own: an examination that ends after midnight, a day in another time zone."""
SAME: Final = (frozenset({"CR", "DX", "RG"}),)
"""Modalities that a RIS and a PACS name each in its own way."""

Aliases = Mapping[str, str]
NOBODY_MERGED: Final[Aliases] = MappingProxyType({})
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
Decided = Callable[[str], str]
"""StudyInstanceUID -> what a person has said of it: ACCEPTED, REJECTED or ""."""


def undecided(_uid: str) -> str:
    return ""


@dataclass(frozen=True)
class Look:
    """How a project looks. `by_day`: by patient and day too, when no form finds it. `decided`: what a person said before.

    `aliases`: patient ID -> the one that it was merged into.
    """

    by_day: bool = False
    decided: Decided = undecided
    aliases: Aliases = field(default_factory=dict)


PLAIN: Final = Look()


@dataclass(frozen=True)
class Seen:
    """A study that C-FIND listed, and the form that found it."""

    study: FoundStudy
    form: str
    evidence: Evidence

    @property
    def uid(self) -> str:
        return self.study.StudyInstanceUID

    @property
    def conflict(self) -> str:
        """The fact that speaks against it; "" when none does. Words for modalities differ too much to outweigh the patient."""
        told = self.evidence
        if told.accession is DIFFERS and self.form != PATIENT_DATE:
            return "issuer"
        if told.patient is DIFFERS:
            return "patient"
        if told.date is DIFFERS:
            return "date"
        return "modality" if told.modality is DIFFERS and told.patient is not AGREES else ""

    @property
    def agrees(self) -> bool:
        """Patient or day are those that the RIS names, and nothing speaks against it."""
        return not self.conflict and AGREES in (self.evidence.patient, self.evidence.date)

    def judged(self, standing: str, reason: str = "") -> Candidate:
        return Candidate(self.uid, self.form, self.evidence, standing, f"evidence.{reason}" if reason else "")


@dataclass(frozen=True)
class Judged:
    """`taken`: the examination. `doubt`: why a person has to decide, when nothing is taken; "" with none taken: not found."""

    taken: tuple[Seen, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    doubt: str = ""


def compare(study: FoundStudy, ris: Wanted | None, form: str, aliases: Aliases = NOBODY_MERGED) -> Evidence:
    """`study`: as C-FIND told it, with or without its series. `ris` None: nothing but the accession number is known.

    `aliases`: patient ID -> the one that it was merged into (R12).
    """
    told = study.attributes
    if ris is None:
        return Evidence(AGREES, UNKNOWN, UNKNOWN, UNKNOWN)
    return Evidence(
        accession=_accession(told.get("AccessionNumber"), ris)
        if form == PATIENT_DATE
        else _issued(told.get(ISSUER), ris),
        patient=_same(told.get("PatientID"), ris.patient_id, aliases),
        date=_near(told.get("StudyDate"), ris.study_date),
        modality=_among(_modalities(study), ris.modality),
    )


def days(study_date: str, window: int = WINDOW) -> tuple[str, str] | None:
    """The first and the last day (DA) that count as that day; None when it is no day, as 99991231, a database's word for it."""
    day, about = read_day(study_date), timedelta(days=window)
    if day is None or not date.min + about <= day <= date.max - about:
        return None
    return written(day - about), written(day + about)


def judge(seen: Sequence[Seen], decided: Decided = undecided) -> Judged:
    """Of all studies of an accession number. Nothing is guessed: what is not plain is held, and then nothing is taken."""
    rest = [s for s in seen if not decided(s.uid)]
    accepted = [s for s in seen if decided(s.uid) == ACCEPTED]
    rejected = tuple(s.judged("left", REJECTED) for s in seen if decided(s.uid) == REJECTED)
    fine = [s for s in rest if not s.conflict]
    odd = [s for s in rest if s.conflict]
    sure = accepted or any(s.agrees for s in fine) or (fine and all(s.conflict == "issuer" for s in odd))
    doubt = "" if sure or not odd else odd[0].conflict
    if not accepted and not doubt and _several_patients(fine):
        doubt = "several-patients"
    if doubt:
        return Judged((), rejected + tuple(s.judged("held", s.conflict or doubt) for s in rest), f"evidence.{doubt}")
    left = tuple(s.judged("left", s.conflict) for s in odd)
    taken = (*accepted, *fine)
    return Judged(taken, rejected + left + tuple(s.judged("taken") for s in taken))


def judge_by_day(seen: Sequence[Seen], ris: Wanted, decided: Decided = undecided) -> Judged:
    """Of the studies of that patient around that day. One alone is the examination, unless its accession number is another's."""
    accepted = [s for s in seen if decided(s.uid) == ACCEPTED]
    rejected = [s for s in seen if decided(s.uid) == REJECTED]
    others = [s for s in seen if not decided(s.uid) and (s.conflict or s.evidence.modality is DIFFERS)]
    rest = [s for s in seen if s not in accepted + rejected + others]
    on_the_day = [s for s in rest if s.study.attributes.get("StudyDate") == ris.study_date]
    named = [s for s in rest if s.evidence.accession is AGREES]
    chosen = accepted or named or on_the_day or rest
    left = tuple(s.judged("left", REJECTED) for s in rejected) + tuple(
        s.judged("left", s.conflict or "modality") for s in others
    )
    doubt = "" if accepted or not chosen else _doubt(chosen, ris)
    if doubt:
        return Judged((), left + tuple(s.judged("held", doubt) for s in rest), f"evidence.{doubt}")
    left += tuple(s.judged("left", "accession" if accepted or named else "date") for s in rest if s not in chosen)
    return Judged(tuple(chosen), left + tuple(s.judged("taken") for s in chosen))


def _doubt(chosen: Sequence[Seen], ris: Wanted) -> str:
    """Why these may not be what the RIS asked for; "" when they are."""
    if len(chosen) > 1:
        return "several-studies"
    told = chosen[0].evidence
    if told.accession is AGREES:
        return ""
    if told.accession is DIFFERS:
        return "accession"
    return "modality" if ris.modality and told.modality is not AGREES else ""


def merged(first: Judged, then: Judged) -> Judged:
    """What was found first, by accession number, and what was found by patient and day: the later is taken beside doubt."""
    known = {c.StudyInstanceUID for c in then.candidates}
    earlier = tuple(c for c in first.candidates if c.StudyInstanceUID not in known)
    earlier = without_doubt(earlier) if then.taken else earlier
    return Judged(then.taken, (*earlier, *then.candidates), "" if then.taken else first.doubt or then.doubt)


def without_doubt(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """They are not the examination after all: it was found."""
    return tuple(replace(c, standing="left") if c.standing == "held" else c for c in candidates)


def _several_patients(seen: Iterable[Seen]) -> bool:
    """Whether studies of different patients are among them, and the RIS names none."""
    unknown = [s for s in seen if s.evidence.patient is UNKNOWN]
    return len({s.study.attributes.get("PatientID") for s in unknown} - {None, ""}) > 1


def _issued(told: object, ris: Wanted) -> Agreement:
    """The number is the one asked for; another site's is another examination (R5)."""
    named = told if isinstance(told, list) and ris.issuer else []
    return DIFFERS if named and ris.issuer not in named else AGREES


def _accession(told: object, ris: Wanted) -> Agreement:
    if not isinstance(told, str) or not told:
        return UNKNOWN
    return AGREES if alike(told, ris.accession.value) else DIFFERS


def _same(told: object, wanted: str, aliases: Aliases) -> Agreement:
    if not isinstance(told, str) or not told or not wanted:
        return UNKNOWN
    return AGREES if aliases.get(told, told) == aliases.get(wanted, wanted) else DIFFERS


def names_of(patient_id: str, aliases: Aliases) -> list[str]:
    """All patient IDs that the patient has or had, the RIS's own first."""
    survivor = aliases.get(patient_id, patient_id)
    return list(dict.fromkeys([patient_id, survivor, *(old for old, new in aliases.items() if new == survivor)]))


def _near(told: object, wanted: str) -> Agreement:
    window = days(wanted)
    day = read_day(told)
    if window is None or day is None:
        return UNKNOWN
    return AGREES if window[0] <= written(day) <= window[1] else DIFFERS


def _among(told: frozenset[str], wanted: str) -> Agreement:
    if not told or not wanted:
        return UNKNOWN
    alike_ones = next((same for same in SAME if wanted in same), frozenset({wanted}))
    return AGREES if told & alike_ones else DIFFERS


def _modalities(study: FoundStudy) -> frozenset[str]:
    told = study.attributes.get("ModalitiesInStudy")
    listed = [str(m) for m in told] if isinstance(told, list) else []
    return frozenset(listed) | {str(m) for s in study.series if (m := s.attributes.get("Modality"))}
