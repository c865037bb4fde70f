"""What a claim hands to a room: opened rows, each with the token that alone may settle it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import AccessionNumber


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


@dataclass(frozen=True)
class SeriesRow:
    """A claimed series of one project."""

    id: int
    key: str
    project: str
    state: str
    attempts: int
    owner: str


@dataclass(frozen=True)
class SeriesClaim:
    """One retrieval, for every project that asked for the series."""

    pacs: str
    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    instances: int | None
    attempts: int
    rows: tuple[SeriesRow, ...]


@dataclass(frozen=True)
class Expected:
    """One (project, series) of a study we asked for. `own`: values of the request that no output may hold."""

    series_hash: str
    project: str
    key: str
    state: str
    own: frozenset[str] = field(repr=False)


@dataclass(frozen=True)
class Tally:
    """What arrived of a series, counted from its ledger. `reasons`: reason -> instances, for those not kept."""

    expected: int
    kept: int
    excluded: int
    refused: int
    reasons: Mapping[str, int]
