"""Our Storage SCP: C-ECHO and C-STORE on a listening socket that somebody else made (PS3.4 A.4, B.2).

Knows peers, presentation contexts and deadlines; what an instance is and what becomes of it is `on_store`'s business.
pynetdicom negotiates; `lean` moves the bytes of C-STOREs, or pynetdicom where it cannot; the data set is handed on undecoded.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association

from gateway.dicom import lean
from gateway.dicom.commitment import PUSH_MODEL, CommitmentService, Transactions
from gateway.dicom.contexts import MAX_UID, StorageClasses
from gateway.dicom.dimse import VERIFICATION, Stored, text
from gateway.dicom.gather import Gatherer
from gateway.dicom.incoming import NORMAL, Incoming, Limits, arrived, asked, from_event
from gateway.dicom.listener import (
    CALLED_AE_UNKNOWN,
    CALLING_AE_UNKNOWN,
    LIMIT_EXCEEDED,
    Listener,
    Rejection,
    end,
    lives,
    reject,
    rejection_pdu,
    threads_alive,
    wait_for,
    wake_if_unasked,
)
from gateway.dicom.sockets import quicken
from gateway.dicom.tls import Doorstep, acceptor
from gateway.dicom.turnstile import Turnstile
from gateway.dicom.waiting import attend, dismiss
from gateway.errors import GatewayError, Retry
from gateway.ops.log import described
from gateway.settings import Tls

SUCCESS: Final = 0x0000
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122  # PS3.7 C.5.9
CRASHED: Final = 0xC211  # "cannot understand" (PS3.4 table B.2-1); what pynetdicom says when a handler breaks
OUT_OF_RESOURCES: Final = 0xA700  # PS3.4 table B.2-1: our own passing inability
SWITCH: Final = 0.0005
"""Seconds that an association which computes may keep the interpreter from one that has just read; of the process, which does
nothing but receive. Python's own 5 ms, paid after each receive, halved what two associations at once got through."""

__all__ = [
    "CRASHED", "OUT_OF_RESOURCES", "SOP_CLASS_NOT_SUPPORTED", "SUCCESS", "Count", "Incoming", "Limits", "StorageServer",
]  # fmt: skip


class Count(Protocol):
    def add(self, name: str, value: float = 1, **labels: str) -> None: ...
    def set(self, name: str, value: float, **labels: str) -> None: ...


class StorageServer:
    """`admit(calling AE, address)`: who may store; Retry: nobody can tell now. `on_store`: the DIMSE status. `serve` runs once.

    `is_stranger(address)`: nobody from there is admitted, so it is told at once and takes no room. `paused`: why no association is
    taken for a while; while it says nothing, they are. `spool`: the folder in whose file system the pixels of large objects wait,
    in files without a name; without it they wait in memory. `tls`: no other peers are served. `ahead(connections)`: is told how
    many there are, and says whether another process on the same listener has fewer.
    """

    def __init__(  # noqa: PLR0913  everything a receiver is made of
        self,
        ae_title: str,
        listener: socket.socket,
        *,
        admit: Callable[[str, str], bool],
        on_store: Callable[[Incoming], int],
        max_associations: int,
        count: Count,
        is_stranger: Callable[[str], bool] = lambda _: False,
        paused: Callable[[], str] = lambda: "",
        spool: Path | None = None,
        tls: Tls | None = None,
        commitments: Transactions | None = None,
        ahead: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._ae_title, self._listener, self._paused = ae_title, listener, paused
        self._admit, self._is_stranger, self._on_store, self._count = admit, is_stranger, on_store, count
        self._max, self._ahead = max_associations, ahead
        self._gather = Gatherer(spool)
        self._lean: lean.Lean | None = None
        self._tls = acceptor(tls) if tls else None
        self._doorstep: Doorstep | None = None
        self._commitment = CommitmentService(commitments) if commitments else None
        self._classes = StorageClasses(frozenset({PUSH_MODEL} if commitments else ()))
        self._lock = threading.Lock()
        self._connected: list[Association] = []
        self._admitted: list[Association] = []
        self._published = -1
        self._log = structlog.get_logger()

    def serve(self, stop: threading.Event, limits: Limits = NORMAL) -> None:
        """Accepts until `stop` is set, lets running associations end, aborts the rest. Leaves no pynetdicom thread."""
        _take_peers_as_they_are()
        sys.setswitchinterval(SWITCH)
        self._lean = self._lean_path(limits)
        if self._tls:
            self._doorstep = Doorstep(self._tls, seconds=limits.acse, refused=self._rejected)
        turnstiles = self._turnstiles(limits.acse)
        server = Listener(
            self._entity(limits),
            self._listener,
            handlers=self._handlers(limits),
            welcome=self._welcome,
            ahead=lambda: self._ahead(self._connections()),
            report=self._log.warning,
            doorstep=self._doorstep,
            turnstiles=turnstiles,
        )
        while not stop.is_set():
            server.handle_request()
            self._publish()
        server.server_close()
        for turnstile in turnstiles.values():
            turnstile.close()
        if self._doorstep:
            self._doorstep.close()
        if self._commitment:
            self._commitment.close()
        self._drain(limits.drain)

    def _turnstiles(self, seconds: float) -> dict[Rejection, Turnstile]:
        """A stranger is counted once it says something: the empty connections of a load balancer or a port scan are none.

        Over TLS there is no word for either: strangers are hung up on when they speak, those who are too many at once.
        """
        word = b"" if self._tls else rejection_pdu(CALLING_AE_UNKNOWN)
        strangers = Turnstile(word, seconds=seconds, spoke=lambda: self._rejected("calling-ae"))
        crowd = {} if self._tls else {LIMIT_EXCEEDED: Turnstile(rejection_pdu(LIMIT_EXCEEDED), seconds=seconds)}
        return {CALLING_AE_UNKNOWN: strangers, **crowd}

    def _lean_path(self, limits: Limits) -> lean.Lean | None:
        if not lean.available():
            self._log.warning("server.not-lean")
            return None
        deadlines = lean.Deadlines(limits.pdu, limits.idle)
        return lean.Lean(self._answer, gather=self._gather, longest=limits.pdu_size, deadlines=deadlines)

    def _entity(self, limits: Limits) -> AE:
        ae = AE(self._ae_title)
        ae.maximum_pdu_size = limits.pdu_size
        ae.acse_timeout, ae.network_timeout, ae.dimse_timeout = limits.acse, limits.idle, limits.idle
        ae.maximum_associations = 1 << 30  # counted here: pynetdicom counts silent sockets too
        return ae

    def _handlers(self, limits: Limits) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, self._on_connected, [limits.pdu]),
            (evt.EVT_CONN_CLOSE, self._on_closed),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_STORE, self._on_c_store),
            *(self._commitment.handlers() if self._commitment else ()),
        ]

    def _drain(self, seconds: float) -> None:
        if self._lean:
            self._lean.stop()
        with self._lock:
            running = [a for a in self._connected if threads_alive(a)]
        late = wait_for(running, time.monotonic() + seconds)
        if late:
            end(late)
            self._log.warning("associations.aborted", count=len(late))
        self._publish()

    # -- admission ---------------------------------------------------------------------------------------------

    def _welcome(self, address: str) -> Rejection | None:
        """None: one more. TCP connections may exceed associations (silent ones, those being refused), but not without bound."""
        if self._is_stranger(address):
            return CALLING_AE_UNKNOWN
        welcome = self._connections() < 4 * self._max + 16
        if not welcome:
            self._rejected("connections")
        return None if welcome else LIMIT_EXCEEDED

    def _connections(self) -> int:
        with self._lock:
            self._connected = [a for a in self._connected if lives(a)]
            return len(self._connected) + len(self._doorstep or ())

    def _on_connected(self, event: evt.Event, pdu_seconds: float) -> None:
        with self._lock:
            self._connected.append(event.assoc)
        quicken(event.assoc, pdu_seconds)
        attend(event.assoc)

    def _on_closed(self, event: evt.Event) -> None:
        dismiss(event.assoc)
        wake_if_unasked(event.assoc)

    def _on_requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        refused = self._why_not(assoc)
        if refused:
            reason, rejection = refused
            self._rejected(reason)
            reject(assoc, rejection)
            return
        proposed = asked(assoc).presentation_context_definition_list
        assoc.acceptor.supported_contexts = self._classes.supported(proposed)
        if self._lean:
            self._lean.attend(assoc)

    def _why_not(self, assoc: Association) -> tuple[str, Rejection] | None:
        """None: admitted, and counted as one of `max_associations` from here on."""
        request = asked(assoc)
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        try:
            if not self._admit(calling, assoc.requestor.address or ""):
                return "calling-ae", CALLING_AE_UNKNOWN
        except Retry:  # whose name nobody can resolve now may well be known later
            return "unresolved", LIMIT_EXCEEDED
        if called != self._ae_title:
            return "called-ae", CALLED_AE_UNKNOWN
        paused = self._paused()
        if paused:
            return paused, LIMIT_EXCEEDED
        with self._lock:
            self._admitted = [a for a in self._admitted if _open(a)]
            if len(self._admitted) >= self._max:
                return "limit", LIMIT_EXCEEDED
            self._admitted.append(assoc)
        return None

    def _rejected(self, reason: str) -> None:
        self._count.add("associations_rejected_total", reason=reason)
        self._log.warning("association.rejected", reason=reason)

    def _publish(self) -> None:
        self._ahead(self._connections())
        with self._lock:
            self._admitted = [a for a in self._admitted if _open(a)]
            number = len(self._admitted)
        if number != self._published:
            self._count.set("associations", number, direction="in")
            self._published = number

    # -- storage -----------------------------------------------------------------------------------------------

    def _answer(self, assoc: Association, stored: Stored) -> int:
        """The lean path's C-STORE. A mistake of the program costs one instance, not the association, as in pynetdicom's."""
        request = stored.request
        sop_class = text(request.sop_class)
        if sop_class == VERIFICATION or not self._classes.accepts(sop_class):
            return SOP_CLASS_NOT_SUPPORTED
        status = None
        with contextlib.suppress(Exception):  # it is reported by `_store`
            status = self._store(lambda: arrived(assoc, stored))
        return CRASHED if status is None else status

    def _on_c_store(self, event: evt.Event) -> int:
        """pynetdicom's."""
        return self._store(lambda: from_event(event))

    def _store(self, incoming: Callable[[], Incoming]) -> int:
        status = None
        try:
            status = self._on_store(incoming())
        except GatewayError as err:
            self._log.error("store.failed", reason=err.reason)
            status = OUT_OF_RESOURCES
        finally:
            if status is None:  # a mistake of the program: answered with 0xC211
                error = sys.exception()
                self._log.error("store.crashed", **(described(error) if error else {}))
        return status


def _open(assoc: Association) -> bool:
    return assoc.is_alive() and not (assoc.is_released or assoc.is_aborted or assoc.is_rejected)


def _take_peers_as_they_are() -> None:
    """Illegal UIDs and AE titles outside ASCII would end the association unseen; they are opaque to us (catalogue D4, B18)."""
    _config.VALIDATORS["UI"] = lambda value: (len(value) <= 4 * MAX_UID, "")
    _config.CODECS = ("ascii", "latin-1")
