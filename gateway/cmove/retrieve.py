"""The step of role `move`: claims series, has them sent, and settles each when our own ledger says that all of it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.cmove import nearline
from gateway.cmove.limits import Arrivals, Wanted, is_complete, is_kept, tally, wanted
from gateway.cmove.movescu import list_series, move_series
from gateway.cmove.parts import Board, Count, Ledgers, Planned
from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.moving import MoveWatch
from gateway.dicom.patience import MAX_ATTEMPTS, REFUSED_ONE, Suspicion, back_off
from gateway.dicom.status import SUCCESS, move_failure
from gateway.errors import GatewayError, Retry
from gateway.settings import Pacs
from gateway.state.rows import SeriesClaim

BATCH: Final = 20  # series over one association
LEASE: Final = 300.0
EXTEND_EVERY: Final = 30.0
LONGEST_MOVE: Final = 6 * 3600.0
PEER_PAUSE: Final = 15.0
LOOK: Final = 0.1  # seconds between looks at the ledger after the final response
STOPPED: Final = "move.stopped"
LOST: Final = "move.lease-lost"
PAUSED: Final = "move.paused"
INCOMPLETE: Final = move_failure(SUCCESS).reason
NOT_LISTED: Final = "series.not-listed"  # deleted or merged since it was found (M16), or on its way to another archive


@dataclass(frozen=True)
class Patience:
    """Seconds. `quiet`: how long to wait for instances after the final response, counted from the last one that came."""

    quiet: float = 5.0
    longest: float = LONGEST_MOVE
    deadlines: Deadlines = field(default_factory=Deadlines)


class MoveStep:
    """One slot of one PACS. `stop`: the daemon ends; a move under way is cancelled and given back.

    `paused`: the receiver takes nothing for a while; a move under way is ended and given back, uncharged.
    """

    def __init__(  # noqa: PLR0913  the parts of the daemon that a retrieval touches
        self,
        *,
        store: Planned,
        outbox: Ledgers,
        pacs: Pacs,
        projects: Sequence[str],
        calling_ae: str,
        count: Count,
        board: Board,
        clock: Callable[[], float],
        stop: threading.Event,
        paused: Callable[[], bool] = lambda: False,
        patience: Patience | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._pacs = pacs
        self._projects = projects
        self._our_ae = calling_ae
        self._count = count
        self._board = board
        self._clock = clock
        self._stop, self._paused = stop, paused
        self._patience = patience or Patience()
        self._suspicion = Suspicion()

    def step(self) -> bool:
        """Retrieves what is due, up to a batch, over one association. False: nothing is due. Raises Retry(charge=False).

        A series that the PACS refuses as such (F18) ends the batch only when it refuses all of them.
        """
        claim = self._claim()
        if claim is None:
            return False
        refused: list[Retry | None] = []
        with Scu(self._pacs, self._our_ae, count=self._count, deadlines=self._patience.deadlines) as scu:
            left = BATCH
            while claim is not None:
                refused.append(self._settle(scu, claim))
                left -= 1
                claim = self._claim() if left and not self._stop.is_set() and not self._paused() else None
        if all(refused) and refused[-1]:
            raise refused[-1]
        return True

    def _claim(self) -> SeriesClaim | None:
        return self._store.claim_series(pacs=self._pacs.name, projects=self._projects, lease=LEASE, now=self._clock())

    # ---- one series

    def _settle(self, scu: Scu, claim: SeriesClaim) -> Retry | None:
        """One series to its next state, or back for later. Raises Retry(charge=False) when the PACS is at fault.

        Returns the refusal of one that may be at fault itself.
        """
        try:
            want = self._retrieve(scu, claim)
        except Retry as err:
            self._later(claim, err)
            return err if err.reason in REFUSED_ONE else None
        except GatewayError as err:  # Refused, Held: final for this series
            self._fail(claim, err.reason)
        else:
            self._settle_rows(claim, want)
        return None

    def _retrieve(self, scu: Scu, claim: SeriesClaim) -> Wanted:
        """Returns once every project's ledger is complete. Raises GatewayError when it is not."""
        listed = list_series(scu, claim, limit=self._pacs.result_limit)
        hashes = None if listed is None else frozenset(self._store.instance_hash(uid) for uid in listed)
        want = wanted(hashes, claim.instances)
        if not self._is_here(claim, want):
            try:
                self._move(scu, claim, want)
            except Retry as err:
                if listed == [] and err.reason == INCOMPLETE and not self._arrived(claim):
                    raise Retry(NOT_LISTED, "the PACS lists no instance of it and sent none") from None
                raise
        self._suspicion.answered(claim.rows[0].key)
        now = self._clock()
        self._board.up("pacs", self._pacs.name, now=now)
        self._board.success("move", now=now)
        return want

    def _is_here(self, claim: SeriesClaim, want: Wanted) -> bool:
        """All of it is kept, or comes by itself: a move that we gave up may go on (M10), and is not asked for twice."""
        if all(is_kept(want, self._outbox.ledger(row.key)) for row in claim.rows):
            return True
        if not claim.attempts or not self._arrived(claim) or self._is_complete(claim, want, success=False):
            return False
        self._let_settle(claim, want)
        return self._is_complete(claim, want, success=False)

    def _move(self, scu: Scu, claim: SeriesClaim, want: Wanted) -> None:
        """One C-MOVE, counted. However it ended, the ledger is looked at before it is called a failure."""
        start, result = time.monotonic(), "failed"
        try:
            failure = self._failure(scu, claim)
            success = failure is None
            reported = failure or move_failure(SUCCESS).error()
            if reported.charge:
                self._let_settle(claim, want)
            if not self._is_complete(claim, want, success=success):
                result = "stopped" if reported.reason == STOPPED else "incomplete" if reported.charge else "failed"
                raise reported
            result = "complete"
        finally:
            self._count.observe("move_seconds", time.monotonic() - start, pacs=self._pacs.name)
            self._count.add("move_total", pacs=self._pacs.name, result=result)

    def _failure(self, scu: Scu, claim: SeriesClaim) -> Retry | None:
        """None: the PACS says 0x0000, which is no proof. Refused and a lost lease are raised at once."""
        watch = MoveWatch(self._signs_of(claim), self._pacs.response_timeout, self._patience.longest, self._stop)
        try:
            answer = move_series(scu, claim, self._our_ae, watch)
        except Retry as err:
            if err.reason in (LOST, PAUSED):
                raise
            return Retry(STOPPED, charge=False) if self._stop.is_set() else err
        if self._stop.is_set() and answer.status != SUCCESS:
            return Retry(STOPPED, charge=False)
        return None if answer.status == SUCCESS else move_failure(answer.status).error(f"status 0x{answer.status:04X}")

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
            return float(self._arrived(claim))

        return progress

    def _let_settle(self, claim: SeriesClaim, want: Wanted) -> None:
        """Waits until all of it is there, or nothing has come for a while: the final response may come first (M8)."""
        signs = self._signs_of(claim)
        arrivals = Arrivals(self._arrived(claim), time.monotonic())
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

    def _arrived(self, claim: SeriesClaim) -> int:
        return sum(len(self._outbox.ledger(row.key)) for row in claim.rows)

    def _is_complete(self, claim: SeriesClaim, want: Wanted, *, success: bool) -> bool:
        return all(is_complete(want, self._outbox.ledger(row.key), success=success) for row in claim.rows)

    # ---- settling

    def _settle_rows(self, claim: SeriesClaim, want: Wanted) -> None:
        log = structlog.get_logger()
        for row in claim.rows:
            counted = tally(want, self._outbox.ledger(row.key))
            settled = self._store.settle_retrieved(row, counted, now=self._clock())
            if settled and (
                counted.refused or not counted.kept + counted.held
            ):  # failed or excluded: nothing is delivered
                self._outbox.clear(row.key)
            log.info(
                "series.retrieved", series=row.key, instances=counted.expected, kept=counted.kept,
                excluded=counted.excluded, refused=counted.refused, held=counted.held,
            )  # fmt: skip

    def _later(self, claim: SeriesClaim, err: Retry) -> None:
        key = claim.rows[0].key
        if err.reason.startswith("state."):  # our own database: the lease ends by itself
            raise err
        if err.charge and self._paused():  # what the receiver deferred
            err = Retry(PAUSED, charge=False)
        if err.reason in (STOPPED, LOST, PAUSED):
            self._release(claim, err.reason, after=0.0, charge=False)
            return
        if err.charge:
            self._suspicion.answered(key)
        charge = err.charge or self._suspicion.charges(key, err.reason)
        if charge and claim.attempts + 1 >= MAX_ATTEMPTS:
            self._fail(claim, err.reason)
        else:
            self._release(claim, err.reason, after=self._pause(claim, err, charge=charge), charge=charge)
        if not err.charge:
            self._board.down("pacs", self._pacs.name, err.reason, now=self._clock())
            if err.reason not in REFUSED_ONE:
                raise err

    def _pause(self, claim: SeriesClaim, err: Retry, *, charge: bool) -> float:
        key = claim.rows[0].key
        if not charge:
            return err.after or PEER_PAUSE
        nothing = err.reason in (INCOMPLETE, NOT_LISTED) and not self._arrived(claim)
        return nearline.pause(claim.attempts, key) if nothing else back_off(claim.attempts, key)

    def _release(self, claim: SeriesClaim, reason: str, *, after: float, charge: bool) -> None:
        now = self._clock()
        self._store.release_series(claim, reason=reason, not_before=now + after, charge=charge, now=now)
        log = structlog.get_logger()
        log.warning(
            "series.retry", series=claim.rows[0].key, reason=reason, arrived=self._arrived(claim), charged=charge
        )

    def _fail(self, claim: SeriesClaim, reason: str) -> None:
        for row in claim.rows:
            if self._store.fail_series(row, reason=reason, now=self._clock()):
                self._outbox.clear(row.key)
            structlog.get_logger().error("series.failed", series=row.key, reason=reason)
