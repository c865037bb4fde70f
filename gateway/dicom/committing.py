"""Storage Commitment as SCU: N-ACTION asked, N-EVENT-REPORT awaited, on the same association or on one of the archive's (PS3.4 J).

An archive may report on the association that asked, or dial us: for that a port of ours is open while we wait. Whatever comes for
another transaction, or from another AE, is not taken.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from gateway.dicom.association import Deadlines
from gateway.dicom.commitment import PUSH_INSTANCE, PUSH_MODEL, RESOURCES, SUCCESS, Asked, Reference, information
from gateway.dicom.identifier import text
from gateway.dicom.incoming import asked as request_of
from gateway.dicom.listener import LIMIT_EXCEEDED, Listener, end
from gateway.dicom.models import SYNTAXES, Address
from gateway.dicom.sockets import quicken
from gateway.dicom.status import CONFIG_PAUSE
from gateway.dicom.storing import opened
from gateway.dicom.tls import Doorstep, acceptor
from gateway.errors import Fatal, Retry
from gateway.settings import Tls

NOT_OURS: Final = 0x0110  # processing failure, PS3.7 annex C
CLOSING: Final = 4.0  # seconds for the end of what is under way
SILENT: Final = 8.0  # seconds that who dials us may say nothing
LOOK: Final = 0.25  # seconds between signs of life while we wait
MOST: Final = 16  # connections to the port for reports at once; others are hung up on


@dataclass(frozen=True)
class Report:
    """What an archive said of a transaction; None for a code: it gave none."""

    committed: frozenset[str] = field(repr=False)
    failed: frozenset[str] = field(repr=False)


class Waiting:
    """One transaction, until its report comes."""

    def __init__(self, transaction: str, archive_ae: str) -> None:
        self.transaction, self._archive_ae = transaction, archive_ae
        self._came = threading.Event()
        self.report: Report | None = None
        self.on: Association | None = None  # which it came on

    def handlers(self, deadlines: Deadlines) -> list[evt.EventHandlerType]:
        return [(evt.EVT_N_EVENT_REPORT, self._on_report), (evt.EVT_CONN_OPEN, _hurry(deadlines))]

    def _on_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        told = event.event_information
        if text(told, "TransactionUID") != self.transaction or not self._is_archive(event.assoc):
            return NOT_OURS, None
        self.report = Report(_uids(told, "ReferencedSOPSequence"), _uids(told, "FailedSOPSequence"))
        self.on = event.assoc
        self._came.set()
        return SUCCESS, None

    def _is_archive(self, assoc: Association) -> bool:
        return assoc.is_requestor or request_of(assoc).calling_ae_title.strip() == self._archive_ae

    def wait(self, seconds: float, alive: Callable[[], None]) -> Report | None:
        """`alive` is called while we wait, and may raise."""
        for _ in range(max(1, int(seconds / LOOK))):
            if self._came.wait(LOOK):
                break
            alive()
        return self.report


@dataclass(frozen=True)
class Asking:
    """How to ask. `report_port`: where the archive may dial us, None for nowhere; `seconds`: how long a report may take."""

    calling_ae: str
    report_port: int | None
    seconds: float
    deadlines: Deadlines = field(default_factory=Deadlines)


def commit(
    archive: Address, references: Sequence[Reference], asking: Asking, alive: Callable[[], None]
) -> Report | None:
    """What the archive reports; None when it says nothing in time. Raises Retry(charge=False).

    sink.no-commitment: it does not offer the service; sink.port: the port for reports is taken; and those of `opened`.
    """
    waiting = Waiting(str(generate_uid()), archive.ae_title)
    with _listening(archive, waiting, asking):
        assoc = opened(
            archive, asking.calling_ae, [build_context(PUSH_MODEL, [*SYNTAXES])], deadlines=asking.deadlines,
            handlers=[(evt.EVT_N_EVENT_REPORT, waiting.handlers(asking.deadlines)[0][1])],
        )  # fmt: skip
        left = _answers(assoc)
        try:
            _ask(assoc, waiting.transaction, references)
            report = waiting.wait(asking.seconds, alive)
            if waiting.on is assoc:
                left.wait(CLOSING)
            return report
        finally:
            if assoc.is_established:
                assoc.acse_timeout = asking.deadlines.release
                assoc.acse.negotiate_release()  # `release` would pause the reactor, and wait for one that has ended


def _answers(assoc: Association) -> threading.Event:
    """Set when our response to a report is on its way: the association must not be released before (see `commitment`)."""
    left, plain = threading.Event(), assoc.dimse.send_msg

    def send(primitive: Any, context_id: int) -> None:
        plain(primitive, context_id)
        if isinstance(primitive, N_EVENT_REPORT):
            left.set()

    assoc.dimse.send_msg = send  # type: ignore[method-assign]
    return left


def _ask(assoc: Association, transaction: str, references: Sequence[Reference]) -> None:
    asked = Asked("", "", transaction, tuple(references))
    told = information(asked, dict.fromkeys(references, 0))
    try:
        status, _ = assoc.send_n_action(told, 1, PUSH_MODEL, PUSH_INSTANCE)
    except RuntimeError:
        raise Retry("sink.aborted", "the association had ended", charge=False) from None
    if "Status" not in status:
        raise Retry("sink.timeout", "no answer to N-ACTION", charge=False)
    if status.Status == RESOURCES:
        raise Retry("sink.busy", "the archive takes no more requests for commitment now", charge=False)
    if status.Status != SUCCESS:
        raise Retry("sink.no-commitment", f"N-ACTION: 0x{status.Status:04X}", after=CONFIG_PAUSE, charge=False)


@contextmanager
def _listening(archive: Address, waiting: Waiting, asking: Asking) -> Iterator[None]:
    """A port of ours on which the archive may report, as the SCP that it is (PS3.7 D.3.3.4). Raises Retry: sink.port, .tls."""
    if asking.report_port is None:
        yield
        return
    doorstep = _doorstep(archive.tls)
    try:
        listener = socket.create_server(("", asking.report_port))
    except OSError:
        raise Retry("sink.port", "the port for reports is taken", charge=False) from None
    server = Listener(
        _entity(asking.calling_ae), listener, handlers=waiting.handlers(asking.deadlines),
        welcome=lambda _: LIMIT_EXCEEDED if len(server.active_associations) + len(doorstep or ()) >= MOST else None,
        ahead=lambda: False, report=structlog.get_logger().warning, doorstep=doorstep,
    )  # fmt: skip
    over = threading.Event()
    accepting = threading.Thread(target=_accept, args=(server, over), name="reports", daemon=True)
    try:
        accepting.start()
        yield
    finally:
        until = time.monotonic() + CLOSING
        for assoc in server.active_associations:
            assoc.join(max(0.0, until - time.monotonic()))  # the archive ends what it began
        over.set()
        if accepting.ident is not None:
            accepting.join()
        server.server_close()
        if doorstep:
            doorstep.close()
        end(server.active_associations)  # it would refuse the report of another transaction


def _entity(calling_ae: str) -> AE:
    ae = AE(calling_ae)
    ae.add_supported_context(PUSH_MODEL, SYNTAXES, scu_role=True, scp_role=True)
    ae.acse_timeout, ae.dimse_timeout, ae.network_timeout = SILENT, 30.0, 60.0
    return ae


def _doorstep(tls: Tls | None) -> Doorstep | None:
    """Who shows no certificate in time, or says nothing, is in nobody's way."""
    if tls is None or tls.certificate is None:
        return None
    log = structlog.get_logger()
    try:
        context = acceptor(tls)
    except Fatal as err:  # a certificate that will not do may be in the midst of being renewed
        raise Retry("sink.tls", err.detail, after=CONFIG_PAUSE, charge=False) from None
    return Doorstep(context, seconds=SILENT, refused=lambda reason: log.warning("association.rejected", reason=reason))


def _accept(server: Listener, over: threading.Event) -> None:
    while not over.is_set():
        server.handle_request()


def _hurry(deadlines: Deadlines) -> Callable[[evt.Event], None]:
    def on_open(event: evt.Event) -> None:
        quicken(event.assoc, deadlines.pdu)

    return on_open


def _uids(told: Dataset, keyword: str) -> frozenset[str]:
    return frozenset(text(item, "ReferencedSOPInstanceUID") for item in told.get(keyword) or ())
