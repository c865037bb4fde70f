"""What the receiver asks: whose instance is it, and which values must not be in what we keep of it?"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from gateway.state.db import asked, request, series
from gateway.state.rows import Expected
from gateway.state.sealed import Seal


def expected(c: Connection, seal: Seal, StudyInstanceUID: str) -> tuple[Expected, ...]:
    """One row per (project, series) of the study, with the own values of every request that asked for it."""
    wanted = select(series).where(series.c.study_hash == seal.hash("study", StudyInstanceUID))
    rows = c.execute(wanted.order_by(series.c.id)).all()
    own = _own(c, seal, [r.id for r in rows])
    return tuple(
        Expected(r.series_hash, r.project, r.key, r.state, own.get(r.id, frozenset()), is_open(r), _patient(seal, r))
        for r in rows
    )


def _patient(seal: Seal, r: Row[Any]) -> str:
    told = seal.open_up(r.sealed, owner=r.key)
    return told.get("patient") or told.get("named", "")


def is_open(row: Row[Any]) -> bool:
    """Whether a pushed series is excluded for want of instances, not by a rule about series: more may come of it."""
    return row.pacs == "" and row.state == "excluded" and not row.reason.startswith(("select.study", "select.series"))


def _own(c: Connection, seal: Seal, series_ids: list[int]) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    rows = c.execute(
        select(asked.c.series_id, request.c.key, request.c.sealed)
        .join(request, request.c.id == asked.c.request_id)
        .where(asked.c.series_id.in_(series_ids))
    )
    for r in rows:
        opened = seal.open_up(r.sealed, owner=r.key)
        values = frozenset(v for k, v in opened.items() if v and k != "study_date")
        found[r.series_id] = found.get(r.series_id, frozenset()) | values
    return found
