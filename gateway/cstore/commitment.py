"""What a peer may delete: an instance is committed when every archive that it goes to has confirmed it, and not before.

A transaction waits for what is still on its way, as long as `PATIENCE`; then it is told what there is, and asks again for the rest.
Transactions live in memory: a daemon that ends reports what it knows, and a peer that hears nothing keeps what it has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.dicom.commitment import NO_SUCH_INSTANCE, PROCESSING_FAILURE, Asked, Line, Verdicts, dial
from gateway.dicom.models import Address
from gateway.errors import Retry
from gateway.model import LedgerLine, Outcome
from gateway.state.ledger import LEDGER

MOST: Final = 32
"""Transactions under way in one process."""
PATIENCE: Final = 600.0
FIRST_LOOK, LONGEST_LOOK = 0.5, 30.0  # seconds until it is looked again; most peers release before the first one
TRIES: Final = 4
AGAIN: Final = 20.0  # seconds between two tries to reach a peer
ON_ITS_WAY: Final = frozenset({Outcome.KEPT, Outcome.HELD})


class Store(Protocol):
    def instance_hash(self, SOPInstanceUID: str) -> str: ...
    def committed(self, instances: Iterable[str]) -> frozenset[str]: ...


class Outbox(Protocol):
    def series(self) -> list[str]: ...
    def path(self, series: str, name: str) -> Path: ...
    def ledger(self, series: str) -> Mapping[str, LedgerLine]: ...


@dataclass(frozen=True)
class Found:
    """What is known of the instances of a transaction. `waits`: something of it is on its way."""

    verdicts: Verdicts
    waits: bool


def found(store: Store, ledgers: Ledgers, asked: Asked) -> Found:
    """As it is now: committed, or why not. The outbox is read first: what leaves it meanwhile is in the store by then."""
    hashes = {reference: store.instance_hash(reference.SOPInstanceUID) for reference in asked.references}
    lines = ledgers.say(frozenset(hashes.values()))
    committed = store.committed(hashes.values())
    verdicts = {reference: _verdict(h, committed, lines) for reference, h in hashes.items()}
    return Found(verdicts, waits=any(outcomes & ON_ITS_WAY for outcomes in lines.values()))


class Ledgers:
    """What the ledgers say of the instances of one transaction. Each is read again only when it has changed."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known: dict[str, tuple[tuple[int, int], Mapping[str, Outcome]]] = {}

    def say(self, wanted: frozenset[str]) -> dict[str, set[Outcome]]:
        """Of all projects."""
        self._known = {series: self._read(series, wanted) for series in self._outbox.series()}
        said: dict[str, set[Outcome]] = {}
        for _, outcomes in self._known.values():
            for instance, outcome in outcomes.items():
                said.setdefault(instance, set()).add(outcome)
        return said

    def _read(self, series: str, wanted: frozenset[str]) -> tuple[tuple[int, int], Mapping[str, Outcome]]:
        try:
            stat = self._outbox.path(series, LEDGER).stat()
        except FileNotFoundError:
            return (0, 0), {}
        version, known = (stat.st_mtime_ns, stat.st_size), self._known.get(series)
        if known is not None and known[0] == version and not known[1]:
            return known
        ledger = self._outbox.ledger(series)
        return version, {instance: ledger[instance].outcome for instance in wanted & ledger.keys()}


def _verdict(instance: str, committed: frozenset[str], lines: Mapping[str, set[Outcome]]) -> int:
    if lines.get(instance, set()) & ON_ITS_WAY:
        return PROCESSING_FAILURE
    if instance in committed:
        return 0
    return PROCESSING_FAILURE if instance in lines else NO_SUCH_INSTANCE


class Commitments:
    """`peer(calling AE, address)`: where a report goes when the association that asked is over; None: nowhere."""

    def __init__(
        self, store: Store, outbox: Outbox, *, ae_title: str, peer: Callable[[str, str], Address | None],
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._store, self._outbox, self._ae_title, self._peer = store, outbox, ae_title, peer
        self._patience, self._stop = patience, threading.Event()
        self._lock, self._looking = threading.Lock(), threading.Lock()  # one looks at a time: instances come meanwhile
        self._running: set[threading.Thread] = set()

    def begin(self, asked: Asked, line: Line) -> bool:
        """False: too many are under way."""
        thread = threading.Thread(target=self._run, args=(asked, line), name="commitment", daemon=True)
        with self._lock:
            if len(self._running) >= MOST or self._stop.is_set():
                return False
            try:
                thread.start()  # in here: `close` joins what it finds, and only what runs can be joined
            except RuntimeError:  # no more threads for now
                return False
            self._running.add(thread)
        return True

    def close(self, seconds: float) -> None:
        """What is under way is reported as it is now."""
        self._stop.set()
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join(seconds / len(running))

    def _run(self, asked: Asked, line: Line) -> None:
        log = structlog.get_logger()
        try:
            verdicts = self._wait(asked)
            told = line.report(asked, verdicts) or self._dial(asked, verdicts)
        except Retry as err:
            log.error("commitment.failed", reason=err.reason)
        else:
            failed = sum(map(bool, verdicts.values()))
            log.info("commitment.reported" if told else "commitment.unheard", instances=len(verdicts), refused=failed)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())

    def _wait(self, asked: Asked) -> Verdicts:
        """Raises Retry when the state does not answer."""
        waited, pause, ledgers = 0.0, FIRST_LOOK, Ledgers(self._outbox)
        while True:
            stopped = self._stop.wait(pause)
            waited += pause
            with self._looking:
                now = found(self._store, ledgers, asked)
            if stopped or not now.waits or waited >= self._patience:
                return now.verdicts
            pause = min(pause * 1.5, LONGEST_LOOK)

    def _dial(self, asked: Asked, verdicts: Verdicts) -> bool:
        peer = self._peer(asked.calling_ae, asked.address)
        if peer is None:
            structlog.get_logger().warning("commitment.no-address")
            return False
        for _ in range(TRIES):
            try:
                dial(peer, self._ae_title, asked, verdicts)
            except Retry as err:
                structlog.get_logger().warning("commitment.retry", reason=err.reason)
                if self._stop.wait(AGAIN):
                    return False
            else:
                return True
        return False
