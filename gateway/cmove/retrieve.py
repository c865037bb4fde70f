"""The step of role `move`: claims series, has them sent, and settles each when our own ledger says that all of it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.cmove import nearline
from gateway.cmove.ends import CLOSED, CROWDED, LOST, OURS, PAUSED, STOPPED, Patience
from gateway.cmove.gate import Gate
from gateway.cmove.limits import Arrivals, Wanted, is_complete, is_kept, singly, wanted
from gateway.cmove.parts import Board, Count, Ledgers, Planned
from gateway.cmove.question import list_series
from gateway.cmove.settling import Settling
from gateway.cmove.transfer import Transfer
from gateway.dicom.association import Scu
from gateway.dicom.incoming import Incoming
from gateway.dicom.patience import MAX_ATTEMPTS, REFUSED_ONE, Suspicion, back_off
from gateway.dicom.status import SUCCESS, move_failure
from gateway.errors import Fatal, GatewayError, Retry
from gateway.state.rows import SeriesClaim

BATCH: Final = 20  # series over one association
LEASE: Final = 300.0
EXTEND_EVERY: Final = 30.0
PEER_PAUSE: Final = 15.0
LOOK: Final = 0.1  # seconds between looks at the ledger after the final response
INCOMPLETE: Final = move_failure(SUCCESS).reason
BUG: Final = "move.internal"  # of ours, which the series in hand brought to light: charged as any other failure
NOT_LISTED: Final = "series.not-listed"  # deleted or merged since it was found (M16), or on its way to another archive


class MoveStep:
    """One slot of one PACS. `stop`: the daemon ends; a move under way is cancelled and given back.

    `gate`: shared by all slots of the PACS; when its window ends a move under way is cancelled and given back, too.
    `paused`: the receiver takes nothing for a while: no move is begun, and one under way is ended and given back, uncharged.
    `only`: keys of the series that alone may be retrieved now, None: any.
    `crowded`: how many associations our receiver has refused for now, so far.
    `take`: what becomes of an instance that comes by C-GET, as at the receiver; without it C-MOVE is used.
    """

    def __init__(  # noqa: PLR0913  the parts of the daemon that a retrieval touches
        self,
        *,
        store: Planned,
        outbox: Ledgers,
        gate: Gate,
        projects: Sequence[str],
        calling_ae: str,
        count: Count,
        board: Board,
        clock: Callable[[], float],
        stop: threading.Event,
        paused: Callable[[], bool] = lambda: False,
        only: Callable[[], Collection[str] | None] = lambda: None,
        crowded: Callable[[], float] = lambda: 0.0,
        take: Callable[[Incoming], int] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._gate, self._pacs = gate, gate.pacs
        self._projects = projects
        self._count = count
        self._board = board
        self._clock = clock
        self._stop, self._paused, self._only, self._crowded = stop, paused, only, crowded
        self._settling = Settling(store, outbox, clock)
        self._patience = patience or Patience()
        self._suspicion = Suspicion()
        self._in_hand: SeriesClaim | None = None
        self._transfer = Transfer(self._pacs, calling_ae, count, self._patience, self._ended, take)

    def step(self) -> bool:
        """Retrieves what is due, up to a batch, over one association. False: nothing is due, or nothing may be asked now.

        Raises Retry(charge=False). A series that the PACS refuses as such (F18) ends the batch only when it refuses all of them.
        """
        self._recover()
        leave = None if self._paused() else self._gate.enter(self._clock())
        if leave is None:
            return False
        try:
            with self._transfer.connection() as scu:
                if leave.probe:
                    self._probe(scu)
                done = leave.moves and self._batch(scu)
            if leave.probe and not done:  # nothing that could fail is due
                self._board.up("pacs", self._pacs.name, now=self._clock())
            return done
        except Retry as err:
            self._in_hand = None
            if not err.reason.startswith("state."):
                self._gate.failed(err)
            raise
        finally:
            self._gate.leave()

    def _recover(self) -> None:
        """After a mistake of ours, which the worker has told."""
        claim, self._in_hand = self._in_hand, None
        if claim is None:
            return
        if claim.attempts + 1 >= MAX_ATTEMPTS:
            self._settling.fail(claim, BUG)
        else:
            pause = back_off(claim.attempts, claim.rows[0].key)
            self._settling.release(claim, BUG, after=pause, charge=True)

    def _probe(self, scu: Scu) -> None:
        """After failures: is it there again? One that has no C-ECHO answers by saying so."""
        try:
            scu.echo()
        except Retry as err:
            if err.reason != "pacs.context-refused":
                self._board.down("pacs", self._pacs.name, err.reason, now=self._clock())
                raise
        self._gate.echoed()

    def _batch(self, scu: Scu) -> bool:
        """The association is opened with the first question: when nothing is due there is none."""
        refused: list[Retry | None] = []
        claim = self._claim()
        while claim is not None:
            refused.append(self._settle(scu, claim))
            self._gate.served([row.project for row in claim.rows], claim.instances or 1)
            claim = self._claim() if len(refused) < BATCH and self._may_go_on() else None
        if refused and all(refused) and refused[-1]:
            raise refused[-1]
        return bool(refused)

    def _may_go_on(self) -> bool:
        return not self._stop.is_set() and not self._paused() and self._gate.may_go_on(self._clock())

    def _claim(self) -> SeriesClaim | None:
        turns, only = self._gate.turns(self._projects), self._only()
        return self._store.claim_series(pacs=self._pacs.name, projects=turns, lease=LEASE, now=self._clock(), only=only)

    # ---- one series

    def _settle(self, scu: Scu, claim: SeriesClaim) -> Retry | None:
        """One series to its next state, or back for later. Raises Retry(charge=False) when the PACS is at fault.

        Returns the refusal of one that may be at fault itself.
        """
        refusal: Retry | None = None
        self._in_hand = claim
        try:
            want = self._retrieve(scu, claim)
        except Retry as err:
            self._later(claim, err)
            refusal = err if err.reason in REFUSED_ONE else None
        except Fatal:
            raise
        except GatewayError as err:  # Refused, Held: final for this series
            self._settling.fail(claim, err.reason)
        else:
            self._settling.settle(claim, want)
        self._in_hand = None
        return refusal

    def _retrieve(self, scu: Scu, claim: SeriesClaim) -> Wanted:
        """Returns once every project's ledger is complete. Raises GatewayError when it is not."""
        asked = time.monotonic()
        listed = list_series(scu, claim, limit=self._pacs.result_limit)
        asked = time.monotonic() - asked
        hashes = None if listed is None else frozenset(self._store.instance_hash(uid) for uid in listed)
        want = wanted(hashes, claim.instances)
        if not self._is_here(claim, want):
            try:
                self._move(scu, claim, want, self._singly(claim, listed or ()))
            except Retry as err:
                if listed == [] and err.reason == INCOMPLETE and not self._settling.arrived(claim):
                    raise Retry(NOT_LISTED, "the PACS lists no instance of it and sent none") from None
                raise
        self._answered(claim.rows[0].key)
        self._gate.went_well(asked, len(listed or ()))
        now = self._clock()
        self._board.up("pacs", self._pacs.name, now=now)
        self._board.success("move", now=now)
        return want

    def _singly(self, claim: SeriesClaim, listed: Sequence[str]) -> Sequence[str]:
        """The instances to be asked for one by one: those that some project has not, where they are few."""
        ledgers = [self._outbox.ledger(row.key).keys() for row in claim.rows]
        missing = [uid for uid in listed if not all(self._store.instance_hash(uid) in ledger for ledger in ledgers)]
        return missing if singly(len(missing), len(listed), claim.attempts) else ()

    def _is_here(self, claim: SeriesClaim, want: Wanted) -> bool:
        """All of it is kept, or comes by itself: a move that we gave up may go on (M10), and is not asked for twice."""
        if all(is_kept(want, self._outbox.ledger(row.key)) for row in claim.rows):
            return True
        if not claim.attempts or not self._settling.arrived(claim) or self._is_complete(claim, want, success=False):
            return False
        self._let_settle(claim, want)
        return self._is_complete(claim, want, success=False)

    def _move(self, scu: Scu, claim: SeriesClaim, want: Wanted, missing: Sequence[str]) -> None:
        """One retrieval. However it ended, the ledger decides; one that brought all that is listed counts as complete (F7, M7)."""
        start, result, crowded, before = time.monotonic(), "failed", self._crowded(), self._settling.arrived(claim)
        try:
            with self._gate.moving():
                failure = self._transfer.failure(scu, claim, missing, self._signs_of(claim))
            reported = failure or move_failure(SUCCESS).error()
            if reported.charge:
                self._let_settle(claim, want)
            news = self._settling.arrived(claim) != before
            if not self._is_complete(claim, want, success=failure is None, news=news):
                if self._crowded() != crowded and reported.reason not in OURS:
                    reported = Retry(CROWDED, "our receiver took no association", after=PEER_PAUSE, charge=False)
                ours, listed = reported.reason in OURS, failure is None and self._is_complete(claim, want, success=True)
                result = "stopped" if ours else "complete" if listed else "incomplete" if reported.charge else "failed"
                raise reported
            result = "complete"
            self._gate.came(time.monotonic() - start)
        finally:
            self._count.observe("move_seconds", time.monotonic() - start, pacs=self._pacs.name)
            self._count.add("move_total", pacs=self._pacs.name, result=result)

    def _ended(self) -> str:
        """Why a move under way has to end now, or ""."""
        if self._stop.is_set():
            return STOPPED
        return "" if self._gate.is_open(self._clock()) else CLOSED

    def _signs_of(self, claim: SeriesClaim) -> Callable[[], float]:
        """A callable for the watchdog: tells how much arrived, keeps the lease alive, and raises when it is lost."""
        extended = self._clock()

        def progress() -> float:
            nonlocal extended
            now = self._clock()
            if self._paused():
                raise Retry(PAUSED, charge=False)
            if now - extended >= EXTEND_EVERY:
                extended = now
                self._extend(claim, now)
            return float(self._settling.arrived(claim))

        return progress

    def _let_settle(self, claim: SeriesClaim, want: Wanted) -> None:
        """Waits until all of it is there, or nothing has come for a while: the final response may come first (M8)."""
        signs = self._signs_of(claim)
        arrivals = Arrivals(self._settling.arrived(claim), time.monotonic())
        while not self._is_complete(claim, want, success=False):
            if self._stop.wait(LOOK) or arrivals.quiet(time.monotonic(), self._patience.quiet):
                return
            arrivals = arrivals.seen(int(signs()), time.monotonic())

    def _extend(self, claim: SeriesClaim, now: float) -> None:
        try:
            kept = self._store.extend_series(claim, lease=LEASE, now=now)
        except Retry:  # the database is busy: there is time for more tries before the lease ends
            return
        if not kept:
            raise Retry(LOST, "cancelled, or taken by another node", charge=False)

    def _is_complete(self, claim: SeriesClaim, want: Wanted, *, success: bool, news: bool = False) -> bool:
        return all(is_complete(want, self._outbox.ledger(row.key), success=success, news=news) for row in claim.rows)

    # ---- settling

    def _later(self, claim: SeriesClaim, err: Retry) -> None:
        key = claim.rows[0].key
        if err.reason.startswith("state."):  # our own database: the lease ends by itself
            raise err
        if err.charge and self._paused():  # what the receiver deferred
            err = Retry(PAUSED, charge=False)
        self._gate.strained(err.reason)
        if err.reason in OURS:
            self._settling.release(claim, err.reason, after=err.after or 0.0, charge=False)
            return
        if err.charge:
            self._answered(key)
        charge = err.charge or self._suspicion.charges(key, err.reason)
        if charge and claim.attempts + 1 >= MAX_ATTEMPTS:
            self._settling.fail(claim, err.reason)
        else:
            self._settling.release(claim, err.reason, after=self._pause(claim, err, charge=charge), charge=charge)
        if not err.charge:
            self._board.down("pacs", self._pacs.name, err.reason, now=self._clock())
            if err.reason not in REFUSED_ONE:
                raise err
            self._gate.refused_one()

    def _answered(self, key: str) -> None:
        self._suspicion.answered(key)
        self._gate.answered()

    def _pause(self, claim: SeriesClaim, err: Retry, *, charge: bool) -> float:
        key = claim.rows[0].key
        if not charge:
            return err.after or PEER_PAUSE
        nothing = err.reason in (INCOMPLETE, NOT_LISTED) and not self._settling.arrived(claim)
        return nearline.pause(claim.attempts, key) if nothing else back_off(claim.attempts, key)
