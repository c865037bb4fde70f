"""The state as rooms see it: claim, settle, look up. Every call is one short transaction; safe to share among threads.

Raises `Retry("state.busy")` when the database does not answer for `db.BUSY_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.engine import Connection

from gateway.errors import Retry
from gateway.keys import Keys
from gateway.model import Candidate, Plan, SetAside, Wanted
from gateway.state import change, claim, evidence, lookup, machine, nodes, plans, receipts, ring, settle, withdrawn
from gateway.state import pushed as unasked
from gateway.state.ahead import wait_anew
from gateway.state.db import Database, request, series
from gateway.state.engines import is_well
from gateway.state.fellowship import Fellowship
from gateway.state.rows import Added, Expected, Pushed, RequestClaim, SeriesClaim, SeriesRow, Tally, WaitingSeries
from gateway.state.sealed import Seal
from gateway.state.settle import At, Step


class Store:
    """`node`: this node's name, in every claim. `key`: the 32-byte master key, or all keys there are."""

    def __init__(self, database: Database, key: bytes | Keys, *, node: str) -> None:
        self._db = database
        self.keys = ring.keys_of(database, key)
        self._seal = Seal(self.keys)
        self._node = node
        self._left: set[str] = set()

    @contextmanager
    def _under(self, owner: str) -> Iterator[Connection]:
        """A transaction about one claim. When the database fails in it, the claim is freed before the next one is made.

        So what a restart of the database interrupts goes on at once, whether it had been written or not.
        """
        try:
            with self._db.write() as c:
                yield c
        except Retry:
            self._left.add(owner)
            raise

    @contextmanager
    def _claiming(self, taken: claim.Lease) -> Iterator[Connection]:
        left = frozenset(self._left)
        with self._under(taken.owner) as c:
            if left:
                claim.free(c, left)
            yield c
        self._left -= left

    # ---- requests

    def add_requests(
        self, wanted: Sequence[Wanted], aside: Sequence[SetAside], *, project: str, cursor: str | None, now: float
    ) -> Added:
        """Adds what is new; `cursor` (None: unchanged) is saved in the same transaction, so that nothing is skipped."""
        with self._db.write() as c:
            wanted, barred = withdrawn.welcome(c, self._seal, wanted)
            new = plans.add_requests(c, self._seal, wanted, now)
            odd = plans.set_aside(c, self._seal, [*aside, *barred], now)
            if cursor is not None:
                plans.save_cursor(c, self._seal, project, cursor)
        return plans.added(wanted, new, odd)

    def cursor(self, project: str) -> str | None:
        """The saved cursor of a project's RIS query."""
        with self._db.read() as c:
            return plans.saved_cursor(c, self._seal, project)

    def claim_requests(self, *, projects: Sequence[str], limit: int, lease: float, now: float) -> list[RequestClaim]:
        """Up to `limit` requests that are due, for `lease` seconds."""
        taken = claim.lease(self._node, lease, now)
        with self._claiming(taken) as c:
            return claim.requests(c, self._seal, taken, projects=projects, limit=limit)

    def settle_found(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool:
        """Writes the plan. False, here and below: the lease was lost and somebody else settled it."""
        with self._under(claim.owner) as c:
            return plans.found(c, self._seal, claim, plan, now)

    def settle_empty(
        self, claim: RequestClaim, *, not_before: float | None, left: Sequence[Candidate] = (), now: float
    ) -> bool:
        """An empty answer, asked again at `not_before`; None: closed for good, a reported outcome. `left`: what it was not."""
        with self._under(claim.owner) as c:
            settled = plans.nothing_found(c, claim, not_before, now)
            evidence.write(c, self._seal, claim.id, left if settled else (), now)
        return settled

    def hold_request(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool:
        """A person decides which of the plan's candidates is meant."""
        values: dict[str, Any] = {"attempts": 0, "not_before": None}
        with self._under(claim.owner) as c:
            held = settle.claimed_request(c, claim, Step("held", now, plan.doubt), values)
            evidence.write(c, self._seal, claim.id, plan.candidates if held else (), now)
        return held

    def decide(self, keys: Sequence[str], decision: evidence.Decision, *, now: float) -> dict[str, list[str]]:
        """See `evidence.decide`."""
        with self._db.write() as c:
            return evidence.decide(c, keys, decision, now)

    def fail_request(self, claim: RequestClaim, *, reason: str, now: float) -> bool:
        with self._under(claim.owner) as c:
            return settle.claimed_request(c, claim, Step("failed", now, reason))

    def release_request(self, claim: RequestClaim, *, reason: str, not_before: float, charge: bool, now: float) -> bool:
        """Gives the request back until `not_before`; `charge`: it costs the item an attempt."""
        with self._under(claim.owner) as c:
            return settle.release(c, _at(request, claim), Step("retry", now, reason), until=not_before, charge=charge)

    # ---- series

    def claim_series(
        self, *, pacs: str, projects: Sequence[str], lease: float, now: float, only: Collection[str] | None = None
    ) -> SeriesClaim | None:
        """Only for `projects`, in the order of their turns: others wait until their sections of the configuration are back.

        `only`: series keys, of which it must be one.
        """
        taken = claim.lease(self._node, lease, now)
        with self._claiming(taken) as c:
            return claim.one_series(c, self._seal, taken, of=claim.Of(pacs, projects, only))

    def extend_series(self, claim: SeriesClaim, *, lease: float, now: float) -> bool:
        """Keeps a claim alive while the move goes on."""
        mine = (series.c.id.in_([r.id for r in claim.rows]), series.c.claimed_by == claim.rows[0].owner)
        with self._db.write() as c:
            kept = c.execute(update(series).where(*mine).values(lease_until=now + lease))
            return kept.rowcount == len(claim.rows)

    def settle_retrieved(self, row: SeriesRow, tally: Tally, *, now: float) -> bool:
        """`retrieved`, `held`, `excluded` (nothing kept or held) or `failed` (an instance was not proven clean)."""
        event, reason = settle.arrived(tally)
        here = {**settle.tally_values(tally), "node": self._node}
        with self._under(row.owner) as c:
            settled = settle.claimed_series(c, row, Step(event, now, reason), here)
            if settled:
                after = machine.after(machine.SERIES, row.state, event)
                settle.note_profiles(c, At(series, row.id, after), tally, now)
        return settled

    def settle_held(self, series_key: str, tally: Tally, *, now: float) -> str:
        """What became of a held series: `released`, `discarded`, `failed`; "" while it is held, or when it is not."""
        with self._db.write() as c:
            return change.held(c, series_key, tally, now, node=self._node)

    def held_series(self) -> list[str]:
        """Keys of the series of this node that are held."""
        mine = (series.c.node == self._node, series.c.state == "held")
        with self._db.read() as c:
            return [r.key for r in c.execute(select(series.c.key).where(*mine).order_by(series.c.id))]

    def tell(self, series_key: str, event: str, *, reason: str, now: float, once: bool = False) -> bool:
        """A line in the history of a series, whose state stays. `once`: unless it has that line; False then."""
        with self._db.write() as c:
            return change.tell(c, series_key, Step(event, now, reason), once=once)

    def fail_series(self, row: SeriesRow, *, reason: str, now: float) -> bool:
        with self._under(row.owner) as c:
            return settle.claimed_series(c, row, Step("failed", now, reason))

    def release_series(self, claim: SeriesClaim, *, reason: str, not_before: float, charge: bool, now: float) -> bool:
        step = Step("retry", now, reason)
        with self._under(claim.rows[0].owner) as c:
            given = [settle.release(c, _at(series, r), step, until=not_before, charge=charge) for r in claim.rows]
        return all(given)

    # ---- what came unasked

    def push(self, pushed: Pushed, *, now: float) -> bool:
        """Rows for a series of which a first instance has come. False: its request was cancelled."""
        with self._db.write() as c:
            return unasked.arrive(c, self._seal, pushed, now, node=self._node)

    def pushed(self, projects: Sequence[str]) -> list[WaitingSeries]:
        """Series that came unasked and are not settled yet."""
        with self._db.read() as c:
            return unasked.waiting(c, self._seal, projects, node=self._node)

    def claim_pushed(self, keys: Sequence[str], *, lease: float, now: float) -> list[SeriesRow]:
        """Those of them that are nobody's."""
        taken = claim.lease(self._node, lease, now)
        with self._claiming(taken) as c:
            return unasked.claim(c, taken, keys)

    def settle_row(self, row: SeriesRow, event: str, *, reason: str = "", now: float) -> bool:
        """`event`: one of machine.SERIES for the row's state."""
        with self._under(row.owner) as c:
            fresh = {"attempts": 0, "not_before": 0.0}
            return settle.claimed_series(c, row, Step(event, now, reason), fresh)

    # ---- look-up

    def committed(self, instances: Iterable[str]) -> frozenset[str]:
        """Those of these keyed hashes that the archives confirmed."""
        with self._db.read() as c:
            return receipts.known(c, instances)

    def has_receipt(self, series_key: str, instance: str) -> bool:
        """Whether its own archives confirmed that keyed hash."""
        with self._db.read() as c:
            return receipts.has(c, series_key, instance)

    def delivered_elsewhere(self, series_key: str, instances: Iterable[str]) -> frozenset[str]:
        with self._db.read() as c:
            return receipts.elsewhere(c, series_key, instances, node=self._node)

    def expected(self, StudyInstanceUID: str) -> tuple[Expected, ...]:
        """Every (project, series) of that study that a plan knows; () means that nobody asked for it."""
        with self._db.read() as c:
            return lookup.expected(c, self._seal, StudyInstanceUID)

    def instance_hash(self, SOPInstanceUID: str) -> str:
        """How the ledger names an instance."""
        return self._seal.hash("instance", SOPInstanceUID)

    def study_hash(self, StudyInstanceUID: str) -> str:
        return self._seal.hash("study", StudyInstanceUID)

    def series_hash(self, SeriesInstanceUID: str) -> str:
        return self._seal.hash("series", SeriesInstanceUID)

    # ---- care

    def retry(
        self, *, keys: Sequence[str] = (), state: str | None = None, project: str | None = None, now: float
    ) -> int:
        """Asks again for failed, empty, held or cancelled requests, by key or by state, in pieces. Returns how many."""
        which = change.retriable(keys=keys, state=state, project=project)
        total, last = 0, -1
        while last:
            with self._db.write() as c:
                some, last = change.retry(c, which, now, after=last)
            total += some
            self._db.rest()
        return total

    def cancel(self, *, keys: Sequence[str], now: float) -> int:
        """Cancels requests that are not over, with the series that nobody else asked for. Returns how many."""
        with self._db.write() as c:
            return change.cancel(c, keys, now)

    def late(self, series_key: str, *, now: float, quiet: float = 0.0) -> bool:
        """Files came for a confirmed series: it goes to the courier again. Only if confirmed `quiet` seconds ago or more."""
        with self._db.write() as c:
            return change.late(c, series_key, now, quiet=quiet, node=self._node)

    def series_states(self, keys: Sequence[str]) -> dict[str, str]:
        """State by series key, for the sweep of the outbox."""
        with self._db.read() as c:
            rows = c.execute(select(series.c.key, series.c.state).where(series.c.key.in_(keys)))
            return {r.key: r.state for r in rows}

    def left_out_since(self, series_key: str) -> float | None:
        """Since when nothing of a series that was pushed is wanted; None: it is wanted, or was not pushed, or was withdrawn."""
        with self._db.read() as c:
            return unasked.left_out_since(c, series_key)

    def free_node(self) -> int:
        """At start: frees what an earlier life of this node had claimed."""
        with self._db.write() as c:
            if not self._db.shared:
                nodes.adopt(c, self._node)
            return claim.free_node(c, self._node)

    def wait_anew(self, now: float) -> int:
        """See `ahead.wait_anew`."""
        self._db.rest()
        with self._db.write() as c:
            return wait_anew(c, now)

    def fellowship(self, *, home: str, lease: float) -> Fellowship | None:
        """For the daemon: its place among the nodes. None where it is the only one."""
        return Fellowship(self._db, nodes.Node(self._node, home, lease)) if self._db.shared else None

    def keep_to_key(self) -> None:
        """Marks a new state with its key. Raises Fatal("state.key") when this state was made with another one."""
        with self._db.write() as c:
            if plans.saved_cursor(c, self._seal, plans.KEY_MARK) is None:
                plans.save_cursor(c, self._seal, plans.KEY_MARK, "made with this key")

    def answers(self) -> bool:
        """True when the database can be read, and not only read."""
        with self._db.read() as c:
            return is_well(c)


def _at(table: Table, row: RequestClaim | SeriesRow) -> At:
    return At(table, row.id, row.state, row.owner)
