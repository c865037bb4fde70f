"""The state as the honest broker sees it: who is behind a pseudonym, who is withdrawn. What a call writes are short transactions.

Raises `Retry("state.busy")` when the database does not answer for `db.BUSY_SECONDS`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from sqlalchemy import func, select

from gateway.keys import Keys
from gateway.state import persons, plans, receipts, ring, withdrawn
from gateway.state.db import Database, series, withdrawal
from gateway.state.db import withdrawn as barred
from gateway.state.persons import Kept, Known
from gateway.state.sealed import Seal
from gateway.state.withdrawn import Order, Pending, Withdrawal

PseudonymsOf: TypeAlias = Callable[[str], Iterable[str]]
"""Of a patient ID as text."""
AUDIT_MARK: Final = "/audit/"
SENT_MARK: Final = "/audit-sent/"
RECEIPTS_MARK: Final = "/receipts"
"""In the table of cursors, where no project can have such a name."""


class Broker:
    """`key`: the 32-byte master key, or all keys there are. Safe to share among threads."""

    def __init__(self, database: Database, key: bytes | Keys) -> None:
        self._db, self._seal = database, Seal(ring.keys_of(database, key))

    def enter(self, kept: Kept, *, now: float) -> bool:
        """Into the crosswalk, before anything of it is written. False: the patient is withdrawn."""
        with self._db.write() as c:
            if withdrawn.bar(c, kept.project, persons.marks_of(self._seal, kept)) is not None:
                return False
            persons.enter(c, self._seal, kept)
            return True

    def look_up(self, project: str, pseudonym: str) -> list[Known]:
        """Whose pseudonym it is; more than one only where a crosswalk file was changed."""
        with self._db.read() as c:
            return persons.known(c, self._seal, project, [persons.of_pseudonym(self._seal, project, pseudonym)])

    def everybody(self, project: str) -> list[Known]:
        """Of one project."""
        with self._db.read() as c:
            return persons.everybody(c, self._seal, project)

    def withdrawn_at(self, project: str, pseudonym: str) -> float | None:
        """Epoch seconds; None: not withdrawn."""
        mark = persons.of_pseudonym(self._seal, project, pseudonym)
        with self._db.read() as c:
            found = select(withdrawal.c.at).join(barred, barred.c.withdrawal_id == withdrawal.c.id)
            at: float | None = c.execute(found.where(barred.c.project == project, barred.c.hash == mark)).scalar()
            return at

    def opted_out(self, project: str, patients: Sequence[str], pseudonyms_of: PseudonymsOf) -> list[str]:
        """Those of these patient IDs, as text, that are not withdrawn yet, by the pseudonyms, too, that they have by now."""
        marks = {p: self._marks(project, p, pseudonyms_of) for p in patients}
        with self._db.read() as c:
            known = withdrawn.among(c, {project}, frozenset().union(*marks.values()))
        return [p for p in patients if not marks[p] <= known]

    def _marks(self, project: str, patient: str, pseudonyms_of: PseudonymsOf) -> frozenset[str]:
        own = persons.of_patient(self._seal, project, patient)
        return own | {persons.of_pseudonym(self._seal, project, p) for p in pseudonyms_of(patient)}

    def patient_mark(self, project: str, patient: str) -> str:
        """How the audit trail names a patient whose pseudonym it does not know."""
        return min(persons.of_patient(self._seal, project, patient), default="")

    def keep_head(self, node: str, number: int, mac: str) -> None:
        """The last line of a node's audit trail, sealed; never an earlier one."""
        with self._db.write() as c:
            if number > _head(plans.saved_cursor(c, self._seal, f"{AUDIT_MARK}{node}"))[0]:
                plans.save_cursor(c, self._seal, f"{AUDIT_MARK}{node}", f"{number} {mac}")

    def head(self, node: str) -> tuple[int, str]:
        """Number and hash of that line; (0, "") when there is none."""
        with self._db.read() as c:
            return _head(plans.saved_cursor(c, self._seal, f"{AUDIT_MARK}{node}"))

    def keep_sent(self, node: str, number: int) -> None:
        """The last line of it that was told on."""
        with self._db.write() as c:
            plans.save_cursor(c, self._seal, f"{SENT_MARK}{node}", f"{number} ")

    def sent(self, node: str) -> int:
        with self._db.read() as c:
            return _head(plans.saved_cursor(c, self._seal, f"{SENT_MARK}{node}"))[0]

    def withdraw(self, order: Order, *, now: float) -> Withdrawal:
        with self._db.long_read() as c:
            seen = withdrawn.look(c, self._seal, order, now)
        with self._db.write() as c:
            return withdrawn.withdraw(c, self._seal, order, now, seen)

    def forget_receipts(self, stop: threading.Event) -> bool:
        """Of who was withdrawn since it was done last; in pieces, all may take minutes. True: there were some, and they are gone.

        Nobody asks for them, so nobody waits for it. `stop`: it begins anew the next time, as after a crash.
        """
        with self._db.read() as c:
            before, _ = _head(plans.saved_cursor(c, self._seal, RECEIPTS_MARK))
            new = select(func.max(withdrawal.c.id), func.min(withdrawal.c.at)).where(withdrawal.c.id > before)
            newest, since = c.execute(new).one()
            gone = receipts.of_withdrawn(c, since) if newest else []
        for some in gone:
            last: bytes | None = b""
            while last is not None:
                if stop.is_set():
                    return False
                self._db.rest()
                with self._db.write() as c:
                    last = receipts.forget(c, some, after=last)
        if newest:
            with self._db.write() as c:
                plans.save_cursor(c, self._seal, RECEIPTS_MARK, f"{newest} ")
        return bool(gone)

    def pending(self, projects: Sequence[str], *, now: float) -> list[Pending]:
        """Withdrawals that some archive has not heard of yet."""
        with self._db.read() as c:
            return withdrawn.pending(c, self._seal, projects, now)

    def settled(self, key: str, sink: str, *, now: float) -> None:
        """The patients of that withdrawal are out of that archive, or a person was told."""
        with self._db.write() as c:
            withdrawn.settled(c, self._seal, key, sink, now)

    def lately_withdrawn(self, since: float) -> list[str]:
        """Keys of series withdrawn at or after `since`, epoch seconds: something of them may still have been on its way."""
        with self._db.read() as c:
            if c.execute(select(withdrawal.c.id).where(withdrawal.c.at >= since).limit(1)).first() is None:
                return []  # without reading all that ever were, every few seconds
            mine = (series.c.state == "withdrawn", series.c.updated >= since)
            return [r.key for r in c.execute(select(series.c.key).where(*mine).order_by(series.c.id))]


def _head(kept: str | None) -> tuple[int, str]:
    number, _, mac = (kept or "0 ").partition(" ")
    return int(number), mac
