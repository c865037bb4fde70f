"""One row of `progress`: how far one archive of a series is, and who works on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, literal, select, update
from sqlalchemy.engine import Connection

from gateway.state import machine, settle
from gateway.state.claim import Lease
from gateway.state.db import insert_new, progress, series
from gateway.state.rows import SeriesRow
from gateway.state.settle import FREE, At, Step

AT_ONCE: Final = 500
"""Series in one transaction."""


def of(row: SeriesRow, sink: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return progress.c.series_id == row.id, progress.c.sink == sink


def enrol(c: Connection, here: ColumnElement[bool], sink: str) -> None:
    touched = select(progress.c.series_id).where(progress.c.series_id == series.c.id, progress.c.sink == sink)
    new = select(series.c.id, literal(sink)).where(here, series.c.state == "delivered", ~touched.exists())
    c.execute(insert_new(c, progress).from_select(["series_id", "sink"], new))


def tried(c: Connection, series_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Of series under way that an archive did not take yet: reason, attempts and not_before of the one that is tried again last."""
    mine = (progress.c.series_id.in_(series_ids), progress.c.reason != "", progress.c.stage != "confirmed")
    return {r.series_id: r for r in c.execute(select(progress).where(*mine).order_by(progress.c.not_before)).all()}


def show_again(
    c: Connection, here: ColumnElement[bool], sinks: Sequence[str], *, after: int, now: float
) -> tuple[int, int]:
    """Some of those that have been put into each archive, by number, are `delivered`, to be shown by the first once more, and so
    settled. (how many, the last that was looked at; 0: that was all)."""
    past = select(progress.c.series_id).where(progress.c.sink.in_(sinks), progress.c.stage != "waiting")
    past = past.where(progress.c.series_id > after).group_by(progress.c.series_id)
    past = past.having(func.count() == len(set(sinks))).order_by(progress.c.series_id).limit(AT_ONCE)
    ids = list(c.execute(past).scalars())
    rows = c.execute(select(series.c.id, series.c.state).where(here, series.c.id.in_(ids))).all()
    for r in rows:
        if r.state == "retrieved":
            settle.move(c, At(series, r.id, r.state), Step("delivered", now))
    mine = (progress.c.series_id.in_([r.id for r in rows]), progress.c.sink == sinks[0])
    c.execute(update(progress).where(*mine).values(stage="delivered"))
    return len(rows), ids[-1] if ids else 0


def take(c: Connection, series_id: int, sink: str, taken: Lease) -> None:
    mine = {"series_id": series_id, "sink": sink}
    c.execute(insert_new(c, progress).values(mine))
    this = (progress.c.series_id == series_id, progress.c.sink == sink)
    c.execute(update(progress).where(*this).values(claimed_by=taken.owner, lease_until=taken.until))


def state_of(c: Connection, row: SeriesRow) -> str:
    """Of the series, which is locked: of two archives that end at once, the later sees both."""
    settle.lock_requests(c, settle.asking(row.id))
    return c.execute(select(series.c.state).where(series.c.id == row.id).with_for_update()).scalar() or ""


def settled(c: Connection, row: SeriesRow, sink: str, **values: Any) -> bool:
    """The claim's own row, by compare-and-set; no archive is on its way for a series that is not."""
    under_way = select(series.c.id).where(series.c.id == row.id, series.c.state.in_(machine.UNDER_WAY))
    mine = (*of(row, sink), progress.c.claimed_by == row.owner)
    fresh = {"attempts": 0, "not_before": 0.0, "reason": ""}
    done = c.execute(update(progress).where(*mine, under_way.exists()).values(**fresh, **values, **FREE)).rowcount == 1
    if not done:
        let_go(c, row)
    return done


def let_go(c: Connection, row: SeriesRow) -> None:
    """Of a series that was withdrawn meanwhile: nobody writes it from here on."""
    c.execute(update(progress).where(progress.c.series_id == row.id, progress.c.claimed_by == row.owner).values(**FREE))
