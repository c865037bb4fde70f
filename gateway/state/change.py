"""What a person changes: retry, cancel; what the outbox sweep finds; and what became of a held series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from gateway.state import machine, settle
from gateway.state.ahead import APART
from gateway.state.db import asked, history, request, series
from gateway.state.rows import Tally
from gateway.state.settle import At, Step

RETRIABLE = tuple(s for s, events in machine.REQUEST.items() if "retried" in events)
CANCELLABLE = tuple(s for s, events in machine.REQUEST.items() if "cancelled" in events)
AT_ONCE = 500
"""Requests in one transaction: the daemon waits no longer for it, and a hundred thousand would take more time than one has."""
ENDS = {"retrieved": "released", "excluded": "discarded", "failed": "failed"}
"""What a count decides -> the event of a series that was held till then."""


def retriable(*, keys: Sequence[str], state: str | None, project: str | None) -> ColumnElement[bool]:
    """Failed, empty, held and cancelled requests, of these only."""
    wanted: list[ColumnElement[bool]] = [request.c.state.in_(RETRIABLE), request.c.sealed.is_not(None)]
    if keys:
        wanted.append(request.c.key.in_(keys))
    if state:
        wanted.append(request.c.state == state)
    if project:
        wanted.append(request.c.project == project)
    return and_(*wanted)


def retry(c: Connection, which: ColumnElement[bool], now: float, *, after: int) -> tuple[int, int]:
    """Some of them, by number, become new; the next plan brings their failed series back. (how many, the last; 0: that was all)."""
    chosen = select(request).where(which, request.c.id > after).order_by(request.c.id).limit(AT_ONCE)
    rows = c.execute(chosen).all()
    fresh = {"attempts": 0, "empties": 0, "not_before": now}
    step = Step("retried", now, "by-hand")
    changed = sum(settle.move(c, At(request, r.id, r.state), step, fresh) for r in rows)
    return changed, rows[-1].id if rows else 0


def cancel(c: Connection, keys: Sequence[str], now: float) -> int:
    chosen = and_(request.c.key.in_(keys), request.c.state.in_(CANCELLABLE))
    rows = c.execute(select(request).where(chosen).order_by(request.c.id)).all()
    return sum(cancel_one(c, r, Step("cancelled", now, "by-hand")) for r in rows)


def cancel_one(c: Connection, r: Row[Any], step: Step) -> bool:
    """A request, with its planned series that no other asked for."""
    done = settle.move(c, At(request, r.id, r.state), step)
    if done:
        for waiting in _only_mine(c, r.id):
            settle.move(c, At(series, waiting, "planned"), Step("excluded", step.now, "request.cancelled"))
            settle.forget(c, waiting)
    return done


def _only_mine(c: Connection, request_id: int) -> list[int]:
    """Planned series that no other live request asked for. Locked before the others are looked at: a plan may just add one."""
    mine = select(asked.c.series_id).where(asked.c.request_id == request_id)
    locked = select(series.c.id, series.c.state).where(series.c.id.in_(mine)).order_by(series.c.id)
    planned = [r.id for r in c.execute(locked.with_for_update(key_share=True)).all() if r.state == "planned"]
    others = (
        select(asked.c.series_id)
        .join(request, request.c.id == asked.c.request_id)
        .where(asked.c.series_id.in_(planned), asked.c.request_id != request_id, request.c.state == "planned")
    )
    wanted = {r.series_id for r in c.execute(others)}
    return [series_id for series_id in planned if series_id not in wanted]


def late(c: Connection, series_key: str, now: float, *, quiet: float, node: str) -> bool:
    """A confirmed series goes to the courier again, `node`'s, where the files are; the requests behind it are under way again."""
    then = or_(series.c.updated <= now - quiet, series.c.updated > now + APART)  # the clock was ahead
    settled = (series.c.key == series_key, series.c.state == "confirmed", then)
    row = c.execute(select(series.c.id).where(*settled)).first()
    if row is None:
        return False
    settle.lock_requests(c, settle.asking(row.id))
    fresh = {"not_before": now, "attempts": 0, "node": node}
    if not settle.move(c, At(series, row.id, "confirmed"), Step("late", now, "instances.late"), fresh):
        return False
    resume(c, row.id, now)
    return True


def resume(c: Connection, series_id: int, now: float) -> None:
    """Requests that were over are under way again."""
    over = and_(request.c.id.in_(settle.asking(series_id)), request.c.state.in_(("done", "failed")))
    for r in c.execute(select(request.c.id, request.c.state).where(over)).all():
        settle.move(c, At(request, r.id, r.state), Step("resumed", now, "instances.late"))


def held(c: Connection, series_key: str, tally: Tally, now: float, *, node: str) -> str:
    """A held series of this node as its ledger says: `released`, `discarded`, `failed`, or still held ("", as for any other)."""
    mine = (series.c.key == series_key, series.c.state == "held", series.c.node == node)
    found = c.execute(select(series.c.id).where(*mine)).first()
    if found is None:
        return ""
    settle.lock_requests(c, settle.asking(found.id))
    row = c.execute(select(series).where(*mine).with_for_update(key_share=True)).first()
    if row is None:
        return ""
    at = At(series, row.id, "held")
    values = {**settle.tally_values(tally), "expected": max(row.expected or 0, tally.expected)}
    event, reason = settle.arrived(tally)
    if tally.expected < row.kept + row.excluded + row.refused + row.held:
        event, reason = "failed", "held.lost"  # files were taken away behind our back
    if event == "held":
        _still_held(c, at, Step("screened", now, reason), values, row)
        return ""
    settle.move(c, at, Step(ENDS[event], now, reason), values)
    settle.note_profiles(c, At(series, row.id, machine.after(machine.SERIES, "held", ENDS[event])), tally, now)
    settle.forget(c, row.id)
    settle.close_requests(c, row.id, now)
    return ENDS[event]


def _still_held(c: Connection, at: At, step: Step, values: dict[str, Any], row: Row[Any]) -> None:
    """The counts as they are now; one line of history when another reason has come to the fore."""
    if step.reason != row.reason:
        settle.note(c, at, step, at.state)
    c.execute(update(series).where(series.c.id == at.id).values(**values, reason=step.reason, updated=step.now))


def tell(c: Connection, series_key: str, step: Step, *, once: bool = False) -> bool:
    """A line of history about a series that changes no state: what a person did to one of its held instances."""
    row = c.execute(select(series.c.id, series.c.state).where(series.c.key == series_key)).first()
    if row is None or (once and _is_told(c, row.id, step)):
        return False
    settle.note(c, At(series, row.id, row.state), step, row.state)
    return True


def _is_told(c: Connection, series_id: int, step: Step) -> bool:
    same = (history.c.series_id == series_id, history.c.event == step.event, history.c.reason == step.reason)
    return c.execute(select(history.c.id).where(*same).limit(1)).first() is not None
