"""What the RIS says now of requests that it asked for before: rows that changed, and rows that are gone.

A row changes what is not over: a request that found nothing, or that is held, is asked for again by what the row says now.
A request whose row is gone is cancelled, and asked for again when the row is back. One whose patient is, by now, somebody who
was withdrawn is cancelled for good. What was planned, delivered or came by another way (`requests add`, a push) stays.

A file of `requests add` changes what is known in the same way (`amend`). Neither says anything by a column that it does not
have, or by an empty cell: what the other has told stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Row, or_, select, update
from sqlalchemy.engine import Connection

from gateway.keys import Keys
from gateway.model import Wanted, known_modality
from gateway.state import change, plans, ring, settle, withdrawn
from gateway.state.change import CANCELLABLE
from gateway.state.db import Database, request
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step

GONE: Final = "ris.vanished"
CHANGED: Final = "ris.changed"
BY_FILE: Final = "csv.changed"
ASKED_AGAIN: Final = {"new": "again", "empty": "again", "held": "retried"}
"""State -> event, where a row that changed may change what is found."""
AT_ONCE: Final = 500


class Listed:
    """`key`: the 32-byte master key, or all keys there are."""

    def __init__(self, database: Database, key: bytes | Keys) -> None:
        self._db = database
        self._seal = Seal(ring.keys_of(database, key))

    def note(self, wanted: Sequence[Wanted], *, now: float) -> int:
        """Rows as they are now, of requests that there are; in pieces. Returns how many say something else than before."""
        changed = 0
        for some in _some(wanted):
            with self._db.write() as c:
                changed += self._note(c, list(some), now)
            self._db.rest()
        return changed

    def amend(self, wanted: Sequence[Wanted], *, now: float) -> int:
        """Lines of a file, of requests that there are. Returns how many say something else than before.

        They do not become the RIS's for that: `vanish` would cancel them. Nor does a file bring back what is gone there.
        """
        self._db.rest()
        with self._db.write() as c:
            return sum(self._amend(c, list(some), now) for some in _some(wanted))

    def ask_again(self, wanted: Sequence[Wanted], *, now: float) -> int:
        """Requests that are done, of these lines: by rules that have changed, more may be wanted. Returns how many.

        What was withdrawn stays out.
        """
        self._db.rest()
        with self._db.write() as c:
            return sum(self._ask_again(c, list(some), now) for some in _some(wanted))

    def waiting(self, project: str) -> set[str]:
        """Keyed hashes of the accession numbers that the RIS asked for and that are not over.

        Nor those of which something is in the archive, and that are only looked at once more: nothing is left to call off.
        """
        left = or_(request.c.state == "planned", ~settle.has_confirmed())
        mine = (request.c.project == project, request.c.listed == 1, request.c.state.in_(CANCELLABLE))
        with self._db.long_read() as c:  # each of a million is looked up
            return {r.accession_hash for r in c.execute(select(request.c.accession_hash).where(*mine, left))}

    def hash(self, wanted: Wanted) -> str:
        return plans.accession_hash(self._seal, wanted)

    def vanish(self, project: str, hashes: Collection[str], *, now: float) -> int:
        """Cancels those requests, as far as they are not over by now; in pieces, nobody waits for all. Returns how many."""
        cancelled = 0
        for some in _some(sorted(hashes)):
            with self._db.write() as c:
                cancelled += self._vanish(c, project, list(some), now)
            self._db.rest()
        return cancelled

    def _vanish(self, c: Connection, project: str, hashes: list[str], now: float) -> int:
        mine = (request.c.project == project, request.c.accession_hash.in_(hashes), request.c.state.in_(CANCELLABLE))
        rows = c.execute(select(request).where(*mine).order_by(request.c.id)).all()
        return sum(change.cancel_one(c, r, Step("cancelled", now, GONE)) for r in rows)

    def _note(self, c: Connection, wanted: list[Wanted], now: float) -> int:
        found = self._known(c, wanted)
        changed = self._settle(c, found, now, CHANGED)
        new = [r.id for r, _ in found if not r.listed]
        if new:
            c.execute(update(request).where(request.c.id.in_(new)).values(listed=1))
        return changed

    def _amend(self, c: Connection, wanted: list[Wanted], now: float) -> int:
        return self._settle(c, self._known(c, wanted), now, BY_FILE)

    def _ask_again(self, c: Connection, wanted: list[Wanted], now: float) -> int:
        over = [(r, w) for r, w in self._known(c, wanted) if r.state == "done" and r.not_before is not None]
        welcome = set(withdrawn.welcome(c, self._seal, [w for _, w in over])[0])
        return sum(self._reopen(c, r, w, now) for r, w in over if w in welcome)

    def _reopen(self, c: Connection, r: Row[Any], w: Wanted, now: float) -> bool:
        fresh = {"attempts": 0, "empties": 0, "not_before": now}
        done = settle.move(c, At(request, r.id, r.state), Step("asked-again", now, "by-hand"), fresh)
        if done:
            plans.seal_again(c, self._seal, r, w, now)
        return done

    def _known(self, c: Connection, wanted: list[Wanted]) -> list[tuple[Row[Any], Wanted]]:
        """Each request that there is, with what is known of it now."""
        by_hash = {(w.project, self.hash(w)): w for w in wanted}
        same = request.c.accession_hash.in_({digest for _, digest in by_hash})
        return [
            (r, self._filled(r, by_hash[r.project, r.accession_hash]))
            for r in c.execute(select(request).where(same).order_by(request.c.id)).all()
            if (r.project, r.accession_hash) in by_hash
        ]

    def _filled(self, r: Row[Any], w: Wanted) -> Wanted:
        """What row or line does not say stays as it is known: an empty cell must not take a protection away."""
        told = self._seal.open_up(r.sealed, owner=r.key)
        return replace(
            w,
            patient_id=w.patient_id or told.get("patient_id", ""),
            study_date=w.study_date or told.get("study_date", ""),
            modality=known_modality(w.modality) or r.modality,
        )

    def _settle(self, c: Connection, found: list[tuple[Row[Any], Wanted]], now: float, why: str) -> int:
        welcome = set(withdrawn.welcome(c, self._seal, [w for _, w in found])[0])
        return sum(self._take(c, r, w, now, why=why) if w in welcome else self._bar(c, r, now) for r, w in found)

    def _bar(self, c: Connection, r: Row[Any], now: float) -> bool:
        """Its patient is one who was withdrawn, as the RIS says now: it cannot be asked for again, nor can one that is over."""
        barred = r.state in CANCELLABLE and change.cancel_one(c, r, Step("cancelled", now, withdrawn.REASON))
        if barred or r.sealed is not None:
            over = (request.c.id == r.id, request.c.state.not_in(CANCELLABLE))  # not what was planned since it was read
            c.execute(update(request).where(*over).values(sealed=None, not_before=None))
        return barred

    def _take(self, c: Connection, r: Row[Any], w: Wanted, now: float, *, why: str = CHANGED) -> bool:
        """True: the row says something else than before."""
        told = self._seal.open_up(r.sealed, owner=r.key)
        facts = {"patient_id": w.patient_id, "study_date": w.study_date}
        changed = bool(told) and (
            {k: told.get(k, "") for k in facts} != facts or r.modality != known_modality(w.modality)
        )
        if changed:
            values = {
                "sealed": self._seal.close_up({**told, **facts}, owner=r.key),
                "modality": known_modality(w.modality),
                "updated": now,
            }
            # not of one that is over, or whose patient was withdrawn, since it was read: its number is dropped for good
            c.execute(update(request).where(request.c.id == r.id, request.c.sealed.is_not(None)).values(**values))
        back = why == CHANGED and r.state == "cancelled" and r.reason == GONE and bool(told)
        event = "retried" if back else ASKED_AGAIN.get(r.state, "")
        if event and (changed or back):
            fresh = {"attempts": 0, "empties": 0, "not_before": now}
            settle.move(c, At(request, r.id, r.state), Step(event, now, why), fresh)
        elif changed:
            settle.note(c, At(request, r.id, r.state), Step("changed", now, why), r.state)
        return changed


def _some(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE))
