"""One arriving instance: admission, cleaning, keeping, and only then an answer (clean before acknowledged)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

import structlog

from gateway.cstore.admission import SETTLED, Claim, Row, claims, why_not_kept
from gateway.cstore.recent import Recent
from gateway.dicom.layouts import Layouts
from gateway.dicom.part10 import DEFLATED, Ids
from gateway.dicom.server import OUT_OF_RESOURCES, SUCCESS, Incoming
from gateway.errors import Refused, Retry
from gateway.model import Buffer, Dropped, Held, Kept, LedgerLine, Outcome
from gateway.state.holding import DISCARDED

NOT_AUTHORISED: Final = 0x0124  # PS3.7 C.5.6
CANNOT_UNDERSTAND: Final = 0xC000  # PS3.4 table B.2-1
REMEMBERED: Final = 1.0
"""Seconds that an answer of the store or a ledger may be old."""

LEAK: Final = "verify."
PATIENT_DIFFERS: Final = "patient.differs"
NOBODY_MERGED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})


class Store(Protocol):
    def expected(self, StudyInstanceUID: str) -> Sequence[Row]: ...
    def instance_hash(self, SOPInstanceUID: str) -> str: ...
    def series_hash(self, SeriesInstanceUID: str) -> str: ...
    def has_receipt(self, series_key: str, instance: str) -> bool: ...
    def tell(self, series_key: str, event: str, *, reason: str, now: float, once: bool) -> bool: ...


class Stored(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def checksum(self) -> str: ...
    @property
    def new(self) -> bool: ...


class Files(Protocol):
    def keep(self, series: str, SOPInstanceUID: str, parts: Sequence[Buffer]) -> Stored: ...
    def note(self, series: str, line: LedgerLine) -> None: ...
    def drop(self, series: str, name: str) -> None: ...
    def set_aside(self, series: str, name: str) -> None: ...


class Outbox(Files, Protocol):
    @property
    def held(self) -> Files | None: ...
    def ledger(self, series: str) -> Mapping[str, LedgerLine]: ...
    def checksums(self, series: str) -> Mapping[str, set[str]]: ...


class Cleaner(Protocol):
    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped: ...


class Unasked(Protocol):
    """What a series that nobody asked for may become (cstore.push.Push)."""

    def admit(self, ids: Ids, data: Buffer, transfer_syntax: str, rows: Sequence[Row]) -> Sequence[Row]: ...


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, seconds: float, **labels: str) -> None: ...


@dataclass(frozen=True)
class Arrival:
    """One instance on its way in, known by its keyed hash."""

    instance: str
    data: Buffer = field(repr=False)
    transfer_syntax: str
    patient: str = field(default="", repr=False)


class Receive:
    """Thread-safe: associations call `store` at the same time, as do other processes with the same outbox."""

    def __init__(  # noqa: PLR0913  what an instance meets on its way
        self,
        *,
        store: Store,
        outbox: Outbox,
        cleaners: Mapping[str, Cleaner],
        count: Count,
        clock: Callable[[], float],
        unasked: Unasked | None = None,
        aliases: Mapping[str, Mapping[str, str]] = NOBODY_MERGED,
    ) -> None:
        """`aliases`: by project, patient ID -> the one that it was merged into."""
        self._aliases = aliases
        self._store, self._outbox, self._cleaners, self._count = store, outbox, cleaners, count
        self._unasked, self._clock = unasked, clock
        self._expected: Recent[str, Sequence[Row]] = Recent(store.expected, seconds=REMEMBERED, clock=clock)
        self._ledger: Recent[str, Mapping[str, LedgerLine]] = Recent(outbox.ledger, seconds=REMEMBERED, clock=clock)
        self._inflating = threading.Lock()  # a few KB may become a hundred MB: one at a time
        self._layouts = Layouts()
        self._log = structlog.get_logger().bind()  # once: its level is the process's, and most is told below it

    def store(self, incoming: Incoming) -> int:
        """The DIMSE status: 0x0000 only when what every project keeps of it is on stable storage."""
        started = time.perf_counter()
        try:
            status = self._take(incoming)
        except Retry as err:
            status = self._unable("", err.reason)
        self._count.observe("store_seconds", time.perf_counter() - started)
        return status

    def _take(self, incoming: Incoming) -> int:
        try:
            ids = self._layouts.peek(incoming.data, incoming.transfer_syntax)
        except Refused as err:
            self._tell("", Outcome.REFUSED, reason=err.reason)
            return CANNOT_UNDERSTAND  # whose it is cannot be told, so it cannot be accounted for either
        rows = self._rows(ids, incoming)
        if not rows:
            self._tell("", Outcome.UNSOLICITED, reason="study.unsolicited")
            return NOT_AUTHORISED
        instance = self._store.instance_hash(ids.SOPInstanceUID)
        arrival = Arrival(instance, incoming.data, incoming.transfer_syntax, ids.PatientID)
        wanted = claims(rows, self._store.series_hash(ids.SeriesInstanceUID))
        return max([self._serve(claim, arrival) for claim in wanted])  # SUCCESS is the lowest: each project is served

    def _rows(self, ids: Ids, incoming: Incoming) -> Sequence[Row]:
        rows = self._expected.get(ids.StudyInstanceUID)
        if self._unasked is None:
            return rows
        more = self._unasked.admit(ids, incoming.data, incoming.transfer_syntax, rows)
        if more is not rows:
            self._expected.forget(ids.StudyInstanceUID)
        return more

    def _serve(self, claim: Claim, arrival: Arrival) -> int:
        """One project's part. What was kept before something failed is a duplicate when the instance comes again."""
        self._count.add("received_bytes_total", len(arrival.data), project=claim.project)
        try:
            self._settle(claim, arrival)
        except Refused as err:  # a name that the outbox does not take
            self._drop(claim, arrival, Dropped(Outcome.REFUSED, err.reason))
        except Retry as err:  # of the database it is nobody's deferral: the daemon hears it, and asks for nothing more
            return self._unable("" if err.reason.startswith("state.") else claim.project, err.reason)
        except OSError as err:
            return self._unable(claim.project, f"disk.errno-{err.errno or 0}")
        return SUCCESS

    def _settle(self, claim: Claim, arrival: Arrival) -> None:
        dropped = why_not_kept(
            claim,
            lambda key: self._ledger.get(key).get(arrival.instance),
            lambda key: self._store.has_receipt(key, arrival.instance),
        )
        if dropped is None and claim.row is not None:
            result = self._clean(claim.row, arrival)
            if isinstance(result, Kept | Held):
                self._keep(claim.row, arrival, self._of_its_patient(result, claim.row, arrival))
                return
            dropped = result
        if dropped is not None:
            self._drop(claim, arrival, dropped)

    def _clean(self, row: Row, arrival: Arrival) -> Kept | Held | Dropped:
        cleaner = self._cleaners.get(row.project)
        if cleaner is None:  # the row outlived its project's section in the configuration
            return Dropped(Outcome.EXCLUDED, "project.not-configured")
        started = time.perf_counter()
        with self._inflating if arrival.transfer_syntax in DEFLATED else contextlib.nullcontext():
            result = cleaner.clean(arrival.data, arrival.transfer_syntax, row.own)
        self._count.observe("deidentify_seconds", time.perf_counter() - started)
        return result

    def _keep(self, row: Row, arrival: Arrival, clean: Kept | Held) -> None:
        """Into the outbox, or, while its pixels are not proven clean, into the held folder: both are stable storage."""
        files, outcome, reason = self._where(clean)
        noted = self._ledger.get(row.key).get(arrival.instance) if outcome is Outcome.HELD else None
        if noted and _is_decided(noted):
            self._keep_again(row, noted)
            return
        stored = files.keep(row.key, clean.SOPInstanceUID, clean.parts)
        if reason.startswith(PATIENT_DIFFERS):  # no screening of its pixels can let it go
            files.note(row.key, LedgerLine(arrival.instance, outcome, reason, stored.name))
        noted = None if stored.new else self._noted(row.key, arrival.instance)
        if noted and noted.outcome is outcome and self._is_spoilt(row.key, noted, stored):
            (files.set_aside if outcome is Outcome.KEPT else files.drop)(row.key, stored.name)
            stored, noted = files.keep(row.key, clean.SOPInstanceUID, clean.parts), None
        if noted:
            self._keep_again(row, noted)
            return
        line = LedgerLine(
            arrival.instance, outcome, reason, stored.name, stored.size, stored.checksum, profile=clean.profile
        )
        self._outbox.note(row.key, line)  # also when a crash left the file without its line
        self._tell(row.project, outcome, series=row.key, reason=reason)

    def _noted(self, key: str, instance: str) -> LedgerLine | None:
        """Of what came before. A whole ledger is read only for what those of a second ago do not tell."""
        return self._ledger.get(key).get(instance) or self._outbox.ledger(key).get(instance)

    def _is_spoilt(self, key: str, noted: LedgerLine, stored: Stored) -> bool:
        """It is none of what was received under its name, by the disk's fault."""
        if noted.checksum in ("", stored.checksum):
            return False
        told = {noted.checksum} | self._outbox.checksums(key).get(stored.name, set())
        return stored.checksum not in told

    def _keep_again(self, row: Row, noted: LedgerLine) -> None:
        if noted.outcome is Outcome.HELD:  # the line alone says so, and may never have reached the disk
            self._outbox.note(row.key, noted)
        self._tell(row.project, Outcome.DUPLICATE, series=row.key, reason="instance.duplicate")

    def _of_its_patient(self, clean: Kept | Held, row: Row, arrival: Arrival) -> Kept | Held:
        """Held where its header names another patient than C-FIND did, or else the RIS (D6): whose it is, a person decides."""
        merged, told = self._aliases.get(row.project, {}), (row.patient, arrival.patient)
        one, other = (merged.get(patient, patient) for patient in told)
        if not row.patient or one == other or not all(text.isascii() for text in told):
            return clean
        reason = f"{PATIENT_DIFFERS}.{clean.reason}" if isinstance(clean, Held) else PATIENT_DIFFERS
        return Held(clean.parts, clean.SOPInstanceUID, clean.profile, reason)

    def _where(self, clean: Kept | Held) -> tuple[Files, Outcome, str]:
        if isinstance(clean, Kept):
            return self._outbox, Outcome.KEPT, ""
        if self._outbox.held is None:
            raise Retry("outbox.no-held-folder", charge=False)
        return self._outbox.held, Outcome.HELD, clean.reason

    def _drop(self, claim: Claim, arrival: Arrival, dropped: Dropped) -> None:
        key = claim.row.key if claim.row else ""
        # Only while it is being retrieved: what is noted of a failed or excluded series would count when it is retried,
        # and of a project that is gone when its section is back.
        retrieved = claim.row and claim.row.state == "planned" and claim.project in self._cleaners
        if retrieved and dropped.outcome is not Outcome.DUPLICATE:
            self._outbox.note(key, LedgerLine(arrival.instance, dropped.outcome, dropped.reason))
        if claim.row and claim.row.state in SETTLED and dropped.outcome is Outcome.REFUSED:
            self._refused_late(claim.row, dropped.reason)
        if dropped.reason.startswith(LEAK):
            self._count.add("leaks_blocked_total", project=claim.project)
        self._tell(claim.project, dropped.outcome, series=key, reason=dropped.reason)

    def _refused_late(self, row: Row, reason: str) -> None:
        """No count of its series has it any more: the history alone says that it came, and why it is not kept. Once: the same may
        come each night."""
        if self._store.tell(row.key, "refused", reason=reason, now=self._clock(), once=True):
            self._log.error("instance.refused", project=row.project, series=row.key, reason=reason)

    def _tell(self, project: str, outcome: Outcome, *, series: str = "", reason: str = "") -> None:
        self._count.add("instances_received_total", project=project, result=outcome.value)
        self._log.debug(f"instance.{outcome.value}", project=project, series=series, reason=reason)

    def _unable(self, project: str, reason: str) -> int:
        """Our own passing inability: the sender keeps it and sends it again."""
        self._count.add("instances_received_total", project=project, result="deferred")
        self._log.error("instance.deferred", project=project, reason=reason)
        return OUT_OF_RESOURCES


def _is_decided(line: LedgerLine) -> bool:
    """What is held, or was, is not held a second time: released it is in the outbox, and what a person discarded stays out."""
    return line.outcome in (Outcome.HELD, Outcome.KEPT) or line.reason == DISCARDED
