"""How far each archive of a series is: so that one that is down holds up no other, and a series is confirmed by all of them.

A row for each series and archive: `waiting` (as good as none), `delivered` (every file was put), `confirmed` (every file was read
back: the receipt). It is claimed for itself; the series stays free, and goes on when the last archive has. The rows go when the
series is confirmed, or on another way.

A receipt covers the files that there were. When the last one comes, those for other files do not count, and their archives are
asked again: nothing is let go of that one of them has not shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import and_, literal, or_, select, update
from sqlalchemy.engine import Connection

from gateway.errors import Retry
from gateway.model import Outcome
from gateway.state import machine, receipts, settle, standing
from gateway.state.claim import Lease
from gateway.state.claim import lease as leased
from gateway.state.db import Database, insert_new, progress, series
from gateway.state.outbox import Outbox
from gateway.state.rows import SeriesRow
from gateway.state.settle import FREE, At, Step
from gateway.state.store import Store

HOUR: Final = 3600.0
FIRST: Final = 30.0  # seconds
WANTED: Final = (series.c.id, series.c.key, series.c.project, series.c.state, series.c.pacs)


class Stage(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Route:
    """From a project to one of its archives, by names. `sinks`: all of them."""

    project: str
    sink: str
    sinks: tuple[str, ...]


@dataclass(frozen=True)
class Rather:
    """Which one: none of `but`, by `SeriesRow.id`; `new`: what was not tried before goes first."""

    but: Collection[int] = ()
    new: bool = False


ANY: Final = Rather()


@dataclass(frozen=True)
class Standing:
    """One archive of a series. `covers`: hash of the names of the files it has shown."""

    sink: str
    stage: str
    covers: str


class Progress:
    """Of one node.

    Every settling says False when the claim was lost, or the series withdrawn meanwhile. Raises Retry("state.busy").
    """

    def __init__(self, database: Database, store: Store, outbox: Outbox, *, node: str) -> None:
        self._db, self._store, self._outbox, self._node = database, store, outbox, node
        self._instances: dict[str, list[str]] = {}
        self._left: set[str] = set()

    # ---- claims

    def free(self) -> int:
        """At start: what an earlier life of this node had claimed."""
        held = progress.c.claimed_by.startswith(f"{self._node}/", autoescape=True)
        with self._db.write() as c:
            return c.execute(update(progress).where(held).values(**FREE)).rowcount

    def claim(self, stage: Stage, route: Route, *, lease: float, now: float, rather: Rather = ANY) -> SeriesRow | None:
        """A series of this node's outbox that is at `stage` for this archive: one that was tried before, then the oldest."""
        taken, left = leased(self._node, lease, now), frozenset(self._left)
        with self._under(taken.owner) as c:
            if left:
                c.execute(update(progress).where(progress.c.claimed_by.in_(left)).values(**FREE))
            row = self._due(c, stage, route, taken, rather)
            if row is not None:
                standing.take(c, row.id, route.sink, taken)
        self._left -= left
        if row is not None and stage is Stage.DELIVERED:
            # Read now: what comes later may not be among the files that are read back.
            with suppress(OSError):  # for `confirmed` to say, by when the claim is somebody's
                lines = self._outbox.ledger(row.key).values()
                self._instances[taken.owner] = [line.instance for line in lines if line.outcome is Outcome.KEPT]
        return row

    def _due(self, c: Connection, stage: Stage, route: Route, taken: Lease, rather: Rather) -> SeriesRow | None:
        """By questions that have an index each, and its order: asked in one, all that is under way would be sorted.

        Of what no archive was tried with only the `retrieved` count: `reckon` has seen to the others.
        """
        free = or_(progress.c.claimed_by.is_(None), progress.c.lease_until < taken.now)
        due = and_(progress.c.sink == route.sink, progress.c.stage == stage, progress.c.not_before <= taken.now, free)
        told = (progress.c.attempts, progress.c.reason.label("told"))
        tried = select(*WANTED, *told).join(progress, progress.c.series_id == series.c.id).where(due)
        tried = tried.where(series.c.state.in_(machine.UNDER_WAY))
        chosen = [tried.order_by(progress.c.not_before, progress.c.series_id)]
        touched = select(progress.c.series_id).where(progress.c.series_id == series.c.id, progress.c.sink == route.sink)
        none = (literal(0).label("attempts"), literal("").label("told"))
        fresh = select(*WANTED, *none).where(~touched.exists())
        if stage is Stage.WAITING:
            chosen.append(fresh.where(series.c.state == "retrieved").order_by(series.c.not_before, series.c.id))
        if rather.new:
            chosen.reverse()
        here = (series.c.node == self._node, series.c.project == route.project, series.c.id.not_in(rather.but))
        for one in chosen:
            first = one.where(*here).limit(1).with_for_update(of=series, skip_locked=True, key_share=True)
            r = c.execute(first).first()
            if r is not None:
                return SeriesRow(r.id, r.key, r.project, r.state, r.attempts, taken.owner, r.pacs == "", r.told)
        return None

    def hold(self, row: SeriesRow, route: Route, *, lease: float, now: float) -> bool:
        """A sign of life of a claim that is worked on: its lease begins anew, of a series that is withdrawn meanwhile too.

        Not of that one when it was over (the machine slept): by then its archive may have been cleared.
        """
        theirs = select(series.c.id).where(series.c.id == row.id, series.c.state.in_(machine.UNDER_WAY))
        mine = (*standing.of(row, route.sink), progress.c.claimed_by == row.owner)
        alive = or_(progress.c.lease_until >= now, theirs.exists())
        with self._under(row.owner) as c:
            return c.execute(update(progress).where(*mine, alive).values(lease_until=now + lease)).rowcount == 1

    # ---- what became of it

    def delivered(self, row: SeriesRow, route: Route, *, now: float) -> bool:
        """Every file was put. The series is `delivered` with the last archive."""
        with self._under(row.owner) as c:
            state = standing.state_of(c, row)
            if not standing.settled(c, row, route.sink, stage=Stage.DELIVERED):
                return False
            if state == "retrieved" and all(found.stage != Stage.WAITING for found in _all(c, row, route.sinks)):
                settle.move(c, At(series, row.id, state), Step("delivered", now))
            return True

    def confirmed(self, row: SeriesRow, route: Route, *, files: Sequence[str], now: float) -> str:
        """`files`: names of what was read back. The series' state afterwards, "" when the claim was lost.

        `confirmed` with the last archive, if the others have shown the same files. Also raises Retry("outbox.unreadable").
        """
        instances = self._instances.pop(row.owner, None)
        if instances is None:
            raise Retry("outbox.unreadable", "the ledger of a series cannot be read")
        covers = hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()
        with self._under(row.owner) as c:
            state = standing.state_of(c, row)
            if not standing.settled(c, row, route.sink, stage=Stage.CONFIRMED, covers=covers):
                return ""
            found = _all(c, row, route.sinks)
            if state != "delivered" or any(one.stage != Stage.CONFIRMED for one in found):
                settle.note(c, At(series, row.id, state), Step("receipt", now, route.sink), state)
                if state == "delivered":  # by fewer archives than there are now: the others are to find it
                    waiting = [one.sink for one in found if one.stage == Stage.WAITING]
                    for sink in waiting:
                        c.execute(insert_new(c, progress).values(series_id=row.id, sink=sink))
                return state
            stale = [one.sink for one in found if one.covers != covers]
            if stale:
                return self._again(c, row, stale, now)
            self._settle(c, row, Step("confirmed", now), state)
            receipts.note(c, row.id, instances)
            return "confirmed"

    def lost(self, row: SeriesRow, route: Route, *, most: int, now: float) -> bool:
        """What was put is not there: it is put again, at most `most` times, then the series has failed.

        At once the first time, as it may have come late; then after ever longer pauses, for an archive may show only after a
        while what it took. One that was pushed is put again for ever.
        """
        self._instances.pop(row.owner, None)
        with self._under(row.owner) as c:
            state = standing.state_of(c, row)
            if not standing.settled(c, row, route.sink, stage=Stage.WAITING, lost=progress.c.lost + 1):
                return False
            times = c.execute(select(progress.c.lost).where(*standing.of(row, route.sink))).scalar() or 0
            if times > most and not row.pushed:
                return self._settle(c, row, Step("failed", now, "deliver.lost"), state)
            until = now + (rest(times - most) if times > most else pause(times))
            c.execute(update(progress).where(*standing.of(row, route.sink)).values(not_before=until))
            if state == "delivered":
                return settle.move(c, At(series, row.id, state), Step("lost", now, "deliver.missing"))
            settle.note(c, At(series, row.id, state), Step("lost", now, "deliver.missing"), state)
            return True

    def failed(self, row: SeriesRow, *, reason: str, now: float) -> bool:
        """An archive will never take it: that ends the series."""
        self._instances.pop(row.owner, None)
        mine = select(progress.c.sink).where(progress.c.series_id == row.id, progress.c.claimed_by == row.owner)
        with self._under(row.owner) as c:
            state = standing.state_of(c, row)
            return c.execute(mine).first() is not None and self._settle(c, row, Step("failed", now, reason), state)

    def release(self, row: SeriesRow, route: Route, *, reason: str, not_before: float, charge: bool) -> bool:
        """Gives it back for later."""
        self._instances.pop(row.owner, None)
        later = {"reason": reason, "not_before": not_before, "attempts": progress.c.attempts + (1 if charge else 0)}
        with self._under(row.owner) as c:
            mine = (*standing.of(row, route.sink), progress.c.claimed_by == row.owner)
            return c.execute(update(progress).where(*mine).values(**later, **FREE)).rowcount == 1

    def tell(self, series_key: str, event: str, *, reason: str, now: float) -> None:
        self._store.tell(series_key, event, reason=reason, now=now)

    def late(self, series_key: str, *, now: float) -> bool:
        """Files came for a confirmed series."""
        return self._store.late(series_key, now=now)

    # ---- care

    def reckon(self, project: str, sinks: Sequence[str], *, now: float) -> int:
        """At start, for the archives may be others than before: series that wait for none of these go on. Returns how many.

        What was `delivered` waits for an archive that is new.
        """
        here = and_(series.c.node == self._node, series.c.project == project, series.c.state.in_(machine.UNDER_WAY))
        total, last = 0, -1
        while last:  # in pieces: there may be very many, and no transaction takes longer than a minute
            with self._db.write() as c:
                some, last = standing.show_again(c, here, sinks, after=last, now=now)
            total += some
            self._db.rest()
        with self._db.write() as c:
            for sink in sinks:
                standing.enrol(c, here, sink)
        return total

    def _again(self, c: Connection, row: SeriesRow, stale: Sequence[str], now: float) -> str:
        these = and_(progress.c.series_id == row.id, progress.c.sink.in_(stale))
        c.execute(update(progress).where(these).values(stage=Stage.WAITING, covers=""))
        settle.move(c, At(series, row.id, "delivered"), Step("lost", now, "instances.late"))
        return "retrieved"

    def _settle(self, c: Connection, row: SeriesRow, step: Step, state: str) -> bool:
        """The series itself, in the name of this claim."""
        if state not in machine.UNDER_WAY:
            standing.let_go(c, row)
            return False
        c.execute(update(series).where(series.c.id == row.id).values(claimed_by=row.owner))
        return settle.claimed_series(c, SeriesRow(row.id, row.key, row.project, state, row.attempts, row.owner), step)

    @contextmanager
    def _under(self, owner: str) -> Iterator[Connection]:
        """When the database fails, the claim is freed before the next one is made (as in `Store`)."""
        try:
            with self._db.write() as c:
                yield c
        except Retry:
            self._left.add(owner)
            raise


def rest(times: int) -> float:
    """Seconds until what was pushed is offered again to an archive that does not take it: nobody can be asked for it anew."""
    return HOUR * min(max(times, 1), 24)


def pause(times: int) -> float:
    """Seconds until what an archive does not show is put again: at once, then 30 s, four times as long each time."""
    return FIRST * 4.0 ** (times - 2) if times > 1 else 0.0


def _all(c: Connection, row: SeriesRow, sinks: Sequence[str]) -> list[Standing]:
    """Every archive of the project; one without a row is as good as waiting."""
    found = c.execute(
        select(progress.c.sink, progress.c.stage, progress.c.covers).where(progress.c.series_id == row.id)
    ).all()
    known = {r.sink: Standing(r.sink, r.stage, r.covers) for r in found}
    return [known.get(sink, Standing(sink, Stage.WAITING, "")) for sink in sinks]
