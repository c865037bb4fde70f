"""What comes in from outside: new requests from the RIS, and the series that C-FIND found for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Row, Select, and_, delete, insert, or_, select, update
from sqlalchemy.engine import Connection

from gateway.keys import short_key
from gateway.model import MENDABLE, Plan, PlannedSeries, SetAside, Wanted, known_modality
from gateway.state import evidence, machine, settle
from gateway.state.db import aside, asked, cursor, history, insert_new, request, series
from gateway.state.rows import Added, RequestClaim
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step

MERGE = {("failed", True): "retried", ("excluded", True): "wanted", ("planned", False): "excluded"}
"""(state of a series we know, kept by the new plan) -> event. Anything else stays as it is."""
AT_ONCE: Final = 500
"""Rows in one statement."""
LOOK_AGAIN: Final = 86400.0
"""Seconds until a study that has just grown is asked for once more."""
KEY_MARK: Final = "/key"
"""In the table of cursors, where no project can have this name."""


def add_requests(c: Connection, seal: Seal, wanted: Sequence[Wanted], now: float) -> int:
    """Inserts what is not known yet: idempotent on (project, accession number). Returns how many were new."""
    by_hash: dict[tuple[str, str], Wanted] = {}
    for w in wanted:
        by_hash.setdefault((w.project, accession_hash(seal, w)), w)
    rows = list(by_hash.items())
    return sum(_add_some(c, seal, dict(rows[at : at + AT_ONCE]), now) for at in range(0, len(rows), AT_ONCE))


def accession_hash(seal: Seal, w: Wanted) -> str:
    """By which a request is known within its project (R5: with the issuer, where the RIS names one)."""
    return seal.hash("accession", w.accession.value, *((w.issuer,) if w.issuer else ()))


def _add_some(c: Connection, seal: Seal, some: Mapping[tuple[str, str], Wanted], now: float) -> int:
    """`some`: by project and keyed hash. What another node adds at the same time is left to it."""
    by_hash = request.c.accession_hash.in_({digest for _, digest in some})
    over = and_(request.c.state.in_(("failed", "cancelled")), request.c.not_before.is_not(None))  # null: withdrawn
    gone = and_(request.c.sealed.is_(None), over).label("gone")
    there = select(request.c.id, request.c.key, request.c.project, request.c.accession_hash, gone).where(by_hash)
    known = {(r.project, r.accession_hash): r for r in c.execute(there)}
    _no_longer_aside(c, seal, some)
    for place in [place for place, r in known.items() if r.gone and place in some]:
        seal_again(c, seal, known[place], some[place], now)
    rows = [
        _new_request(seal, digest, w, now) for (project, digest), w in some.items() if (project, digest) not in known
    ]
    if not rows:
        return 0
    made = c.execute(insert_new(c, request).returning(request.c.id), rows).all()
    if made:
        start = {"at": now, "event": "asked", "before": "", "after": machine.REQUEST_START, "reason": ""}
        c.execute(insert(history), [{**start, "request_id": r.id} for r in sorted(made)])
    return len(made)


def _no_longer_aside(c: Connection, seal: Seal, some: Mapping[tuple[str, str], Wanted]) -> None:
    """What was wrong with their lines has been mended: they would be counted twice, and `explain` would call them set aside."""
    numbers = {seal.hash("accession", w.accession.value) for w in some.values()}
    projects = {project for project, _ in some}
    stale = and_(aside.c.reason.in_(MENDABLE), aside.c.project.in_(projects), aside.c.text_hash.in_(numbers))
    c.execute(delete(aside).where(stale))


def seal_again(c: Connection, seal: Seal, row: Row[Any], w: Wanted, now: float) -> None:
    """One that was done knows its number no more: it could not be asked for again, nor retried when it failed since."""
    known = {"sealed": seal.close_up(_own(w), owner=row.key), "updated": now}
    c.execute(update(request).where(request.c.id == row.id).values(known))


def _own(w: Wanted) -> dict[str, str]:
    own = {"accession": w.accession.value, "patient_id": w.patient_id, "study_date": w.study_date}
    return own | ({"issuer": w.issuer} if w.issuer else {})


def _new_request(seal: Seal, digest: str, w: Wanted, now: float) -> dict[str, Any]:
    issued = (w.issuer,) if w.issuer else ()
    key = short_key("R", seal.hash("request", w.project, w.accession.value, *issued))
    return {
        "number_hash": seal.hash("accession", w.accession.value) if w.issuer else "",
        "key": key,
        "project": w.project,
        "accession_hash": digest,
        "sealed": seal.close_up(_own(w), owner=key),
        "modality": known_modality(w.modality),
        "state": machine.REQUEST_START,
        "not_before": now,
        "created": now,
        "updated": now,
    }


def set_aside(c: Connection, seal: Seal, rows: Sequence[SetAside], now: float) -> int:
    """Records rows that cannot become requests: by keyed hash, reason and count. Returns how many were new."""
    return sum(_set_aside(c, seal, row, now) for row in rows)


def _set_aside(c: Connection, seal: Seal, row: SetAside, now: float) -> bool:
    digest = seal.hash("accession", row.text)
    same = (aside.c.project == row.project, aside.c.text_hash == digest, aside.c.reason == row.reason)
    if c.execute(update(aside).where(*same).values(times=aside.c.times + 1)).rowcount:
        return False
    new = {"project": row.project, "text_hash": digest, "reason": row.reason, "first_seen": now, "times": 1}
    return c.execute(insert_new(c, aside).values(new).returning(aside.c.id)).first() is not None


def added(total: Sequence[Wanted], new: int, aside_new: int) -> Added:
    return Added(new=new, known=len(total) - new, aside=aside_new)


def save_cursor(c: Connection, seal: Seal, project: str, value: str) -> None:
    sealed = seal.close_up({"value": value}, owner=cursor_owner(project))
    if not c.execute(update(cursor).where(cursor.c.project == project).values(sealed=sealed)).rowcount:
        c.execute(insert_new(c, cursor).values(project=project, sealed=sealed))


def saved_cursor(c: Connection, seal: Seal, project: str) -> str | None:
    sealed = c.execute(select(cursor.c.sealed).where(cursor.c.project == project)).scalar()
    return seal.open_up(sealed, owner=cursor_owner(project)).get("value")


def cursor_owner(project: str) -> str:
    return f"cursor:{project}"


def found(c: Connection, seal: Seal, claim: RequestClaim, plan: Plan, now: float) -> bool:
    """Writes the plan of one request and settles it: `planned`, or at once `done` when nothing is left to do."""
    settle.lock_requests(c, _concerned(seal, claim, plan))
    held = select(request.c.id).where(request.c.id == claim.id, request.c.claimed_by == claim.owner)
    if not c.execute(held).first():
        return False
    evidence.write(c, seal, claim.id, plan.candidates, now)
    known = settle.series_states(c, claim.id)
    for planned in plan.series:
        _plan_series(c, seal, claim, replace(planned, named=claim.patient_id), now)
    states = settle.series_states(c, claim.id)
    grew = bool(known) and (len(states) > len(known) or states.count("confirmed") < known.count("confirmed"))
    again = plan.again or (now + LOOK_AGAIN if grew else None)
    step = _planned(frozenset(states), now, again=again is not None)
    values: dict[str, Any] = {"attempts": 0}
    if step.event == "nothing-left":
        values["sealed"] = None
    if step.reason == settle.YOUNG:
        values["not_before"] = again
    if step.event == "planned" and claim.state == "new" and "confirmed" in known:
        values["created"] = now  # until now it only waited to be looked at once more
    return settle.claimed_request(c, claim, step, values)


def nothing_found(c: Connection, claim: RequestClaim, not_before: float | None, now: float) -> bool:
    """Settles it as `empty`, unless its study was there before: what was fetched then is not undone by a second look."""
    settle.lock_requests(c, select(request.c.id).where(request.c.id == claim.id))
    states = frozenset(settle.series_states(c, claim.id))
    values: dict[str, Any] = {"empties": claim.empties + 1, "not_before": not_before, "attempts": 0}
    if not states & {*machine.UNDER_WAY, "held", "confirmed"} or "failed" in states:
        step = Step("empty", now, "find.empty" if not_before is not None else "find.empty.final")
    else:
        step = _planned(states, now, again=not_before is not None)
        values["not_before"] = not_before or now  # null would say that the patient was withdrawn
    if step.event == "nothing-left":
        values["sealed"] = None
    return settle.claimed_request(c, claim, step, values)


def _concerned(seal: Seal, claim: RequestClaim, plan: Plan) -> Select[tuple[int]]:
    """The request, and those that asked for one of its series before."""
    hashes = [seal.hash("series", planned.found.SeriesInstanceUID) for planned in plan.series]
    theirs = select(asked.c.request_id).join(series, series.c.id == asked.c.series_id)
    theirs = theirs.where(series.c.project == claim.project, series.c.series_hash.in_(hashes))
    return select(request.c.id).where(or_(request.c.id == claim.id, request.c.id.in_(theirs)))


def _planned(states: frozenset[str], now: float, *, again: bool) -> Step:
    """What the plan makes of its request. A series that failed once and that the PACS leaves out now is still missing.

    `again`: it is asked once more, when what is planned now is done.
    """
    young = settle.YOUNG if again else ""
    if not states <= machine.SERIES_ENDS:
        return Step("planned", now, young)
    if "failed" in states:
        return Step("failed", now, "series.failed")
    if again:
        return Step("again", now, young)
    return Step("nothing-left", now, "select.nothing" if states <= {"excluded"} else "")


def _plan_series(c: Connection, seal: Seal, claim: RequestClaim, planned: PlannedSeries, now: float) -> None:
    found = planned.found
    digest = seal.hash("series", found.SeriesInstanceUID)
    same = select(series).where(series.c.project == claim.project, series.c.series_hash == digest)
    same = same.with_for_update(key_share=True)
    row = c.execute(same).first()
    series_id = row.id if row else new_series(c, seal, claim.project, planned, now)
    if series_id is None:  # another node was faster, and its transaction is over by now
        row = c.execute(same).one()
    if row:
        _merge_series(c, seal, row, planned, now)
    c.execute(insert_new(c, asked).values(request_id=claim.id, series_id=row.id if row else series_id))


def new_series(c: Connection, seal: Seal, project: str, planned: PlannedSeries, now: float) -> int | None:
    """Its row, whose id is returned; None: another node has just made it."""
    found, keep = planned.found, planned.verdict.keep
    key = short_key("S", seal.hash("series-key", project, found.SeriesInstanceUID))
    state = machine.SERIES_START[0] if keep else machine.SERIES_START[1]
    made = c.execute(
        insert_new(c, series)
        .values(
            key=key,
            project=project,
            series_hash=seal.hash("series", found.SeriesInstanceUID),
            study_hash=seal.hash("study", found.StudyInstanceUID),
            sealed=_uids(seal, key, planned) if keep else None,
            pacs=planned.pacs,
            modality=_modality(planned),
            state=state,
            reason=planned.verdict.reason,
            not_before=now,
            expected=found.instances,
            created=now,
            updated=now,
        )
        .returning(series.c.id)
    ).scalar()
    if made is None:
        return None
    series_id: int = made
    settle.note(c, At(series, series_id, ""), Step("found", now, planned.verdict.reason), state)
    return series_id


def _merge_series(c: Connection, seal: Seal, row: Row[Any], planned: PlannedSeries, now: float) -> None:
    event = MERGE.get((row.state, planned.verdict.keep)) or _grown(row, planned)
    if event is None:
        _plan_pushed(c, seal, row, planned)
        return
    keep = planned.verdict.keep
    values = {
        "study_hash": seal.hash("study", planned.found.StudyInstanceUID),  # studies are merged and split in a PACS
        "sealed": _uids(seal, row.key, planned) if keep else None,
        "pacs": planned.pacs,
        "expected": planned.found.instances,
        "attempts": 0,
        "not_before": now,
    }
    settle.move(c, At(series, row.id, row.state), Step(event, now, planned.verdict.reason), values)
    if event == "excluded":  # another request may have waited for this one only
        settle.close_requests(c, row.id, now)


def _grown(row: Row[Any], planned: PlannedSeries) -> str | None:
    """A series that was whole and has more instances now is fetched again; what is known of it is not written twice."""
    told = planned.found.instances or 0
    grown = row.state == "confirmed" and planned.verdict.keep and row.expected is not None and told > row.expected
    return "grown" if grown else None


def _plan_pushed(c: Connection, seal: Seal, row: Row[Any], planned: PlannedSeries) -> None:
    """A series that came unasked and is asked for now: its rest is retrieved, and then it is settled like any other."""
    pushed = (series.c.id == row.id, series.c.state == "planned", series.c.pacs == "")
    known = {"pacs": planned.pacs, "expected": planned.found.instances, "sealed": _uids(seal, row.key, planned)}
    c.execute(update(series).where(*pushed).values(known))


def _uids(seal: Seal, key: str, planned: PlannedSeries) -> bytes:
    found = planned.found
    told = {"study": found.StudyInstanceUID, "series": found.SeriesInstanceUID, "patient": found.PatientID}
    return seal.close_up({**told, "named": planned.named}, owner=key)


def _modality(planned: PlannedSeries) -> str:
    return known_modality(str(planned.found.attributes.get("Modality") or ""))
