"""Claiming: a worker takes a row for a while. Fair over projects, in each by age; what another one holds is left alone."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, or_, select, text, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.schema import Table

from gateway.model import AccessionNumber
from gateway.state.db import ASKABLE, request, series
from gateway.state.evidence import decisions
from gateway.state.rows import RequestClaim, SeriesClaim, SeriesRow
from gateway.state.sealed import Seal


@dataclass(frozen=True)
class Lease:
    """A claim in the making: `owner` is its own name, `now` and `until` epoch seconds."""

    owner: str
    now: float
    until: float


def locked(chosen: Select[Any]) -> Select[Any]:
    """Rows that another transaction has in hand are left to it. SQLite has one writer at a time, and no such words."""
    return chosen.with_for_update(skip_locked=True, key_share=True)


def lease(node: str, seconds: float, now: float) -> Lease:
    """The owner is the node, so that its restart can free what it held, and chance."""
    return Lease(f"{node}/{secrets.token_hex(8)}", now, now + seconds)


def _free(table: Table, now: float) -> ColumnElement[bool]:
    return and_(table.c.not_before <= now, or_(table.c.claimed_by.is_(None), table.c.lease_until < now))


def _take(c: Connection, table: Table, ids: Sequence[int], lease: Lease) -> None:
    c.execute(update(table).where(table.c.id.in_(ids)).values(claimed_by=lease.owner, lease_until=lease.until))


def requests(c: Connection, seal: Seal, lease: Lease, *, projects: Sequence[str], limit: int) -> list[RequestClaim]:
    """Up to `limit` requests whose time has come: of each project in turn its oldest, so that no back-fill holds up another.

    Project by project: so the index gives them in order, and what waits of other projects costs nothing.
    """
    found: list[tuple[int, Row[Any]]] = []
    for project in projects:
        due = and_(request.c.project == project, text(ASKABLE), _free(request, lease.now))
        chosen = select(request).where(due).order_by(request.c.not_before, request.c.id).limit(limit)
        found += enumerate(c.execute(locked(chosen)).all())
    rows = [r for _, r in sorted(found, key=lambda turn: (turn[0], turn[1].not_before, turn[1].id))[:limit]]
    _take(c, request, [r.id for r in rows], lease)
    decided = decisions(c, [r.id for r in rows])
    return [_request(seal, r, lease.owner, decided.get(r.id, {})) for r in rows]


def _request(seal: Seal, r: Row[tuple[object, ...]], owner: str, decided: dict[str, str]) -> RequestClaim:
    opened = seal.open_up(r.sealed, owner=r.key)
    return RequestClaim(
        id=r.id,
        key=r.key,
        project=r.project,
        accession=AccessionNumber(opened["accession"]),
        patient_id=opened.get("patient_id", ""),
        study_date=opened.get("study_date", ""),
        modality=r.modality,
        attempts=r.attempts,
        empties=r.empties,
        state=r.state,
        owner=owner,
        decided=decided,
        issuer=opened.get("issuer", ""),
    )


@dataclass(frozen=True)
class Of:
    """Which series are meant. `projects`: in the order of their turns. `only`: keys; None: any."""

    pacs: str
    projects: Sequence[str]
    only: Collection[str] | None = None


def one_series(c: Connection, seal: Seal, lease: Lease, *, of: Of) -> SeriesClaim | None:
    """The oldest due planned series of the first project that has any, together with the same series of every other project.

    One retrieval serves all.
    """
    here = and_(series.c.state == "planned", series.c.pacs == of.pacs)
    first = None
    for project in of.projects:
        due = and_(here, series.c.project == project, _free(series, lease.now))
        if of.only is not None:
            due = and_(due, series.c.key.in_(of.only))
        oldest = select(series).where(due).order_by(series.c.not_before, series.c.id).limit(1)
        first = first or c.execute(locked(oldest)).first()
    if first is None:
        return None
    same = and_(here, series.c.project.in_(of.projects), series.c.series_hash == first.series_hash)
    free = or_(series.c.claimed_by.is_(None), series.c.lease_until < lease.now)
    rows = c.execute(locked(select(series).where(same, free).order_by(series.c.id))).all()
    _take(c, series, [r.id for r in rows], lease)
    opened = seal.open_up(first.sealed, owner=first.key)
    return SeriesClaim(
        pacs=of.pacs,
        StudyInstanceUID=opened["study"],
        SeriesInstanceUID=opened["series"],
        instances=first.expected,
        attempts=first.attempts,
        rows=tuple(_series(r, lease.owner) for r in rows),
        PatientID=opened.get("patient", ""),
    )


def _series(r: Row[tuple[object, ...]], owner: str) -> SeriesRow:
    return SeriesRow(id=r.id, key=r.key, project=r.project, state=r.state, attempts=r.attempts, owner=owner)


def free(c: Connection, owners: Collection[str]) -> None:
    """Frees what these claims held. A claim that is settled has no owner any more."""
    for table in (request, series):
        c.execute(update(table).where(table.c.claimed_by.in_(owners)).values(claimed_by=None, lease_until=0.0))


def free_node(c: Connection, node: str) -> int:
    """Frees what an earlier life of this node held (one daemon a node: a lock on the state directory sees to it)."""
    freed = 0
    for table in (request, series):
        held = and_(table.c.claimed_by.is_not(None), table.c.claimed_by.startswith(f"{node}/", autoescape=True))
        freed += c.execute(update(table).where(held).values(claimed_by=None, lease_until=0.0)).rowcount
    return freed
