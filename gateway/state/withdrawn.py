"""Who is withdrawn from a project, for good: never asked for again, never kept again, by keyed hash of patient ID and pseudonym.

A withdrawal is one transaction: the hashes are there, the patient's series are `withdrawn`, requests cancelled, and what the
crosswalk knew is gone. What follows (outbox, archives) is repeated until it is done: `pending` says what is left.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Row, and_, delete, exists, insert, or_, select, text, union, update
from sqlalchemy.engine import Connection

from gateway.keys import short_key
from gateway.model import SetAside, Wanted
from gateway.state import db, machine, persons, settle
from gateway.state.db import asked, person, person_series, progress, request, series, withdrawal, withdrawn
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step

REASON: Final = "patient.withdrawn"
OPEN: Final = frozenset(state for state, events in machine.SERIES.items() if "withdrawn" in events)
AT_ONCE: Final = 1000
"""Rows in one statement."""
GRACE: Final = 120.0
"""Seconds: a transaction of before may take a minute to end, and the clocks of nodes be half of one apart."""
ASKING, WRITING = "ROW SHARE", "EXCLUSIVE"
"""How PostgreSQL's table is locked: who asks for somebody is done with him before he is looked for, or asks when he is in it."""


@dataclass(frozen=True)
class Order:
    """Whom to take out of a project. `pseudonyms_of`: of a patient ID as text, under the project's key.

    `sinks`: names of all archives that may hold something. `series`: keys of those known from elsewhere to be the patient's.
    """

    project: str
    patients: frozenset[str] = field(repr=False)
    pseudonyms: frozenset[str]
    reason: str = field(repr=False)
    sinks: tuple[str, ...]
    pseudonyms_of: Callable[[str], Iterable[str]] = field(repr=False)
    series: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """What there was of the patient before: hashes, numbers of requests. What changed since, epoch seconds, was not seen."""

    marks: frozenset[str] = frozenset()
    requests: Set[int] = frozenset()
    since: float = 0.0


UNSEEN: Final = Seen()


@dataclass(frozen=True)
class Withdrawal:
    """What it came to. `key`: W-..., our own. `series`: keys."""

    key: str
    pseudonyms: tuple[str, ...]
    series: tuple[str, ...]
    requests: int


@dataclass(frozen=True)
class Pending:
    """A withdrawal that is not done: who is to be taken out of which archives."""

    key: str
    project: str
    pseudonyms: tuple[str, ...]
    sinks: tuple[str, ...]


def bar(c: Connection, project: str, marks: Collection[str]) -> int | None:
    """The withdrawal that one of these hashes belongs to. The others of them are its from now on."""
    _lock(c, ASKING)
    mine = and_(withdrawn.c.project == project, withdrawn.c.hash.in_(list(marks)))
    rows = c.execute(select(withdrawn).where(mine)).all()
    if not rows:
        return None
    first: int = rows[0].withdrawal_id
    _add_marks(c, project, frozenset(marks) - {r.hash for r in rows}, first)
    return first


def welcome(c: Connection, seal: Seal, wanted: Sequence[Wanted]) -> tuple[list[Wanted], list[SetAside]]:
    """Those whose patient is not withdrawn; the others, set aside."""
    _lock(c, ASKING)
    marks = [persons.of_patient(seal, w.project, w.patient_id) for w in wanted]
    barred = among(c, {w.project for w in wanted}, frozenset().union(*marks))
    out = [bool(mine & barred) for mine in marks]
    aside = [SetAside(w.project, w.accession.value, REASON) for w, is_out in zip(wanted, out, strict=True) if is_out]
    return [w for w, is_out in zip(wanted, out, strict=True) if not is_out], aside


def among(c: Connection, projects: Collection[str], marks: Collection[str]) -> set[str]:
    """Those of these hashes that are a withdrawal's. By index: of a list of a country's refusals there may be very many."""
    wanted, found = sorted(marks), set[str]()
    for at in range(0, len(wanted), AT_ONCE):
        mine = (withdrawn.c.project.in_(projects), withdrawn.c.hash.in_(wanted[at : at + AT_ONCE]))
        found.update(c.execute(select(withdrawn.c.hash).where(*mine)).scalars())
    return found


def look(c: Connection, seal: Seal, order: Order, now: float) -> Seen:
    """Every request is opened for it: that takes its time, and is done before the withdrawal, so that nobody waits."""
    return replace(_search(c, seal, order, UNSEEN)[1], since=now - GRACE)


def withdraw(c: Connection, seal: Seal, order: Order, now: float, seen: Seen = UNSEEN) -> Withdrawal:
    """All of it, but for files and archives."""
    _lock(c, WRITING)
    found, seen = _search(c, seal, order, seen)
    requests = _locked(c, seen.requests)
    pseudonyms = tuple(sorted(order.pseudonyms | {p.pseudonym for p in found}))
    ids = _series(c, order, [p.id for p in found], requests)
    number, key = _note(c, seal, order, pseudonyms, now)
    _add_marks(c, order.project, seen.marks, number)
    cancelled = sum(_cancel(c, r, now) for r in requests)
    keys = [_take_out(c, row, now) for row in ids]
    _forget(c, [p.id for p in found])
    return Withdrawal(key, pseudonyms, tuple(keys), cancelled)


def _search(c: Connection, seal: Seal, order: Order, seen: Seen) -> tuple[list[persons.Known], Seen]:
    """Until neither the crosswalk nor a request names the patient in another way: for a new name every request is opened again."""
    marks = {mark for patient in order.patients for mark in persons.of_patient(seal, order.project, patient)}
    names = order.pseudonyms.union(*map(order.pseudonyms_of, order.patients))  # of who was merged, too, by another ID
    marks |= {persons.of_pseudonym(seal, order.project, p) for p in names} | seen.marks
    _everything_known(c, seal, order.project, marks)
    since = seen.since if marks == seen.marks else 0.0
    requests = set(seen.requests)
    while True:
        before = len(marks)
        requests |= _requests(c, seal, order, marks, since)
        found = _everything_known(c, seal, order.project, marks)
        if len(marks) == before:
            return found, Seen(frozenset(marks), requests, since)
        since = 0.0


def _lock(c: Connection, mode: str) -> None:
    """Before anything else is locked. SQLite has one writer at a time by itself."""
    if c.dialect.name == "postgresql":
        c.execute(text(f"LOCK TABLE withdrawn IN {mode} MODE"))


def _everything_known(c: Connection, seal: Seal, project: str, marks: set[str]) -> list[persons.Known]:
    """The persons of these hashes, and of the hashes of those: another pseudonym of the same patient. Adds to `marks`."""
    while True:
        found = persons.known(c, seal, project, marks)
        more = {mark for one in found for mark in _marks(seal, project, one)} - marks
        if not more:
            return found
        marks |= more


def _marks(seal: Seal, project: str, one: persons.Known) -> frozenset[str]:
    return persons.marks_of(seal, persons.Kept(project, one.pseudonym, one.patient, "", ""))


def _requests(c: Connection, seal: Seal, order: Order, marks: set[str], since: float) -> set[int]:
    """Whose patient ID, as far as the RIS told it, is of these; of what changed since then. Adds its hashes to `marks`."""
    mine = set()
    for r in _opened(c, order.project, since):
        patient = seal.open_up(r.sealed, owner=r.key).get("patient_id", "")
        own = persons.of_patient(seal, order.project, patient)
        names = {persons.of_pseudonym(seal, order.project, p) for p in order.pseudonyms_of(patient)} if own else set()
        if (own | names) & marks:
            marks |= own
            mine.add(int(r.id))
    return mine


def _opened(c: Connection, project: str, since: float) -> Iterator[Any]:
    """Page by page: memory does not grow with the state."""
    told = select(request.c.id, request.c.key, request.c.sealed).order_by(request.c.id).limit(AT_ONCE)
    told = told.where(request.c.project == project, request.c.sealed.is_not(None), request.c.updated >= since)
    rows = c.execute(told).all()
    while rows:
        yield from rows
        rows = c.execute(told.where(request.c.id > rows[-1].id)).all()


def _locked(c: Connection, ids: Collection[int]) -> list[Row[Any]]:
    """As they are now: before their series, as everybody locks them."""
    mine = select(request).where(request.c.id.in_(ids)).order_by(request.c.id)
    return list(c.execute(mine.with_for_update()).all())


def _series(c: Connection, order: Order, people: Sequence[int], requests: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Those that something of the patient came for, those that only the patient's requests asked for, and `order.series`."""
    ids, other = [r.id for r in requests], asked.alias()
    came = select(person_series.c.series_id).where(person_series.c.person_id.in_(people))
    others = exists().where(other.c.series_id == asked.c.series_id, other.c.request_id.not_in(ids))
    only = select(asked.c.series_id).where(asked.c.request_id.in_(ids), ~others)
    known = select(series.c.id).where(series.c.key.in_(order.series))
    theirs = series.c.id.in_(
        union(came, only, known)
    )  # by index: NOT IN, or OR, would read all that was ever asked for
    mine = and_(series.c.project == order.project, series.c.state.in_(OPEN), theirs)
    asking = asked.c.series_id.in_(select(series.c.id).where(mine))
    settle.lock_requests(c, select(asked.c.request_id).where(asking))
    return list(c.execute(select(series).where(mine).order_by(series.c.id).with_for_update()).all())


def _note(c: Connection, seal: Seal, order: Order, pseudonyms: Sequence[str], now: float) -> tuple[int, str]:
    """(id, key) of its row."""
    key = short_key("W", secrets.token_hex(16))
    told = {"reason": order.reason, "pseudonyms": json.dumps(pseudonyms), "sinks": json.dumps(order.sinks)}
    row = {"key": key, "project": order.project, "at": now, "done": None if order.sinks else now}
    c.execute(insert(withdrawal).values(**row, sealed=seal.close_up(told, owner=key)))
    return int(c.execute(select(withdrawal.c.id).where(withdrawal.c.key == key)).scalar_one()), key


def _add_marks(c: Connection, project: str, marks: Iterable[str], number: int) -> None:
    """One that is a withdrawal's already stays that one's."""
    rows = [{"project": project, "hash": mark, "withdrawal_id": number} for mark in sorted(marks)]
    if rows:
        c.execute(db.insert_new(c, withdrawn), rows)


def _cancel(c: Connection, r: Row[Any], now: float) -> bool:
    """It cannot be asked again either: what it asked for is forgotten."""
    cancelled = "cancelled" in machine.REQUEST[r.state]
    if cancelled:
        settle.move(c, At(request, r.id, r.state), Step("cancelled", now, REASON))
    c.execute(update(request).where(request.c.id == r.id).values(sealed=None, not_before=None))
    return cancelled


def _take_out(c: Connection, row: Row[Any], now: float) -> str:
    """Its key. Claims are broken, but for one under which something may be going into an archive just now: it lets go by itself."""
    free = {} if row.state in machine.UNDER_WAY else settle.FREE
    state = machine.after(machine.SERIES, row.state, "withdrawn")
    c.execute(
        update(series).where(series.c.id == row.id)
        .values(state=state, reason=REASON, updated=now, sealed=None, **free)
    )  # fmt: skip
    settle.note(c, At(series, row.id, row.state), Step("withdrawn", now, REASON), state)
    settle.close_requests(c, row.id, now)
    _call_off(c, row.id, now)
    return str(row.key)


def _call_off(c: Connection, series_id: int, now: float) -> None:
    """Requests that have nothing else left: one that waits to be asked again would ask for the patient once more."""
    for r in c.execute(select(request).where(request.c.id.in_(settle.asking(series_id)))).all():
        if set(settle.series_states(c, r.id)) <= {"withdrawn", "excluded"}:
            _cancel(c, r, now)


def _forget(c: Connection, people: Sequence[int]) -> None:
    c.execute(delete(person_series).where(person_series.c.person_id.in_(people)))
    c.execute(delete(person).where(person.c.id.in_(people)))


def pending(c: Connection, seal: Seal, projects: Sequence[str], now: float) -> list[Pending]:
    """Withdrawals to be carried on, oldest first: none of a project in which somebody still writes what is withdrawn."""
    putting = select(progress.c.series_id).where(progress.c.claimed_by.is_not(None), progress.c.lease_until >= now)
    claimed = and_(series.c.claimed_by.is_not(None), series.c.lease_until >= now)
    writing = select(series.c.project).where(series.c.state == "withdrawn", or_(claimed, series.c.id.in_(putting)))
    mine = and_(withdrawal.c.done.is_(None), withdrawal.c.project.in_(projects), withdrawal.c.project.not_in(writing))
    rows = c.execute(select(withdrawal).where(mine).order_by(withdrawal.c.id)).all()
    opened = [(r, seal.open_up(r.sealed, owner=r.key)) for r in rows]
    return [
        Pending(r.key, r.project, tuple(json.loads(o["pseudonyms"])), tuple(json.loads(o["sinks"]))) for r, o in opened
    ]


def settled(c: Connection, seal: Seal, key: str, sink: str, now: float) -> None:
    """The patient is out of that archive, or a person has been told to see to it.

    How far it was is forgotten, but for what somebody still writes: of who was withdrawn since, `pending` must see that.
    """
    row = c.execute(select(withdrawal).where(withdrawal.c.key == key).with_for_update()).one()
    told = seal.open_up(row.sealed, owner=key)
    left = [name for name in json.loads(told.get("sinks", "[]")) if name != sink]
    told = {**told, "sinks": json.dumps(left)} if left else {"reason": told["reason"]}
    done = None if left else now
    c.execute(
        update(withdrawal).where(withdrawal.c.id == row.id).values(sealed=seal.close_up(told, owner=key), done=done)
    )
    gone = select(series.c.id).where(series.c.project == row.project, series.c.state == "withdrawn")
    idle = or_(progress.c.claimed_by.is_(None), progress.c.lease_until < now)
    c.execute(delete(progress).where(progress.c.sink == sink, idle, progress.c.series_id.in_(gone)))
