"""Storage Commitment as SCP: N-ACTION taken, N-EVENT-REPORT sent, on the same association or on one of our own (PS3.4 J.3).

What is committed is others' business. A report goes out beside pynetdicom's reactor, never through its pauses: these wait for
ever when the association ends at that moment. So its response is sorted out of the queue of messages, and they leave one by one.

Leaned on in pynetdicom 3.0.4, held by tests/dicom/test_commitment.py: `dimse.send_msg(primitive, context ID)` sends from any
thread; `dimse.msg_queue.put((context ID, primitive))` is how a message arrives; `acse.negotiate_release()` takes nothing that the
reactor would.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final, Protocol, cast

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode

from gateway.dicom.association import LAST_ID, Deadlines
from gateway.dicom.identifier import text
from gateway.dicom.incoming import asked as request_of
from gateway.dicom.models import SYNTAXES, Address
from gateway.dicom.requesting import associate
from gateway.dicom.waiting import PatientQueue
from gateway.errors import Retry

PUSH_MODEL: Final = UID("1.2.840.10008.1.20.1")
PUSH_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
SUCCESS, NO_SUCH_INSTANCE, INVALID_ARGUMENT = 0x0000, 0x0112, 0x0115  # PS3.7 annex C
PROCESSING_FAILURE, NO_SUCH_ACTION, RESOURCES = 0x0110, 0x0123, 0x0213
ALL_COMMITTED, SOME_FAILED = 1, 2  # event types, PS3.4 table J.3-4
MOST_REFERENCES: Final = 100_000
ANSWERED: Final = 10.0  # seconds for our response to the N-ACTION to leave
CLOSING: Final = 4.0  # seconds for the last reports of a server that stops
REPLY: Final = 30.0  # seconds for the peer to answer a report


@dataclass(frozen=True)
class Reference:
    """An instance as the peer names it."""

    SOPClassUID: str = field(repr=False)
    SOPInstanceUID: str = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """One transaction. `calling_ae`, `address`: of whom wants to know."""

    calling_ae: str = field(repr=False)
    address: str
    transaction: str = field(repr=False)
    references: tuple[Reference, ...] = field(repr=False)


Verdicts = Mapping[Reference, int]
"""0 for what is committed, else the Failure Reason (PS3.3 C.14.1.1)."""


class SortedQueue(PatientQueue):
    """Responses to our reports are not for the reactor."""

    replies: queue.Queue[Any]

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        reply = isinstance(item[1], N_EVENT_REPORT) and item[1].MessageIDBeingRespondedTo is not None
        if reply:
            self.replies.put(item[1])
        else:
            super().put(item, block, timeout)


class Line:
    """An association on which a report may go out as long as it is open."""

    def __init__(self, assoc: Association) -> None:
        self._assoc, self._lock, self._answered = assoc, threading.Lock(), threading.Event()
        self._reporting = threading.Lock()
        self._number = 0  # of the last report: unique among those that wait for an answer (PS3.7 9.1)
        self._replies: queue.Queue[N_EVENT_REPORT] = queue.Queue()
        self._plain = assoc.dimse.send_msg
        assoc.dimse.send_msg = self._send  # type: ignore[method-assign]
        messages = assoc.dimse.msg_queue
        if not isinstance(messages, PatientQueue):
            messages = assoc.dimse.msg_queue = SortedQueue()
        messages.__class__ = SortedQueue  # in place: others have it already
        cast(SortedQueue, messages).replies = self._replies

    @property
    def is_open(self) -> bool:
        return self._assoc.is_established

    def _send(self, primitive: Any, context_id: int) -> None:
        """Fragments of two messages must not mix."""
        with self._lock:
            self._plain(primitive, context_id)
        if isinstance(primitive, N_ACTION):
            self._answered.set()

    def report(self, asked: Asked, verdicts: Verdicts) -> bool:
        """On the association that asked. False: it is over, or the peer did not answer."""
        return self._answered.wait(ANSWERED) and self.send(asked, verdicts)

    def send(self, asked: Asked, verdicts: Verdicts) -> bool:
        context = next((c for c in self._assoc.accepted_contexts if c.abstract_syntax == PUSH_MODEL), None)
        if context is None or context.context_id is None or not self.is_open:
            return False
        syntax = context.transfer_syntax[0]
        report = N_EVENT_REPORT()
        report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = PUSH_MODEL, UID(PUSH_INSTANCE)
        report.EventTypeID = SOME_FAILED if any(verdicts.values()) else ALL_COMMITTED
        told = information(asked, verdicts)
        report.EventInformation = BytesIO(encode(told, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        with self._reporting:
            self._number = report.MessageID = self._number % LAST_ID + 1
            self._send(report, context.context_id)
            return self._reply() == SUCCESS

    def _reply(self) -> int:
        """-1: none came. One that is late is of an earlier report, and says nothing of this."""
        for _ in range(int(REPLY / 0.2)):
            try:
                reply = self._replies.get(timeout=0.2)
            except queue.Empty:
                if not self.is_open:
                    return -1
            else:
                if (reply.MessageIDBeingRespondedTo or 0) >= self._number:
                    return int(reply.Status or 0)
        return -1


class Transactions(Protocol):
    """What is committed, and the waiting for it (cstore.commitment.Commitments)."""

    def begin(self, asked: Asked, line: Line) -> bool:
        """False when there is no room for one more transaction."""

    def close(self, seconds: float) -> None:
        """Reports what is known, and ends."""


class CommitmentService:
    """Takes N-ACTIONs on whatever association has the presentation context."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._lock = threading.Lock()
        self._lines: dict[Association, Line] = {}

    def close(self) -> None:
        """Before associations are drained: they may carry the last reports."""
        self._transactions.close(CLOSING)

    def handlers(self) -> list[evt.EventHandlerType]:
        return [(evt.EVT_N_ACTION, self._on_action)]

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        request = cast(N_ACTION, event.request)
        if request.RequestedSOPInstanceUID != PUSH_INSTANCE:
            return NO_SUCH_INSTANCE, None
        if request.ActionTypeID != 1:
            return NO_SUCH_ACTION, None
        if not request.ActionInformation:
            return INVALID_ARGUMENT, None
        asked = _asked(event.action_information, event.assoc)
        if not asked.transaction or not asked.references:
            return INVALID_ARGUMENT, None
        if len(asked.references) > MOST_REFERENCES or not self._transactions.begin(asked, self._line(event.assoc)):
            return RESOURCES, None
        return SUCCESS, None

    def _line(self, assoc: Association) -> Line:
        """One for an association, however often it asks."""
        with self._lock:
            self._lines = {a: line for a, line in self._lines.items() if a.is_alive()}
            if assoc not in self._lines:
                self._lines[assoc] = Line(assoc)
            return self._lines[assoc]


def _asked(information: Dataset, assoc: Association) -> Asked:
    items = information.get("ReferencedSOPSequence") or ()
    return Asked(
        request_of(assoc).calling_ae_title.strip(),
        assoc.requestor.address or "",
        text(information, "TransactionUID"),
        tuple(Reference(text(i, "ReferencedSOPClassUID"), text(i, "ReferencedSOPInstanceUID")) for i in items),
    )


def dial(peer: Address, calling_ae: str, asked: Asked, verdicts: Verdicts) -> None:
    """Reports on an association of our own, as its SCP (PS3.7 D.3.3.4). Raises Retry."""
    deadlines, lines = Deadlines(), list[Line]()
    ae = AE(calling_ae)
    ae.add_requested_context(PUSH_MODEL, SYNTAXES)
    ae.connection_timeout, ae.acse_timeout = deadlines.connect, deadlines.negotiate
    assoc = associate(
        ae, peer, "commitment", pdu=deadlines.pdu, ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
        handlers=[(evt.EVT_CONN_OPEN, lambda event: lines.append(Line(event.assoc)))],
    ).assoc  # fmt: skip
    if not assoc.is_established:
        raise Retry("commitment.unreachable", "no association for a report", charge=False)
    told = lines[-1].send(asked, verdicts)
    if assoc.is_established:
        assoc.acse.negotiate_release()  # `release` would pause the reactor
    if not told:
        raise Retry("commitment.unheard", "the report was not taken", charge=False)


def information(asked: Asked, verdicts: Verdicts) -> Dataset:
    """PS3.4 table J.3-2."""
    told = Dataset()
    _put(told, "TransactionUID", asked.transaction)
    committed = [_item(r) for r, reason in verdicts.items() if not reason]
    failed = [_item(r, reason) for r, reason in verdicts.items() if reason]
    if committed:
        _put(told, "ReferencedSOPSequence", Items(committed))
    if failed:
        _put(told, "FailedSOPSequence", Items(failed))
    return told


def _item(reference: Reference, reason: int = 0) -> Dataset:
    item = Dataset()
    _put(item, "ReferencedSOPClassUID", reference.SOPClassUID)
    _put(item, "ReferencedSOPInstanceUID", reference.SOPInstanceUID)
    if reason:
        _put(item, "FailureReason", reason)
    return item


def _put(ds: Dataset, keyword: str, value: str | int | Sequence[Dataset]) -> None:
    """As the peer wrote it, legal or not."""
    tag = tag_for_keyword(keyword)
    assert tag is not None  # of this file
    ds.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
