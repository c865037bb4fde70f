"""Series that came unasked: rows made on arrival, and those that wait for the rest of their study.

A pushed series has no PACS to be retrieved from (`pacs` is ""), so no move claims it. Its request has the accession number of the
data set, and is the same row as one that the RIS asks for; without one it is known by its study, and cannot be asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy.engine import Connection

from gateway.keys import short_key
from gateway.model import FoundSeries, PlannedSeries, Verdict, Wanted
from gateway.state import change, lookup, machine, persons, plans, settle, withdrawn
from gateway.state.claim import Lease, locked
from gateway.state.db import asked, insert_new, request, series
from gateway.state.rows import Pushed, SeriesRow, WaitingSeries
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step

PUSHED: Final = ""
"""In place of a PACS's name."""
REASON: Final = "pushed"


def arrive(c: Connection, seal: Seal, pushed: Pushed, now: float, *, node: str) -> bool:
    """Rows for a series of which a first instance has come. False: a person cancelled its request, so it is not wanted.

    Nor is it when the patient was withdrawn.
    """
    if withdrawn.bar(c, pushed.project, persons.of_patient(seal, pushed.project, pushed.patient_id)) is not None:
        return False
    digest = seal.hash("series", pushed.SeriesInstanceUID)
    known = select(series).where(series.c.project == pushed.project, series.c.series_hash == digest)
    row = c.execute(known).first()
    if row is not None and not lookup.is_open(row):
        return True  # another process was faster, or it was planned meanwhile
    asking = _request(c, seal, pushed, now)
    if asking.state == "cancelled":
        return False
    if row is not None:
        settle.move(c, At(series, row.id, row.state), Step("wanted", now, REASON), _mine(seal, pushed, row.key, node))
        c.execute(insert_new(c, asked).values(request_id=asking.id, series_id=row.id))
        change.resume(c, row.id, now)
        return True
    found = FoundSeries(pushed.StudyInstanceUID, pushed.SeriesInstanceUID, {"Modality": pushed.modality})
    planned = PlannedSeries(PUSHED, found, Verdict(True))
    if plans.new_series(c, seal, pushed.project, planned, now) is None:
        _ask_too(c, asking.id, c.execute(known).one().id, now)
        return True
    row = c.execute(known).one()
    c.execute(update(series).where(series.c.id == row.id).values(_mine(seal, pushed, row.key, node)))
    c.execute(insert_new(c, asked).values(request_id=asking.id, series_id=row.id))
    change.resume(c, row.id, now)
    return True


def _ask_too(c: Connection, request_id: int, series_id: int, now: float) -> None:
    """Of a series that somebody has just made for another request: nothing else would ever end this one."""
    c.execute(insert_new(c, asked).values(request_id=request_id, series_id=series_id))
    settle.close_requests(c, series_id, now)


def _mine(seal: Seal, pushed: Pushed, key: str, node: str) -> dict[str, object]:
    """What its row holds of it, for as long as it waits."""
    uids = {"study": pushed.StudyInstanceUID, "series": pushed.SeriesInstanceUID, "seen": pushed.seen}
    return {"sealed": seal.close_up(uids, owner=key), "node": node}


def _request(c: Connection, seal: Seal, pushed: Pushed, now: float) -> Row[Any]:
    """The request it belongs to, which is under way from now on, unless it is about to be asked of the PACS anyway."""
    digest = _digest(seal, pushed)
    mine = select(request).where(request.c.project == pushed.project, request.c.accession_hash == digest)
    row = c.execute(mine.with_for_update(key_share=True)).first()
    new = row is None and _add(c, seal, pushed, now)
    if row is None:
        row = c.execute(mine.with_for_update(key_share=True)).one()
    if new or row.state == "empty":
        settle.move(c, At(request, row.id, row.state), Step("planned", now, REASON), {"not_before": now})
    return row


def _digest(seal: Seal, pushed: Pushed) -> str:
    if pushed.accession is None:
        return seal.hash("pushed-study", pushed.StudyInstanceUID)
    return seal.hash("accession", pushed.accession.value)


def _add(c: Connection, seal: Seal, pushed: Pushed, now: float) -> bool:
    """False: somebody else has just added it."""
    if pushed.accession is not None:
        wanted = Wanted(pushed.project, pushed.accession, pushed.patient_id, pushed.study_date, pushed.modality)
        return plans.add_requests(c, seal, [wanted], now) == 1
    made = c.execute(
        insert_new(c, request)
        .values(
            key=short_key("R", seal.hash("request", pushed.project, REASON, pushed.StudyInstanceUID)),
            project=pushed.project,
            accession_hash=_digest(seal, pushed),
            modality=pushed.modality,
            state=machine.REQUEST_START,
            not_before=now,
            created=now,
            updated=now,
        )
        .returning(request.c.id)
    ).scalar()
    if made is not None:
        settle.note(c, At(request, made, ""), Step("asked", now, REASON), machine.REQUEST_START)
    return made is not None


def waiting(c: Connection, seal: Seal, projects: Sequence[str], *, node: str) -> list[WaitingSeries]:
    """Series that were pushed to this node and are not settled yet, oldest first."""
    here = and_(series.c.node == node, series.c.state == "planned", series.c.pacs == PUSHED)
    mine = and_(here, series.c.project.in_(projects))
    rows = c.execute(select(series).where(mine).order_by(series.c.id)).all()
    return [
        WaitingSeries(
            r.key, r.project, r.study_hash, r.modality, r.updated,
            seen=seal.open_up(r.sealed, owner=r.key).get("seen", "{}"),
        )
        for r in rows
    ]  # fmt: skip


def claim(c: Connection, lease: Lease, keys: Sequence[str]) -> list[SeriesRow]:
    """Those of `keys` that still wait, and are nobody's."""
    free = or_(series.c.claimed_by.is_(None), series.c.lease_until < lease.now)
    mine = and_(series.c.key.in_(keys), series.c.state == "planned", series.c.pacs == PUSHED, free)
    rows = c.execute(locked(select(series).where(mine).order_by(series.c.id))).all()
    ids = [r.id for r in rows]
    c.execute(update(series).where(series.c.id.in_(ids)).values(claimed_by=lease.owner, lease_until=lease.until))
    return [SeriesRow(r.id, r.key, r.project, r.state, r.attempts, lease.owner) for r in rows]


def left_out_since(c: Connection, series_key: str) -> float | None:
    over = (series.c.key == series_key, series.c.pacs == PUSHED, series.c.state.in_(("excluded", "failed")))
    return c.execute(select(series.c.updated).where(*over)).scalar()
