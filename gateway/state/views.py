"""Read-only views for people, `status` and metrics. Nothing in them identifies a patient: keys, states, reasons, counts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Row, Select, and_, func, or_, select, text
from sqlalchemy.engine import Connection

from gateway.keys import Keys
from gateway.model import strip_invisible
from gateway.state import balance, evidence, machine, ring, settle, standing
from gateway.state.db import PENDING, Database, aside, asked, history, population, request, series
from gateway.state.evidence import CandidateView
from gateway.state.sealed import Seal

T = TypeVar("T")
Mine = TypeVar("Mine", "RequestView", "AsideView")


@dataclass(frozen=True)
class RequestView:
    key: str
    project: str
    state: str
    reason: str
    attempts: int
    empties: int
    not_before: float | None
    created: float
    updated: float
    series: Mapping[str, int]  # state -> series
    why: str  # as the balance sheet says it: of what became of its series, where it has any


@dataclass(frozen=True)
class SeriesView:
    key: str
    project: str
    state: str
    reason: str
    pacs: str
    modality: str
    expected: int | None
    kept: int
    excluded: int
    refused: int
    held: int
    reasons: Mapping[str, int]
    attempts: int  # that failed, of the step that it is at
    next_attempt: float | None  # None: it is under way, waits for nothing, or is over


@dataclass(frozen=True)
class Event:
    at: float
    subject: str  # R-... or S-...
    event: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class AsideView:
    project: str
    reason: str
    first_seen: float
    times: int


@dataclass(frozen=True)
class Traced:
    """What is known of one accession number."""

    requests: Sequence[RequestView]
    aside: Sequence[AsideView]


@dataclass(frozen=True)
class Counts:
    requests: Mapping[tuple[str, str], int]  # (project, state) -> rows
    series: Mapping[tuple[str, str], int]
    oldest_pending: Mapping[str, float]  # project -> creation time of its oldest request still under way


class Views:
    """`key` only turns a typed accession number into its look-up hash."""

    def __init__(self, database: Database, key: bytes | Keys) -> None:
        self._db = database
        self._seal = Seal(ring.keys_of(database, key))

    def counts(self) -> Counts:
        """From what the database keeps count of: it costs the same for a thousand rows and for millions."""
        with self._db.read() as c:
            requests = _by_state(c, "request")
            oldest = {project: _oldest(c, project) for project in sorted({project for project, _ in requests})}
            return Counts(
                requests=requests,
                series=_by_state(c, "series"),
                oldest_pending={project: created for project, created in oldest.items() if created is not None},
            )

    def projects(self) -> set[str]:
        """Those that anything was asked for, in the configuration or not."""
        with self._db.read() as c:
            return {project for project, _ in _by_state(c, "request")}

    def planned(self, projects: Sequence[str]) -> dict[str, int]:
        """Series of these projects that wait to be retrieved, by PACS: what is left of a removed project, nobody fetches."""
        number = func.sum(population.c.number)
        waiting = select(population.c.pacs, number).where(
            population.c.subject == "series", population.c.state == "planned", population.c.project.in_(projects)
        )
        with self._db.read() as c:
            return {r[0]: int(r[1]) for r in c.execute(waiting.group_by(population.c.pacs)) if r[1]}

    def requests(self, *, state: str | None = None, project: str | None = None, limit: int = 200) -> list[RequestView]:
        """Newest change first. Project by project and state by state: so the index gives them in order."""
        with self._db.read() as c:
            alike = [(p, s) for p, s in _by_state(c, "request") if state in (None, s) and project in (None, p)]
            rows = [r for p, s in alike for r in c.execute(_newest(p, s, limit)).all()]
            rows.sort(key=lambda r: (r.updated, r.id), reverse=True)
            return _requests(c, rows[:limit])

    def request(self, key: str) -> RequestView | None:
        with self._db.read() as c:
            r = c.execute(select(request).where(request.c.key == key)).first()
            return _requests(c, [r])[0] if r else None

    def by_accession(self, text: str) -> list[RequestView]:
        """The requests (one a project) of a typed accession number."""
        digest = self._seal.hash("accession", strip_invisible(text))
        with self._db.read() as c:
            same = or_(request.c.accession_hash == digest, request.c.number_hash == digest)
            chosen = select(request).where(same).order_by(request.c.project, request.c.id)
            return _requests(c, c.execute(chosen).all())

    def set_aside(self, text: str) -> list[AsideView]:
        """RIS rows and CSV lines with this text that could not become a request."""
        same = or_(*(aside.c.text_hash == self._seal.hash("accession", t) for t in {text, strip_invisible(text)}))
        with self._db.read() as c:
            rows = c.execute(select(aside).where(same).order_by(aside.c.id)).all()
            return [AsideView(r.project, r.reason, r.first_seen, r.times) for r in rows]

    def traced(self, numbers: Sequence[tuple[str, str]], *, project: str | None = None) -> list[Traced]:
        """`numbers`: each an accession number and its issuer, or "" for whoever's it is. In their order."""
        found = []
        for some in _hundreds(numbers):
            with self._db.read() as c:
                found += self._traced(c, some, project)
        return found

    def _traced(self, c: Connection, some: Sequence[tuple[str, str]], project: str | None) -> list[Traced]:
        digests = [self._seal.hash("accession", text, *((issuer,) if issuer else ())) for text, issuer in some]
        same = or_(request.c.accession_hash.in_(digests), request.c.number_hash.in_(digests))
        rows = c.execute(select(request).where(same).order_by(request.c.project, request.c.id)).all()
        requests: dict[str, list[RequestView]] = defaultdict(list)
        for r, view in zip(rows, _requests(c, rows), strict=True):
            for digest in {r.accession_hash, r.number_hash}:
                requests[digest].append(view)
        texts = {text: self._seal.hash("accession", text) for text, _ in some}
        beside: dict[str, list[AsideView]] = defaultdict(list)
        for r in c.execute(select(aside).where(aside.c.text_hash.in_(texts.values())).order_by(aside.c.id)):
            beside[r.text_hash].append(AsideView(r.project, r.reason, r.first_seen, r.times))

        def of(views: Sequence[Mine]) -> list[Mine]:
            return [view for view in views if project in (None, view.project)]

        return [
            Traced(of(requests[digest]), of(beside[texts[text]]))
            for (text, _), digest in zip(some, digests, strict=True)
        ]

    def candidates(self, request_key: str) -> list[CandidateView]:
        """The studies that were considered for a request."""
        with self._db.read() as c:
            return evidence.views(c, request_key=request_key)

    def undecided(self, project: str | None = None) -> list[CandidateView]:
        """Studies that a person has to decide about."""
        with self._db.read() as c:
            return evidence.views(c, project=project)

    def series(self, request_key: str) -> list[SeriesView]:
        with self._db.read() as c:
            rows = c.execute(
                select(series)
                .join(asked, asked.c.series_id == series.c.id)
                .join(request, request.c.id == asked.c.request_id)
                .where(request.c.key == request_key)
                .order_by(series.c.id)
            ).all()
            tried = standing.tried(c, [r.id for r in rows if r.state in machine.UNDER_WAY])
            return [_series(r, tried.get(r.id)) for r in rows]

    def series_of(self, keys: Sequence[str]) -> dict[str, SeriesView]:
        """By series key, of those that there are."""
        with self._db.read() as c:
            rows = [
                r for some in _hundreds(keys) for r in c.execute(select(series).where(series.c.key.in_(some))).all()
            ]
            return {r.key: _series(r) for r in rows}

    def history(self, request_key: str) -> list[Event]:
        """Every transition of the request and of its series, in order."""
        mine = select(history, request.c.key.label("subject")).join(request, request.c.id == history.c.request_id)
        theirs = (
            select(history, series.c.key.label("subject"))
            .join(series, series.c.id == history.c.series_id)
            .join(asked, asked.c.series_id == series.c.id)
            .join(request, request.c.id == asked.c.request_id)
        )
        this = request.c.key == request_key
        with self._db.read() as c:  # two questions: asked in one with OR, PostgreSQL reads the whole table
            rows = [*c.execute(mine.where(this)).all(), *c.execute(theirs.where(this)).all()]
        rows.sort(key=lambda r: r.id)
        return [Event(r.at, r.subject, r.event, r.before, r.after, r.reason) for r in rows]

    def balances(self) -> list[balance.Balance]:
        """The balance sheet of each project."""
        with self._db.long_read() as c:
            return balance.balances(c)

    def under_way(self) -> int:
        """Requests that are not over: new, planned, or empty and to be asked again."""
        asked_again = and_(request.c.state == "empty", request.c.not_before.is_not(None))
        wanted = or_(request.c.state.in_(("new", "planned")), asked_again)
        with self._db.read() as c:
            return c.execute(select(func.count()).select_from(request).where(wanted)).scalar() or 0


def _hundreds(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """A statement takes only so many values."""
    return (keys[at : at + 500] for at in range(0, len(keys), 500))


def _by_state(c: Connection, subject: str) -> dict[tuple[str, str], int]:
    alike, number = (population.c.project, population.c.state), func.sum(population.c.number)
    rows = c.execute(select(*alike, number).where(population.c.subject == subject).group_by(*alike))
    return {(p, s): int(n) for p, s, n in rows if n}


def _oldest(c: Connection, project: str) -> float | None:
    """When its oldest request under way was made; one that only waits to be asked again does not age. By the index of PENDING."""
    again = and_(request.c.state == "new", or_(request.c.reason == settle.YOUNG, settle.has_confirmed()))
    pending = select(request.c.created).where(request.c.project == project, text(PENDING), ~again)
    created: float | None = c.execute(pending.order_by(request.c.created).limit(1)).scalar()
    return created


def _newest(project: str, state: str, limit: int) -> Select[Any]:
    mine = (request.c.project == project, request.c.state == state)
    return select(request).where(*mine).order_by(request.c.updated.desc(), request.c.id.desc()).limit(limit)


def _requests(c: Connection, rows: Sequence[Row[Any]]) -> list[RequestView]:
    """With how many of their series are in which state, and one reason of those."""
    states: dict[int, dict[str, int]] = {r.id: {} for r in rows}
    reasons: dict[int, dict[str, str]] = {r.id: {} for r in rows}
    told = (func.count().label("number"), func.min(series.c.reason).label("told"))
    for some in _hundreds(list(states)):
        by_state = (
            select(asked.c.request_id, series.c.state, *told)
            .join(asked, asked.c.series_id == series.c.id)
            .where(asked.c.request_id.in_(some))
            .group_by(asked.c.request_id, series.c.state)
        )
        for r in c.execute(by_state):
            states[r.request_id][r.state], reasons[r.request_id][r.state] = r.number, r.told
    return [
        RequestView(
            r.key, r.project, r.state, r.reason, r.attempts, r.empties, r.not_before, r.created, r.updated, states[r.id],
            balance.why(r.state, r.reason, reasons[r.id]),
        )
        for r in rows
    ]  # fmt: skip


def _series(r: Row[Any], tried: Row[Any] | None = None) -> SeriesView:
    """`tried`: by the archive that holds it up."""
    step = tried or (r if r.state == "planned" else None)
    later = step is not None and step.not_before is not None and step.not_before > r.updated
    return SeriesView(
        key=r.key, project=r.project, state=r.state, reason=tried.reason if tried else r.reason, pacs=r.pacs, modality=r.modality,
        expected=r.expected, kept=r.kept, excluded=r.excluded, refused=r.refused, held=r.held, reasons=json.loads(r.reasons),
        attempts=step.attempts if step else 0, next_attempt=step.not_before if step and later else None,
    )  # fmt: skip
