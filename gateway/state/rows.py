"""What a claim hands to a room: opened rows, each with the token that alone may settle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import AccessionNumber, LedgerLine, Outcome

DECIDING: Final = (Outcome.REFUSED, Outcome.HELD, Outcome.EXCLUDED)
"""The first of these that there is decides what becomes of a series, and gives the reason."""


@dataclass(frozen=True)
class Added:
    """What became of the rows of a poll or a file."""

    new: int
    known: int
    aside: int


@dataclass(frozen=True)
class RequestClaim:
    """A claimed request; `owner` is the token of this claim."""

    id: int
    key: str
    project: str
    accession: AccessionNumber = field(repr=False)
    patient_id: str = field(repr=False)
    study_date: str = field(repr=False)
    modality: str
    attempts: int
    empties: int
    state: str
    owner: str
    decided: Mapping[str, str] = field(default_factory=dict)  # keyed hash of a study -> what a person said of it
    issuer: str = field(default="", repr=False)


@dataclass(frozen=True)
class SeriesRow:
    """A claimed series of one project. `pushed`: it came unasked, and no PACS is known that has it.

    `reason`: why it was given back last, by an archive's courier.
    """

    id: int
    key: str
    project: str
    state: str
    attempts: int
    owner: str
    pushed: bool = False
    reason: str = ""


@dataclass(frozen=True)
class SeriesClaim:
    """One retrieval, for every project that asked for the series."""

    pacs: str
    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    instances: int | None
    attempts: int
    rows: tuple[SeriesRow, ...]
    PatientID: str = field(default="", repr=False)  # as C-FIND told it


@dataclass(frozen=True)
class Expected:
    """One (project, series) of a study we asked for. `own`: values of the request that no output may hold.

    `patient`: the PatientID that C-FIND told of it, or else the RIS, as long as it is known.
    `again`: it was pushed and nothing of it was kept, which the next instance may change.
    """

    series_hash: str
    project: str
    key: str
    state: str
    own: frozenset[str] = field(repr=False)
    again: bool = False
    patient: str = field(default="", repr=False)


@dataclass(frozen=True)
class Pushed:
    """The first instance of a series that nobody asked for. `seen`: JSON of what the rules look at, DICOM keyword -> value."""

    project: str
    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    accession: AccessionNumber | None = field(repr=False)
    patient_id: str = field(repr=False)
    study_date: str = field(repr=False)
    modality: str
    seen: str = field(repr=False)


@dataclass(frozen=True)
class WaitingSeries:
    """A pushed series, until its study is quiet. `study`: keyed hash; `since`: epoch seconds; `seen`: as it came."""

    key: str
    project: str
    study: str
    modality: str
    since: float
    seen: str = field(repr=False)


@dataclass(frozen=True)
class Tally:
    """What arrived of a series, counted from its ledger. `reasons`: reason -> instances, for those not kept; as they decide.

    `profiles`: version hashes of the de-identification profiles that made what is kept or held.
    """

    expected: int
    kept: int
    excluded: int
    refused: int
    reasons: Mapping[str, int]
    held: int = 0
    profiles: frozenset[str] = frozenset()

    @property
    def reason(self) -> str:
        """Of what decides; "" when all was kept."""
        return next(iter(self.reasons), "")


def tally(ledger: Mapping[str, LedgerLine], *, expected: int = 0) -> Tally:
    """The balance of a ledger. `expected`: how many there should be, where that is more than came."""
    lines = ledger.values()
    outcomes = Counter(line.outcome for line in lines)
    return Tally(
        expected=max(expected, len(ledger)),
        kept=outcomes[Outcome.KEPT],
        excluded=outcomes[Outcome.EXCLUDED],
        refused=outcomes[Outcome.REFUSED],
        reasons=_reasons(lines),
        held=outcomes[Outcome.HELD],
        profiles=frozenset(line.profile for line in lines if line.profile),
    )


def _reasons(lines: Collection[LedgerLine]) -> dict[str, int]:
    """In the order of `DECIDING`, and then the commonest first."""
    counted: Counter[str] = Counter()
    for outcome in DECIDING:
        found = Counter(line.reason for line in lines if line.outcome is outcome and line.reason)
        counted.update(dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))))
    return dict(counted)
