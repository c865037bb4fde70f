"""DICOM TLS: the BCP 195 profile (PS3.15 B.12, B.13; RFC 9325), with certificates on both sides.

TLS 1.3, and 1.2 with the suites that RFC 9325 4.2 recommends; a connection without TLS is told so in DICOM's own words. Peers are
checked by their certificates' authority alone: DICOM's certificates seldom name hosts, and the authority is the site's own.
Handshakes are made by a deadline, each in a thread of its own: a client that says nothing is in nobody's way.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import Fatal, Retry
from gateway.settings import Tls, check_certificates, secret_path

SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
ALERT: Final = "_ALERT_"  # in OpenSSL's reasons, what the peer says of us (RFC 8446 6.2)
HANDSHAKE: Final = 0x16  # the first byte of TLS (RFC 8446 5.1)
ASSOCIATE_RQ: Final = 0x01  # the first byte of a peer without TLS (PS3.8 9.3.2)
PLAIN_REFUSED: Final = b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01"
"""A-ASSOCIATE-RJ: permanent, by the service user, no reason given (PS3.8 9.3.4): none of the reasons there is about TLS."""
LONGEST_REQUEST: Final = 1 << 18  # bytes of a request that is to be refused; the rest of a longer one is not waited for
LINGER: Final = 1.0  # seconds that a refused peer may take to read why


class Recording(ssl.SSLContext):
    """Remembers why the last handshake failed: pynetdicom keeps it to itself."""

    fault: str = ""


class Dialled(ssl.SSLSocket):
    """Our end of a connection that we asked for. TLS 1.3 tells only behind the handshake that our certificate is not taken."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as err:
            self._note(err)
            self.close()  # pynetdicom leaves it open
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as err:
            if ALERT in (err.reason or ""):
                self._note(err)
            raise

    def _note(self, err: OSError) -> None:
        if isinstance(self.context, Recording) and isinstance(err, ssl.SSLError):
            self.context.fault = why(err)

    def shutdown(self, how: int) -> None:
        try:
            super().shutdown(how)
        except OSError:
            self.close()  # again
            raise


def acceptor(tls: Tls) -> ssl.SSLContext:
    """For peers that call us: they must show a certificate of `ca`'s. Raises Fatal("tls.file")."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _profile(context, tls)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def requestor(tls: Tls, reason: str) -> Recording:
    """For peers that we call. Raises Retry(`reason`): a certificate that will not do may be in the midst of being renewed."""
    context = Recording(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = Dialled
    context.check_hostname = False
    try:
        _profile(context, tls)
    except Fatal as err:
        raise Retry(reason, err.detail, after=CONFIG_PAUSE, charge=False) from None
    return context


def _profile(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    check_certificates(tls)
    try:
        if tls.certificate is not None and tls.key is not None:
            context.load_cert_chain(tls.certificate, secret_path(tls.key))
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError):  # exchanged between the check and here
        raise Fatal("tls.file", "a certificate changed while it was read; try again") from None


def why(error: ssl.SSLError) -> str:
    """OpenSSL's own slug, without what the peer sent: CERTIFICATE_VERIFY_FAILED as certificate-verify-failed."""
    return (error.reason or "no reason given").lower().replace("_", "-").replace(" ", "-")


class Doorstep:
    """Where connections wait for their handshake. `refused(reason)` is told: "plain" (no TLS) or "tls" (no handshake).

    `seconds`: for all of a handshake.
    """

    def __init__(self, context: ssl.SSLContext, *, seconds: float, refused: Callable[[str], None]) -> None:
        self._context, self._seconds, self._refused = context, seconds, refused
        self._lock = threading.Condition()
        self._waiting: set[socket.socket] = set()
        self._closed = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def receive(self, sock: socket.socket, enter: Callable[[ssl.SSLSocket], None]) -> None:
        """`enter` is called in another thread, once the peer has shown its certificate."""
        with self._lock:
            self._waiting.add(sock)
        try:
            threading.Thread(target=self._receive, args=(sock, enter), name="tls-handshake", daemon=True).start()
        except RuntimeError:  # no more threads for now
            with self._lock:
                self._waiting.discard(sock)
            sock.close()

    def close(self) -> None:
        """Who was let in before may still enter, in the time that a handshake has; then nobody does any more."""
        with self._lock:
            self._lock.wait_for(lambda: not self._waiting, self._seconds)
            self._closed, waiting = True, list(self._waiting)
        for sock in waiting:
            _hang_up(sock)

    def _receive(self, sock: socket.socket, enter: Callable[[ssl.SSLSocket], None]) -> None:
        deadline = time.monotonic() + self._seconds
        try:
            secured = self._secured(sock, deadline)
            if secured is not None and not self._closed:
                self._enter(secured, enter)
            else:
                (secured or sock).close()
        finally:
            with self._lock:
                self._waiting.discard(sock)
                self._lock.notify_all()

    @staticmethod
    def _enter(secured: ssl.SSLSocket, enter: Callable[[ssl.SSLSocket], None]) -> None:
        try:
            enter(secured)
        except RuntimeError:  # no more threads for now
            secured.close()

    def _secured(self, sock: socket.socket, deadline: float) -> ssl.SSLSocket | None:
        """None: refused, and counted unless it was the empty connection of a load balancer."""
        sock.setblocking(False)
        try:
            first = _first_byte(sock, deadline)
            if first == HANDSHAKE:
                return self._handshake(sock, deadline)
            if first is not None:
                self._refused("plain")
                _say_why(sock, first, deadline)
        except OSError:
            # The deadline; SSLError: no certificate, none of the authority's, an old version; or the peer has gone.
            self._refused("tls")
        return None

    def _handshake(self, sock: socket.socket, deadline: float) -> ssl.SSLSocket:
        secured = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        try:
            while True:
                try:
                    secured.do_handshake()
                except ssl.SSLWantReadError:
                    _wait(secured, select.POLLIN, deadline)
                except ssl.SSLWantWriteError:
                    _wait(secured, select.POLLOUT, deadline)
                else:
                    return secured
        except OSError:
            secured.close()
            raise


def _wait(sock: socket.socket, event: int, deadline: float) -> None:
    """Raises TimeoutError at the deadline."""
    poll = select.poll()
    poll.register(sock, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError("no handshake in time")


def _first_byte(sock: socket.socket, deadline: float) -> int | None:
    """Left where it is. None: the peer has hung up without a word, by FIN or, as many load balancers do, by RST."""
    _wait(sock, select.POLLIN, deadline)
    try:
        first = sock.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        return None
    return first[0] if first else None


def _say_why(sock: socket.socket, first: int, deadline: float) -> None:
    """To a DICOM peer, once it has said all it wanted to: what is unread when a socket is closed takes the answer with it."""
    if first != ASSOCIATE_RQ:
        return
    head = _read(sock, 6, deadline)
    _read(sock, min(int.from_bytes(head[2:], "big"), LONGEST_REQUEST), deadline)
    sock.sendall(PLAIN_REFUSED)
    sock.shutdown(socket.SHUT_WR)
    until = min(deadline, time.monotonic() + LINGER)
    while _read(sock, 1 << 12, until):
        continue


def _read(sock: socket.socket, size: int, deadline: float) -> bytes:
    """`size` bytes, or fewer when the peer has no more. Raises TimeoutError."""
    got = bytearray()
    while len(got) < size:
        _wait(sock, select.POLLIN, deadline)
        piece = sock.recv(size - len(got))
        if not piece:
            break
        got += piece
    return bytes(got)


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # gone, or wrapped by now
