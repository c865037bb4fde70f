"""What speaks for and against each study that may be the examination of a request, and what a person has said of it.

A row names its study by keyed hash and by a key of ours (C-...); of the values that were compared nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.engine import Connection

from gateway.keys import short_key
from gateway.model import Candidate
from gateway.state import settle
from gateway.state.db import evidence, request
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step

FACTS: Final = ("accession", "patient", "date", "modality")
HELD: Final = "held"


@dataclass(frozen=True)
class CandidateView:
    """A study as a person sees it. `accession` ... `modality`: agrees, differs or unknown."""

    key: str
    request: str
    project: str
    pacs: str
    form: str
    accession: str
    patient: str
    date: str
    modality: str
    standing: str
    reason: str
    decision: str
    at: float


@dataclass(frozen=True)
class Decision:
    """`word`: accepted or rejected. `told`: who and why, for the history."""

    word: str
    told: str


def write(c: Connection, seal: Seal, request_id: int, candidates: Iterable[Candidate], now: float) -> None:
    """As they are seen now; what a person said of one stays."""
    owner = c.execute(select(request.c.key).where(request.c.id == request_id)).scalar_one()
    for one in candidates:
        digest = seal.hash("study", one.StudyInstanceUID)
        told: dict[str, Any] = {fact: str(getattr(one.evidence, fact)) for fact in FACTS}
        told |= {"pacs": one.pacs, "form": one.form, "standing": one.standing, "reason": one.reason, "at": now}
        same = (evidence.c.request_id == request_id, evidence.c.study_hash == digest)
        if not c.execute(update(evidence).where(*same).values(**told)).rowcount:
            key = short_key("C", seal.hash("candidate", owner, digest))
            c.execute(insert(evidence).values(key=key, request_id=request_id, study_hash=digest, **told))


def decisions(c: Connection, request_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """By request: hash of the study -> what a person said."""
    mine = (evidence.c.request_id.in_(request_ids), evidence.c.decision != "")
    found: dict[int, dict[str, str]] = {}
    for r in c.execute(select(evidence.c.request_id, evidence.c.study_hash, evidence.c.decision).where(*mine)):
        found.setdefault(r.request_id, {})[r.study_hash] = r.decision
    return found


def views(c: Connection, *, request_key: str | None = None, project: str | None = None) -> list[CandidateView]:
    """Those of a request, or those that wait for a person, of one project or of all."""
    joined = select(evidence, request.c.key.label("owner"), request.c.project).join(
        request, request.c.id == evidence.c.request_id
    )
    if request_key is not None:
        joined = joined.where(request.c.key == request_key)
    else:
        joined = joined.where(request.c.state == HELD, evidence.c.standing == HELD, evidence.c.decision == "")
    if project is not None:
        joined = joined.where(request.c.project == project)
    return [_view(r) for r in c.execute(joined.order_by(evidence.c.id)).all()]


def decide(c: Connection, keys: Sequence[str], decision: Decision, now: float) -> dict[str, list[str]]:
    """`keys`: of candidates (C-...), or of held requests (R-...), all that is held of it. -> key -> candidates decided.

    A request goes on once one of its candidates is accepted or all are rejected: it is asked for again, by what was said.
    """
    done: dict[str, list[str]] = {}
    for key in dict.fromkeys(keys):
        named = evidence.c.key == key if key.startswith("C-") else request.c.key == key
        rows = c.execute(_waiting().where(named).order_by(evidence.c.id)).all()
        for r in rows:
            c.execute(update(evidence).where(evidence.c.id == r.id).values(decision=decision.word))
            told = Step(f"study-{decision.word}", now, f"{r.key} {decision.told}")
            settle.note(c, At(request, r.request_id, HELD), told, HELD)
        for request_id in sorted({r.request_id for r in rows}):
            _go_on(c, request_id, decision.word, now)
        if rows:
            done[key] = [r.key for r in rows]
    return done


def _waiting() -> Any:
    """Undecided candidates of held requests."""
    held = (request.c.state == HELD, evidence.c.standing == HELD, evidence.c.decision == "")
    return select(evidence).join(request, request.c.id == evidence.c.request_id).where(*held)


def _go_on(c: Connection, request_id: int, word: str, now: float) -> None:
    left = c.execute(_waiting().where(evidence.c.request_id == request_id)).first()
    if word == "accepted" or left is None:
        fresh: Mapping[str, Any] = {"attempts": 0, "not_before": now}
        settle.move(c, At(request, request_id, HELD), Step("decided", now, f"study.{word}"), fresh)


def _view(r: Row[Any]) -> CandidateView:
    return CandidateView(
        r.key, r.owner, r.project, r.pacs, r.form, r.accession, r.patient, r.date, r.modality, r.standing, r.reason,
        r.decision, r.at,
    )  # fmt: skip
