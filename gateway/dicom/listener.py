"""The accepting side of pynetdicom, adapted: serves on a listener it does not own, refuses politely, ends what will not end.

Semi-private pynetdicom 3.0.4 leaned on here, held by tests/dicom/test_server_contract.py: `AssociationServer` takes its
socket from `server_bind`; `Association.dul` is the thread that owns the TCP socket and dies by `kill_dul()`;
`Association._kill` ends the association's own loop; `acse.send_reject` then `kill()` is how an association is refused.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

from pynetdicom import evt, timer
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationServer

from gateway.dicom.sockets import QuickSocket
from gateway.dicom.tls import Doorstep
from gateway.dicom.turnstile import Turnstile

POLL: Final = 0.2  # seconds: how soon a stop is noticed, and how long a lost race for a connection may take
DEFER: Final = 0.02  # seconds in which another process has to take a connection that is its turn
ABORT_GRACE: Final = 2.0  # seconds for an A-ABORT to leave before the socket is shut

Rejection = tuple[int, int, int]
"""Result, source, diagnostic of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

CALLING_AE_UNKNOWN: Final[Rejection] = (1, 1, 3)
CALLED_AE_UNKNOWN: Final[Rejection] = (1, 1, 7)
LIMIT_EXCEEDED: Final[Rejection] = (2, 3, 2)


class Listener(AssociationServer):
    """Accepts on `listener`, which other processes share: it is closed here at the end, never shut down, never bound.

    `welcome(address)` says what a TCP connection is told that is not taken, None for one that is; `ahead()` whether another process
    has fewer, which then goes first. `report(ErrorClass name)` gets what broke accepting one. `doorstep`:
    where TLS begins; `turnstiles`: where those are told who are not welcome, who are hung up on without it.
    """

    def __init__(  # noqa: PLR0913  what a server is made of
        self,
        ae: ApplicationEntity,
        listener: socket.socket,
        *,
        handlers: list[evt.EventHandlerType],
        welcome: Callable[[str], Rejection | None],
        ahead: Callable[[], bool],
        report: Callable[[str], None],
        doorstep: Doorstep | None = None,
        turnstiles: Mapping[Rejection, Turnstile] = MappingProxyType({}),
    ) -> None:
        _time_steadily()
        self._listener, self._welcome, self._ahead, self._report = listener, welcome, ahead, report
        self._doorstep, self._turnstiles = doorstep, turnstiles
        self._never = threading.Event()
        super().__init__(ae, listener.getsockname(), ae.ae_title, ae.supported_contexts, evt_handlers=handlers)
        self.timeout = POLL

    def server_bind(self) -> None:
        """Swaps the shared listener in for the socket that TCPServer made."""
        if self.socket is not None:
            self.socket.close()
        self.socket = self._listener
        # Another process may win the race for a connection: accept must then give up, not sleep.
        self.socket.settimeout(POLL)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """It listens already."""

    def server_close(self) -> None:
        """Closes our descriptor only: pynetdicom's shutdown(2) would deafen every process that shares the listener."""
        self._listener.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Raises BlockingIOError when another process was faster, OSError when no descriptor is left for it, but not at once."""
        if self._ahead():
            self._never.wait(DEFER)
        self._listener.settimeout(0)
        try:
            return super().get_request()
        except BlockingIOError:
            raise
        except OSError:
            self._never.wait(POLL)  # who waits is still there, and to look on and on helps nobody to end
            raise
        finally:
            self._listener.settimeout(POLL)

    def process_request(self, request: Any, client_address: Any) -> None:
        told = self._welcome(client_address[0])
        if told is not None:
            self._turn_away(request, told)
        elif self._doorstep is None:
            super().process_request(request, client_address)
        else:
            self._doorstep.receive(request, lambda secured: self.finish_request(secured, client_address))

    def _turn_away(self, request: socket.socket, told: Rejection) -> None:
        if told in self._turnstiles:
            self._turnstiles[told].take(request)
        else:
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver prints a traceback to stderr here; a peer that is gone before it is served is no news."""
        self._report("connection.broken")


def _time_steadily() -> None:
    """pynetdicom times by the wall clock: set back, it keeps who says nothing, set forward, it ends who waits (B8, O3)."""
    timer.time = SimpleNamespace(time=time.monotonic)  # type: ignore[attr-defined, assignment]


def rejection_pdu(rejection: Rejection) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return b"\x03\x00\x00\x00\x00\x04\x00" + bytes(rejection)


def reject(assoc: Association, rejection: Rejection) -> None:
    """Refuses an association; to be called in a handler of EVT_REQUESTED."""
    assoc.is_rejected = True
    assoc.acse.send_reject(*rejection)
    evt.trigger(assoc, evt.EVT_REJECTED, {})
    assoc.kill()


def wake_if_unasked(assoc: Association) -> None:
    """For EVT_CONN_CLOSE: a peer that hangs up before asking for anything would hold its thread for the ACSE time-out."""
    if assoc.requestor.primitive is None:
        _stop_waiting(assoc)
    elif not assoc.is_established or assoc.dul.state_machine.current_state == "Sta3":
        assoc._kill = True  # nobody is told of a peer that hangs up before it is accepted (AA-5)
        hang_up = getattr(assoc.dul.socket, "hang_up", None)
        if hang_up is not None:
            hang_up()


def _stop_waiting(assoc: Association) -> None:
    """None is what the association's thread sees when the ACSE time-out is over."""
    assoc.dul.to_user_queue.put(None)


def threads_alive(assoc: Association) -> bool:
    """True while one of an association's two threads runs."""
    return assoc.is_alive() or assoc.dul.is_alive()


def lives(assoc: Association) -> bool:
    """One of its threads runs, or is about to: it begins a moment after its connection is known, perhaps in another thread."""
    if assoc.ident is not None:
        return threads_alive(assoc)
    sock = assoc.dul.socket.socket if assoc.dul.socket else None
    return sock is not None and sock.fileno() >= 0  # shut where there was no thread for it


def wait_for(associations: Iterable[Association], deadline: float) -> list[Association]:
    """Waits until they have ended; returns those still running at `deadline` (time.monotonic)."""
    associations = list(associations)
    for thread in (t for a in associations for t in (a, a.dul)):
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
    return [a for a in associations if threads_alive(a)]


def end(associations: Iterable[Association]) -> list[Association]:
    """A-ABORT, and for those that do not go by that, the socket shut and both loops told to stop. Returns what is left:
    associations whose handler does not return (their remaining thread is a daemon)."""
    associations = list(associations)
    for assoc in associations:
        _hang_up(assoc)
    stuck = wait_for(associations, time.monotonic() + ABORT_GRACE)
    for assoc in stuck:
        _cut(assoc)
    return wait_for(stuck, time.monotonic() + ABORT_GRACE)


def _hang_up(assoc: Association) -> None:
    """In the thread that reads: two must not use one TLS connection at once."""
    wrapper = assoc.dul.socket
    hang_up = wrapper.hang_up if isinstance(wrapper, QuickSocket) else None  # once: its thread may set it to None
    if hang_up is not None:
        hang_up()
    else:
        assoc.abort(block=False)


def _cut(assoc: Association) -> None:
    assoc._kill = True
    assoc.dul.kill_dul()
    _stop_waiting(assoc)
    sock = assoc.dul.socket.socket if assoc.dul.socket else None
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for the rest of a PDU
        except OSError:
            return  # gone already
