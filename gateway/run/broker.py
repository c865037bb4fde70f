"""The honest broker: looks a pseudonym up, takes a patient out, and carries on what a withdrawal has left to do.

Each use is a line in the audit trail first; without it nothing is done or shown. A withdrawal may be cut short anywhere: from its
one transaction on, the patient is out of the project, and the daemon, or the command again, does the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import structlog

from gateway.deliver.remove import Removes
from gateway.deliver.sink import Sink
from gateway.errors import Refused, Retry
from gateway.ops.audit import Head, Trail
from gateway.run import upkeep
from gateway.run.crosswalk import Names, make_names
from gateway.run.delivering import make_sinks
from gateway.run.opening import State
from gateway.settings import Settings
from gateway.state.broker import Broker
from gateway.state.persons import Known
from gateway.state.withdrawn import Order, Pending, Withdrawal

TRAIL: Final = "audit.jsonl"
LATE: Final = 3600.0  # seconds: what was on its way when its patient was withdrawn has come to nothing by then
SETTLES: Final = 1.5  # seconds; receive processes look at the state again after one
EVERY: Final = "5s"
SELDOM: Final = "1h"
REST: Final = 60.0  # seconds, when an archive is in trouble
OPT_OUT: Final = "opt-out"
REMOVED, LISTED, LATER = "removed", "listed", "later"


@dataclass(frozen=True)
class Removal:
    """What became of an archive. `result`: removed (`files` instances), listed (a person must delete), later (and why)."""

    withdrawal: str
    project: str
    sink: str
    result: str
    files: int = 0
    reason: str = ""
    detail: str = ""
    pseudonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desk:
    """Where the broker sits. `names` and `sinks`: by project."""

    node: str
    state: State
    broker: Broker
    trail: Trail
    names: Mapping[str, Names]
    sinks: Mapping[str, Sequence[Sink]]

    def note(self, event: str, **facts: str | int) -> None:
        """A line in the audit trail, and its number where nobody can cut both. Raises Retry("audit.unwritable")."""
        head = self.trail.append(event, at=time.time(), after=self.head(), node=self.node, **facts)
        self.broker.keep_head(self.node, head.number, head.mac)

    def head(self) -> Head:
        return Head(*self.broker.head(self.node))

    def look_up(self, project: str, pseudonym: str, *, user: str) -> list[Known]:
        """Whose it is. The line in the trail is there whether anybody is found or not."""
        found = self.broker.look_up(project, pseudonym)
        patients = {one.patient for one in found} | self.names[project].behind(pseudonym)
        if self.knows(project, pseudonym):
            word = {"pseudonym": pseudonym}
        else:  # it may be anything that somebody typed
            word = {"patient": self.broker.patient_mark(project, pseudonym)}
        self.note("reidentified", user=user, project=project, outcome="found" if patients else "unknown", **word)
        return found or [Known(0, pseudonym, patient) for patient in sorted(patients)]

    def knows(self, project: str, pseudonym: str) -> bool:
        """Whether it is one: of the crosswalk, or at least as the project makes them. A name that somebody typed is none."""
        names = self.names[project]
        return names.is_one(pseudonym) or bool(self.broker.look_up(project, pseudonym))

    def order(self, project: str, *, patients: frozenset[str], pseudonyms: frozenset[str], reason: str) -> Order:
        names = self.names[project]
        patients |= {patient for p in pseudonyms for patient in names.behind(p)}
        pseudonyms |= {p for patient in patients for p in names.of(patient)}
        series = frozenset(_waiting(self.state, pseudonyms))
        sinks = tuple(sink.name for sink in self.sinks[project])
        return Order(project, patients, pseudonyms, reason, sinks, names.of, series)

    def withdraw(self, order: Order, *, user: str) -> Withdrawal:
        """Out of the project, and out of the outbox. The archives are `carry_on`'s."""
        one_by_one: list[dict[str, str | int]] = [{"pseudonym": p} for p in sorted(order.pseudonyms)]
        for word in one_by_one or [{"patients": len(order.patients)}]:
            self.note("withdraw-ordered", user=user, project=order.project, **word)
        done = self.broker.withdraw(order, now=time.time())
        self.clear()
        self.clear_unknown()
        counts = {"series": len(done.series), "requests": done.requests, "patients": max(len(order.patients), 1)}
        for known in [{"pseudonym": p} for p in done.pseudonyms] or [{}]:
            self.note("withdrawn", user=user, project=order.project, withdrawal=done.key, **counts, **known)
        log = structlog.get_logger()
        log.info("patient.withdrawn", project=order.project, series=len(done.series), requests=done.requests)
        return done

    def opted_out(self, project: str, patients: Sequence[str]) -> int:
        """Withdraws those who are not yet; returns how many. Pseudonyms of whom nothing was ever kept are not worth a line each."""
        new = frozenset(self.broker.opted_out(project, patients, self.names[project].of))
        if new:
            order = self.order(project, patients=new, pseudonyms=frozenset(), reason=OPT_OUT)
            self.withdraw(replace(order, pseudonyms=frozenset()), user=OPT_OUT)
        return len(new)

    def clear(self) -> None:
        """Whatever is in the outbox of a series withdrawn of late: an instance may have been on its way."""
        for key in self.broker.lately_withdrawn(time.time() - LATE):
            if self.state.outbox.has(key):  # clearing what is not there costs flushes, which receivers wait for
                self.state.outbox.clear(key)

    def clear_unknown(self) -> int:
        """Whatever is of the withdrawn in series that the state does not know. What is of others stays: their series are found
        again, and of what was pushed it is the only copy."""
        theirs = [
            key
            for key in upkeep.unknown(self.state)
            if any(map(self._is_withdrawn, upkeep.pseudonyms(self.state.outbox, key)))
        ]
        for key in theirs:
            self.state.outbox.clear(key)
        return len(theirs)

    def _is_withdrawn(self, pseudonym: str) -> bool:
        """In whichever project it is one. Two lists may have the same word for two patients: then from both."""
        barred = {name for name in self.names if self.broker.withdrawn_at(name, pseudonym) is not None}
        if not barred:
            return False
        listed = {name for name, names in self.names.items() if names.crosswalk and names.is_one(pseudonym)}
        return listed <= barred

    def clear_what_was_coming(self) -> None:
        """Once more, when each receive process knows."""
        threading.Event().wait(SETTLES)
        self.clear()

    def carry_on(self) -> list[Removal]:
        """Takes withdrawn patients out of archives; what cannot be reached now is left for the next time."""
        pending = self.broker.pending(list(self.sinks), now=time.time())
        return [self._take_out(one, name) for one in pending for name in one.sinks]

    def unfinished(self) -> list[Pending]:
        """Withdrawals that an archive has not heard of, those included that nobody may carry on yet."""
        return self.broker.pending(list(self.sinks), now=float("inf"))

    def _take_out(self, one: Pending, name: str) -> Removal:
        called = [s for s in self.sinks[one.project] if name in (s.name, _formerly(s.name))]
        sinks = [s for s in called if isinstance(s, Removes)]
        told = (one.key, one.project, name)
        if not sinks:
            return self._told(Removal(*told, LISTED, pseudonyms=one.pseudonyms))
        try:
            removed = _removed(sinks, one.pseudonyms)
        except Refused:  # it turns out that it cannot
            return self._told(Removal(*told, LISTED, pseudonyms=one.pseudonyms))
        except Retry as err:
            return Removal(*told, LATER, reason=err.reason, detail=err.detail)
        finally:
            for sink in called:
                sink.close()
        return self._told(Removal(*told, REMOVED, removed, pseudonyms=one.pseudonyms))

    def _told(self, outcome: Removal) -> Removal:
        """First in the trail, then in the state: killed in between, it is done and told again."""
        for pseudonym in outcome.pseudonyms:
            self.note(
                outcome.result, project=outcome.project, withdrawal=outcome.withdrawal, sink=outcome.sink,
                pseudonym=pseudonym, files=outcome.files,
            )  # fmt: skip
        self.broker.settled(outcome.withdrawal, outcome.sink, now=time.time())
        return outcome


def make_desk(settings: Settings, state: State) -> Desk:
    """Raises BadConfiguration for a crosswalk's file."""
    return Desk(
        settings.node,
        state,
        Broker(state.database, state.keys),
        Trail(settings.state_dir / TRAIL, state.keys),
        {p.name: make_names(p, state.keys) for p in settings.project},
        {p.name: make_sinks(settings, p) for p in settings.project},
    )


def _removed(sinks: Sequence[Removes], pseudonyms: Sequence[str]) -> int:
    """As `Removes.remove`: what is in the way under one pseudonym, and perhaps for long, keeps no other there."""
    removed, failed = 0, None
    for sink, pseudonym in product(sinks, pseudonyms):
        try:
            removed += sink.remove(pseudonym)
        except Retry as err:
            failed = failed or err
    if failed is not None:
        raise failed
    return removed


def _formerly(sink: str) -> str:
    """What an archive was called by a version before, which left out the server of a bucket: a withdrawal may still name it so."""
    return sink.partition("@http")[0] if sink.startswith("s3://") else sink  # a prefix may have an @


def _waiting(state: State, pseudonyms: frozenset[str]) -> Iterator[str]:
    """Series in the outbox, or held, whose first file is of one of these patients: also of a version without a crosswalk."""
    return (key for key in state.outbox.series() if not pseudonyms.isdisjoint(upkeep.pseudonyms(state.outbox, key)))


class Rounds:
    """What the daemon does for the broker, every few seconds; next to nothing where nobody was withdrawn."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._rest_until = desk, 0.0

    def step(self) -> bool:
        """Raises Retry when an archive does not give up what it must: shown as any trouble of a role, and tried a minute later."""
        if time.monotonic() < self._rest_until:
            return False
        outcomes = self._desk.carry_on()
        for one in outcomes:
            if one.result == LISTED:  # no terminal shows it
                told = f"it cannot delete: a person must, by the patient IDs of {one.withdrawal} in {TRAIL}"
                structlog.get_logger().warning("withdrawal.listed", project=one.project, sink=one.sink, detail=told)
        late = next((o for o in outcomes if o.result == LATER), None)
        if late is not None:
            self._rest_until = time.monotonic() + REST
            told = f"{late.sink} still has a withdrawn patient ({late.withdrawal}): {late.detail}"
            raise Retry(late.reason, told, charge=False)
        return bool(outcomes)
