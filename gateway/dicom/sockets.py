"""The one place that reaches into pynetdicom's transport: deadlines, big reads and prompt acknowledgements.

pynetdicom 3.0.4 reads in pieces of 4096 bytes, without any time limit (half a PDU holds both threads for ever), and lets
delayed acknowledgements stall every peer that left Nagle's algorithm on. `quicken` cures all three, for SCU and SCP alike.

Leaned on, all semi-private, pinned and held by tests/dicom/test_server_contract.py: `Association.dul.socket` is an
`AssociationSocket` whose `socket` is the TCP socket; `AssociationSocket.recv(n)` returns n bytes or fewer when the peer has
gone, and may raise OSError; `AssociationSocket.ready` says whether to read; both may be replaced by a subclass in place;
`Association.dul._decode_pdu` gets each PDU that was read.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.transport import AssociationSocket

from gateway.dicom.bell import Bell
from gateway.dicom.negotiating import plain

MAX_PDU = 1 << 20
"""Bytes. A PDU longer than this is an attack or garbage: nobody was told that we take more (PS3.8 D.1)."""

MAX_MESSAGE, MAX_STORE = 1 << 24, 1 << 27
"""Bytes of a data set, and of a C-STORE's, that pynetdicom may gather; what `lean` gathers is none of this."""

IDLE_BEFORE_PROBE, PROBE_EVERY, PROBES = 30, 10, 3  # seconds, seconds, times: a vanished peer is noticed in a minute


ASIDE_LOOK = 0.1  # seconds
TAKEN_PATIENCE = 2.0
"""Seconds that the DUL's thread sleeps while another one reads; whoever wants something of it rings."""


def tune(sock: socket.socket, timeout: float) -> None:
    """No Nagle, keep-alive, and `timeout` seconds for any single send or receive and for unacknowledged data."""
    sock.settimeout(timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_BEFORE_PROBE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(timeout * 1000)))
    acknowledge_at_once(sock)


def acknowledge_at_once(sock: socket.socket) -> None:
    """Does not stick (tcp(7)): the kernel falls back to delayed acknowledgements, so it is set again after each receive."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def read_some(sock: socket.socket, buffer: memoryview) -> int:
    """Bytes read of what is there, 0 at the end. Raises ssl.SSLWantReadError.

    TLS has records of its own, and cuts ours: on what is no data yet nobody may wait.
    """
    if not isinstance(sock, ssl.SSLSocket):
        return sock.recv_into(buffer)
    limit = sock.gettimeout()
    sock.settimeout(0)
    try:
        return sock.recv_into(buffer)
    finally:
        sock.settimeout(limit)


def quicken(assoc: Association, timeout: float) -> None:
    """Call in a handler of EVT_CONN_OPEN (SCU and SCP). From then on a PDU must be whole `timeout` seconds after it began."""
    wrapper = assoc.dul.socket
    if wrapper is None or wrapper.socket is None:
        return  # closed again already
    tune(wrapper.socket, timeout)
    wrapper.__class__ = QuickSocket
    decode = assoc.dul._decode_pdu
    assoc.dul._decode_pdu = lambda bytestream: decode(plain(bytestream))  # type: ignore[method-assign]


def hang_up(assoc: Association) -> None:
    """Call before an abort, which leaves behind all that waits to be sent: to a slow peer that takes minutes."""
    wrapper = assoc.dul.socket
    sock = wrapper.socket if wrapper is not None else None  # once: its own thread may close it
    if sock is not None and not assoc.dul.to_provider_queue.empty():
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS's own would take the session from who sends


def shut(assoc: Association) -> None:
    """Closes what an abort leaves open when the thread that would have done it has died of what the peer sent (B3, B10)."""
    wrapper = assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None and not assoc.dul.is_alive():
        sock = wrapper.socket
        wrapper.close()
        sock.close()  # left open by it when the peer was faster
        bell = wrapper.bell if isinstance(wrapper, QuickSocket) else None
        if bell is not None:
            bell.close()


class QuickSocket(AssociationSocket):
    """An AssociationSocket that reads all there is, within the socket's time-out, and acknowledges at once."""

    bell: Bell | None = None
    """What else ends the wait for data; without one `ready` answers at once, as pynetdicom's loop expects."""
    patience: float = 0.0
    taken: bool = False
    """Somebody else reads while the association is established (`lean`): there is nothing to read for the DUL."""
    returned: bytes = b""
    """Read by somebody else and given back: comes before what the socket has."""
    aside: threading.Event | None = None
    """Set when the DUL's thread has seen that the socket is taken."""
    hang_up: Callable[[], None] | None = None
    """How to abort an association whose socket is taken, from any thread."""
    overfull: bool = False
    """The connection was given up in the midst of a message that pynetdicom could not have gathered."""

    def stand_aside(self, seconds: float) -> bool:
        """From now on nobody reads but whoever asked for this. False: something is there already that is the DUL's to read."""
        dul, until = self.assoc.dul, time.monotonic() + seconds
        self.aside, self.taken = threading.Event(), True
        self.ring()
        while not self.aside.wait(ASIDE_LOOK):
            gone = not dul.is_alive() or dul.state_machine.current_state != "Sta6"
            if gone or time.monotonic() > until:
                return False
        return not self.returned

    def give_back(self, rest: bytes) -> None:
        """The DUL reads again, this first."""
        self.returned, self.taken = rest, False
        self.ring()

    def ring(self) -> None:
        """Ends the wait of the DUL's thread."""
        if self.bell is not None:
            self.bell.ring()

    @property
    def ready(self) -> bool:
        """As the inherited one, by poll(2): select(2) fails for every association once 1024 descriptors are open."""
        sock = self.socket
        if sock is None or not self._is_connected:
            return False
        try:
            if self.taken and self.assoc.dul.state_machine.current_state == "Sta6":
                return self._only_wait()
            if self.returned or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
                return True
            return self._readable(sock) and (not isinstance(sock, ssl.SSLSocket) or self._says_something(sock))
        except (OSError, ValueError):  # closed by the other thread
            self.event_queue.put("Evt17")
            return False

    def _readable(self, sock: socket.socket) -> bool:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        if self.bell is None or self._must_hurry():
            return bool(poll.poll(0))
        poll.register(self.bell, select.POLLIN)
        found = {fd for fd, _ in poll.poll(self.patience * 1000)}
        self.bell.silence()
        return sock.fileno() in found

    def _says_something(self, sock: ssl.SSLSocket) -> bool:
        """TLS has records of its own, such as the tickets of 1.3: on these alone `recv` would wait for a word of the peer's."""
        limit = sock.gettimeout()
        sock.settimeout(0)
        try:
            self.returned = sock.recv(1)
        except ssl.SSLWantReadError:
            return False
        finally:
            sock.settimeout(limit)
        return True  # the end of the connection is for `recv` to find

    def _only_wait(self) -> bool:
        """Nothing to read, but somebody may ring."""
        if self.aside is not None:
            self.aside.set()
        if self.bell is not None and not self._must_hurry():
            poll = select.poll()
            poll.register(self.bell, select.POLLIN)
            poll.poll(TAKEN_PATIENCE * 1000)
            self.bell.silence()
        return False

    def _must_hurry(self) -> bool:
        """Something is queued already, or the state machine waits for the peer to have nothing more to say (Sta13)."""
        dul = self.assoc.dul
        queued = not dul.event_queue.empty() or not dul.to_provider_queue.empty()
        return queued or dul.state_machine.current_state in ("Sta1", "Sta13")

    def _is_endless(self) -> bool:
        """pynetdicom gathers a message in memory, however long it gets."""
        message = self.assoc.dimse.message
        data_set = message.data_set if message is not None else None
        most = MAX_STORE if isinstance(message, C_STORE_RQ) else MAX_MESSAGE
        return data_set is not None and data_set.tell() > most

    def _shutdown_socket(self) -> None:
        """The inherited one leaves the socket open where the peer was faster: shutdown(2) fails, and close(2) is not reached."""
        sock = self.socket
        super()._shutdown_socket()
        if sock is not None:
            sock.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes`, fewer when the peer closed. Raises OSError when they do not come in time or are too many."""
        sock = self.socket
        if sock is None:
            return bytearray()
        self.overfull = self.overfull or self._is_endless()
        if self.overfull or nr_bytes > MAX_PDU:
            raise OSError("longer than any we take")
        data = bytearray(nr_bytes)
        early, self.returned = self.returned[:nr_bytes], self.returned[nr_bytes:]
        data[: len(early)] = early
        got = len(early) + _fill(sock, memoryview(data)[len(early) :])
        acknowledge_at_once(sock)
        return data if got == nr_bytes else data[:got]


def _fill(sock: socket.socket, view: memoryview) -> int:
    """Bytes read into `view`: all of it, or what came before the peer closed. TimeoutError at the deadline."""
    limit = sock.gettimeout()
    deadline = None if limit is None else time.monotonic() + limit
    got = 0
    while got < len(view):
        n = sock.recv_into(view[got:])
        if n == 0:
            break
        got += n
        if deadline is not None and got < len(view) and time.monotonic() > deadline:
            raise TimeoutError("a PDU trickles in too slowly")
    return got
