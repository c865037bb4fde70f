"""The step of role `find`: claims a batch of requests, asks, plans, settles each by itself.

One bad accession number delays no other; a PACS that is down costs none of them an attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from gateway.cfind import growth
from gateway.cfind.evidence import Look, without_doubt
from gateway.cfind.select import CompiledSelect, Found, plan
from gateway.dicom.patience import MAX_ATTEMPTS, REFUSED_ONE, Suspicion, back_off
from gateway.errors import Fatal, GatewayError, Retry
from gateway.model import AccessionNumber, Candidate, Plan, Wanted
from gateway.state.rows import RequestClaim

BATCH: Final = 50
BATCH_SECONDS: Final = 10.0  # a batch that takes longer is given back: stopping must not wait for it
LEASE: Final = 900.0
PEER_PAUSE: Final = 5.0  # seconds; the worker's own back-off comes on top while nothing else goes
BUG: Final = "find.internal"  # of ours, which the request in hand brought to light: charged as any other failure
SUSPECT_PAUSE: Final = 30.0  # the request in hand when a PACS fell silent comes after the others


@dataclass(frozen=True)
class FindProject:
    """`pacs`: names, asked in this order until one has an answer. `recheck`: seconds until an empty one is asked again.

    `by_day`: looked for by patient and day too, where a PACS does not know the accession number. `aliases`: merged patients.
    """

    name: str
    pacs: tuple[str, ...]
    select: CompiledSelect
    recheck: tuple[float, ...] = ()
    by_day: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)


class Asks(Protocol):
    """What a step needs of a Finder."""

    def find(
        self, accession: AccessionNumber, *, ris: Wanted | None, look: Look, beat: Callable[[], object]
    ) -> Found: ...

    def prove(self, *, ris: Wanted | None, beat: Callable[[], object]) -> None: ...

    def close(self) -> None: ...


class Requests(Protocol):
    """What a step needs of the store (state.store.Store)."""

    def claim_requests(
        self, *, projects: Sequence[str], limit: int, lease: float, now: float
    ) -> list[RequestClaim]: ...

    def settle_found(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool: ...

    def settle_empty(
        self, claim: RequestClaim, *, not_before: float | None, left: Sequence[Candidate], now: float
    ) -> bool: ...

    def hold_request(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool: ...

    def study_hash(self, StudyInstanceUID: str) -> str: ...

    def fail_request(self, claim: RequestClaim, *, reason: str, now: float) -> bool: ...

    def release_request(
        self, claim: RequestClaim, *, reason: str, not_before: float, charge: bool, now: float
    ) -> bool: ...


class Board(Protocol):
    """The part of ops.health.Board used here."""

    def up(self, kind: str, name: str, *, now: float) -> None: ...

    def down(self, kind: str, name: str, error: str, *, now: float) -> None: ...

    def success(self, what: str, *, now: float) -> None: ...


class FindStep:
    """`finders`: by PACS name. `step` is called by one thread, again and again."""

    def __init__(
        self,
        *,
        store: Requests,
        finders: Mapping[str, Asks],
        projects: Sequence[FindProject],
        board: Board,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._finders = finders
        self._projects = {p.name: p for p in projects}
        self._board = board
        self._clock = clock
        self._suspicions = {name: Suspicion() for name in finders}
        self._refused: Retry | None = None  # the last refusal of a question in this batch
        self._left: list[RequestClaim] = []  # claimed, and not settled yet

    def step(self) -> bool:
        """Claims and settles one batch. False: nothing is due. Raises Retry(charge=False) when nothing was answered."""
        self._recover()
        claims = self._store.claim_requests(projects=list(self._projects), limit=BATCH, lease=LEASE, now=self._clock())
        self._left = list(claims)
        try:
            return self._settle_all(claims)
        except GatewayError:  # all are settled, or the database is away and the store frees them
            self._left = []
            raise
        finally:
            for finder in self._finders.values():  # no idle associations (A6): the next batch opens its own
                finder.close()

    def _recover(self) -> None:
        """After a mistake of ours, which the worker has told: the others of that batch need not wait for their lease to end."""
        left, self._left = self._left, []
        for claim in left[:1]:
            self._later(claim, Retry(BUG))
        for claim in left[1:]:
            self._release(claim, "find.postponed", after=0.0, charge=False)

    def _settle_all(self, claims: Sequence[RequestClaim]) -> bool:
        down: dict[str, Retry] = {}
        self._refused = None
        settled, until = 0, self._clock() + BATCH_SECONDS
        for claim in claims:
            if self._clock() > until:
                self._release(claim, "find.postponed", after=0.0, charge=False)
            else:
                settled += self._settle(claim, down)
            self._left = self._left[1:]
        trouble = next(iter(down.values()), self._refused)
        if trouble and not settled:
            raise trouble
        return bool(claims)

    def _settle(self, claim: RequestClaim, down: dict[str, Retry]) -> bool:
        """One request to its next state, or back for later. True when it got an answer."""
        try:
            answer = self._ask(claim, down)
        except Retry as err:
            self._later(claim, err)
            return err.charge
        except Fatal:
            raise
        except GatewayError as err:  # Refused, Held: final for this request
            self._fail(claim, err.reason)
            return True
        self._take(claim, answer)
        return True

    def _take(self, claim: RequestClaim, answer: Plan) -> None:
        log = structlog.get_logger()
        if answer.doubt:
            self._store.hold_request(claim, answer, now=self._clock())
            log.warning("request.held", request=claim.key, reason=answer.doubt, studies=len(answer.candidates))
        elif not answer.series:
            self._empty(claim, answer.candidates)
        else:
            now = self._clock()
            again = growth.look_again(answer.study_date, now) or growth.look_again(claim.study_date, now)
            self._store.settle_found(claim, replace(answer, again=again), now=now)
            kept = sum(s.verdict.keep for s in answer.series)
            log.info(
                "request.found", request=claim.key, studies=answer.studies, series=len(answer.series), kept=kept,
                form=answer.form,
            )  # fmt: skip

    def _ask(self, claim: RequestClaim, down: dict[str, Retry]) -> Plan:
        """The plan of the first PACS that has the examination. What others had that may be it is told in any case."""
        project = self._projects[claim.project]
        earlier: tuple[Candidate, ...] = ()
        doubt = ""
        for name in project.pacs:
            if name in down:
                raise Retry(down[name].reason, after=down[name].after or PEER_PAUSE, charge=False)
            answer = plan(self._ask_one(claim, name, down), project.select, name)
            if answer.series:
                return replace(answer, candidates=without_doubt(earlier) + answer.candidates)
            earlier += answer.candidates
            doubt = doubt or answer.doubt
        return Plan(candidates=earlier, doubt=doubt)

    def _ask_one(self, claim: RequestClaim, name: str, down: dict[str, Retry]) -> Found:
        finder, suspicion = self._finders[name], self._suspicions[name]
        ris = Wanted(
            claim.project, claim.accession, claim.patient_id, claim.study_date, claim.modality, claim.issuer
        )  # fmt: skip
        try:
            finder.prove(ris=ris, beat=self._clock)
            found = finder.find(claim.accession, ris=ris, look=self._look(claim), beat=self._clock)
        except Retry as err:
            if err.charge:
                suspicion.answered(claim.key)
                raise
            if err.reason in REFUSED_ONE:  # an answer all the same: the next question may be welcome
                self._refused = err
            else:
                down[name] = err
            self._board.down("pacs", name, err.reason, now=self._clock())
            charge = suspicion.charges(claim.key, err.reason)
            raise Retry(err.reason, after=err.after or SUSPECT_PAUSE, charge=charge) from None
        suspicion.answered(claim.key)
        now = self._clock()
        self._board.up("pacs", name, now=now)
        self._board.success("find", now=now)
        return found

    def _look(self, claim: RequestClaim) -> Look:
        def decided(uid: str) -> str:
            return claim.decided.get(self._store.study_hash(uid), "") if claim.decided else ""

        project = self._projects[claim.project]
        return Look(project.by_day, decided, project.aliases)

    def _empty(self, claim: RequestClaim, left: Sequence[Candidate]) -> None:
        """Asked again on the widening schedule; after its last time closed for good."""
        recheck, now = self._projects[claim.project].recheck, self._clock()
        again = now + recheck[claim.empties] if claim.empties < len(recheck) else None
        self._store.settle_empty(claim, not_before=again, left=left, now=now)
        structlog.get_logger().info("request.empty", request=claim.key, times=claim.empties + 1, final=again is None)

    def _later(self, claim: RequestClaim, err: Retry) -> None:
        if err.charge and claim.attempts + 1 >= MAX_ATTEMPTS:
            self._fail(claim, err.reason)
        elif err.charge:
            self._release(claim, err.reason, after=back_off(claim.attempts, claim.key), charge=True)
        else:
            self._release(claim, err.reason, after=err.after or PEER_PAUSE, charge=False)

    def _release(self, claim: RequestClaim, reason: str, *, after: float, charge: bool) -> None:
        now = self._clock()
        self._store.release_request(claim, reason=reason, not_before=now + after, charge=charge, now=now)
        if charge:
            log = structlog.get_logger()
            log.warning("request.retry", request=claim.key, reason=reason, attempts=claim.attempts + 1)

    def _fail(self, claim: RequestClaim, reason: str) -> None:
        self._store.fail_request(claim, reason=reason, now=self._clock())
        structlog.get_logger().error("request.failed", request=claim.key, reason=reason)
