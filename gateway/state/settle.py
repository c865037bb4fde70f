"""Settling: one claimed row goes to its next state by compare-and-set, with one line of history in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, delete, insert, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.schema import Table

from gateway.state import machine
from gateway.state.db import asked, history, progress, request, series
from gateway.state.rows import RequestClaim, SeriesRow, Tally

MACHINES: Mapping[str, Mapping[str, Mapping[str, str]]] = {"request": machine.REQUEST, "series": machine.SERIES}
YOUNG: Final = "study.young"
"""Of a request that is asked once more when all of it is done: the study may still grow (M15)."""
LOST: Final = "series.failed"
"""Of a request that failed because a series of it did."""
PENDING: Final = ("new", "planned")
"""States of a request that is under way."""
FREE: Mapping[str, Any] = {"claimed_by": None, "lease_until": 0.0}


@dataclass(frozen=True)
class Step:
    """What happens to a row: an event of its machine, the reason, and when."""

    event: str
    now: float
    reason: str = ""


@dataclass(frozen=True)
class At:
    """A row as its settler knows it. `owner` None: whoever has claimed it, if anybody."""

    table: Table
    id: int
    state: str
    owner: str | None = None

    def mine(self) -> tuple[ColumnElement[bool], ...]:
        """The compare of compare-and-set."""
        same = (self.table.c.id == self.id, self.table.c.state == self.state)
        return same if self.owner is None else (*same, self.table.c.claimed_by == self.owner)


def move(c: Connection, at: At, step: Step, values: Mapping[str, Any] | None = None) -> bool:
    """Compare-and-set; False when somebody else settled it first."""
    after = machine.after(MACHINES[at.table.name], at.state, step.event)
    since = {"created": step.now} if at.table is request and _begins(at.state, after) else {}
    settled = c.execute(
        update(at.table)
        .where(*at.mine())
        .values(state=after, reason=step.reason, updated=step.now, **FREE, **since, **(values or {}))
    )
    if settled.rowcount != 1:
        return False
    note(c, at, step, after)
    if at.table is series and after not in machine.UNDER_WAY:  # how far each archive was is of no more use
        c.execute(delete(progress).where(progress.c.series_id == at.id))
    return True


def _begins(before: str, after: str) -> bool:
    """Whether a request waits from now on: of one that was over, or empty, nobody is to be warned that it has waited for months."""
    return after in PENDING and (before not in PENDING or (before, after) == ("planned", "new"))


def note(c: Connection, at: At, step: Step, after: str) -> None:
    """One line of history."""
    row = {f"{at.table.name}_id": at.id}
    line = {"at": step.now, "event": step.event, "before": at.state, "after": after, "reason": step.reason}
    c.execute(insert(history).values(**line, **row))


def claimed_request(c: Connection, claim: RequestClaim, step: Step, values: Mapping[str, Any] | None = None) -> bool:
    return move(c, At(request, claim.id, claim.state, claim.owner), step, values)


def claimed_series(c: Connection, row: SeriesRow, step: Step, values: Mapping[str, Any] | None = None) -> bool:
    """Settles the series and then every request that has no other work left.

    The requests are locked first, as everybody does: of two nodes that settle the last two series of one, the later sees both.
    """
    lock_requests(c, asking(row.id))
    done = move(c, At(series, row.id, row.state, row.owner), step, values)
    if done:
        forget(c, row.id)
        close_requests(c, row.id, step.now)
    else:
        let_go(c, row.id, row.owner)
    return done


def let_go(c: Connection, series_id: int, owner: str | None) -> None:
    """Of a series that was withdrawn meanwhile: nobody works on it from here on."""
    mine = (series.c.id == series_id, series.c.claimed_by == owner, series.c.state == "withdrawn")
    c.execute(update(series).where(*mine).values(**FREE))


def release(c: Connection, at: At, step: Step, *, until: float, charge: bool) -> bool:
    """Gives a claim back for later: same state, `not_before`, and one more attempt when it was the item's fault."""
    tried = at.table.c.attempts + (1 if charge else 0)
    later = {"not_before": until, "attempts": tried, "reason": step.reason, "updated": step.now}
    given = c.execute(update(at.table).where(*at.mine()).values(**later, **FREE))
    if given.rowcount == 1 and charge:
        note(c, at, step, at.state)
    if given.rowcount != 1 and at.table is series:
        let_go(c, at.id, at.owner)
    return given.rowcount == 1


def arrived(tally: Tally) -> tuple[str, str]:
    """The event and reason that a series' own count decides: refused, then held, before excluded; nothing unsaid."""
    if tally.refused:
        return "failed", tally.reason or "instances.refused"
    if tally.held:
        return "held", tally.reason or "instances.held"
    if tally.kept:
        return "retrieved", ""
    return "excluded", tally.reason or "series.no-instances"


def tally_values(tally: Tally) -> dict[str, Any]:
    return {
        "expected": tally.expected,
        "kept": tally.kept,
        "excluded": tally.excluded,
        "refused": tally.refused,
        "held": tally.held,
        "reasons": json.dumps(dict(tally.reasons), sort_keys=True),
        "attempts": 0,
        "not_before": 0.0,
    }


def note_profiles(c: Connection, at: At, tally: Tally, now: float) -> None:
    """One line of history, once, for each version of the de-identification profile that made files of a series."""
    known = select(history.c.reason).where(history.c.series_id == at.id, history.c.event == "cleaned")
    for profile in sorted(tally.profiles - {r.reason for r in c.execute(known)}):
        note(c, at, Step("cleaned", now, profile), at.state)


def forget(c: Connection, series_id: int) -> None:
    """Original UIDs are dropped from a row once nothing can need them any more."""
    over = series.c.state.in_(("confirmed", "excluded", "withdrawn"))
    c.execute(update(series).where(series.c.id == series_id, over).values(sealed=None))


def close_requests(c: Connection, series_id: int, now: float) -> None:
    """Ends each planned request that asked for this series and has nothing else under way.

    So it does with one that failed for a series which came after all, when another request asked for it.
    """
    open_ones = or_(request.c.state == "planned", and_(request.c.state == "failed", request.c.reason == LOST))
    mine = and_(request.c.id.in_(asking(series_id)), open_ones)
    chosen = select(request.c.id, request.c.state, request.c.reason).where(mine).order_by(request.c.id)
    for request_id, state, reason in c.execute(chosen).all():
        event = machine.request_end(frozenset(series_states(c, request_id)))
        if state == "failed":
            if event != "completed":
                continue
            move(c, At(request, request_id, "failed"), Step("resumed", now, "series.came"))
        _close(c, request_id, event, now, young=reason == YOUNG)


def _close(c: Connection, request_id: int, event: str | None, now: float, *, young: bool) -> None:
    """`event`: how a planned request ends; None: not yet. `young`: it is asked once more, its not_before says when."""
    planned = At(request, request_id, "planned")
    if event == "completed" and young:
        move(c, planned, Step("again", now, YOUNG))
    elif event == "completed":
        move(c, planned, Step(event, now), {"sealed": None})
    elif event:
        move(c, planned, Step(event, now, LOST))


def has_confirmed() -> ColumnElement[bool]:
    """Of a request: something of it is in the archive. Where it is to be asked for, it is only looked at once more.

    One request at a time: joined, SQLite begins with all that is confirmed for each, and of EXISTS PostgreSQL makes a table of all.
    """
    fetched = select(series.c.id).where(series.c.id == asked.c.series_id, series.c.state == "confirmed").exists()
    mine = select(asked.c.request_id).where(asked.c.request_id == request.c.id, fetched).limit(1)
    return mine.scalar_subquery().is_not(None)


def asking(series_id: int) -> Select[tuple[int]]:
    """The requests that asked for a series."""
    return select(asked.c.request_id).where(asked.c.series_id == series_id)


def lock_requests(c: Connection, ids: Select[tuple[int]]) -> None:
    """Before a series of theirs is touched: requests, then series, each by number, so that nobody waits for who waits for him."""
    chosen = select(request.c.id).where(request.c.id.in_(ids)).order_by(request.c.id)
    c.execute(chosen.with_for_update(key_share=True)).all()


def series_states(c: Connection, request_id: int) -> list[str]:
    rows = c.execute(
        select(series.c.state).join(asked, asked.c.series_id == series.c.id).where(asked.c.request_id == request_id)
    )
    return [r.state for r in rows]
