"""A read-only HTTP/1.1 answerer for the health socket and the metrics port: GET, one request per connection.

Small on purpose: every connection has one deadline for all of it, connections are bounded, a request is at most
8 KiB, and nothing of the request ever reaches a log.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from gateway.errors import Fatal, GatewayError

DEADLINE: Final = 10.0  # seconds for one connection, from accept to the last byte
MAX_REQUEST: Final = 8192  # bytes
MAX_CONNECTIONS: Final = 16  # at once; one more is closed unheard
BACKLOG: Final = 16
PLAIN: Final = "text/plain; charset=utf-8"
_REQUEST_LINE: Final = re.compile(rb"(?P<method>[A-Z]+) (?P<path>/[^ ?\r\n]*)(\?[^ \r\n]*)? HTTP/1\.\d\r\n")


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Answer]]


def listen_tcp(bind: str, port: int) -> socket.socket:
    """A listener on exactly this address (never a wildcard unless asked for). Raises Fatal("metrics.address")."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as err:
        mend = "`bind` of [metrics] is an address of this machine, `port` one that nobody else listens on"
        raise Fatal("metrics.address", f"cannot listen on {bind}:{port} ({err.strerror}); {mend}") from None
    return listener


class Server:
    """Answers on a listening socket in threads of its own until `close`."""

    def __init__(self, listener: socket.socket, routes: Routes, *, name: str, deadline: float = DEADLINE) -> None:
        self.address = listener.getsockname()
        self._listener = listener
        self._routes = routes
        self._deadline = deadline
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._closing = threading.Event()
        listener.settimeout(0.2)  # close() is noticed within this
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops answering; connections under way end by their deadline."""
        self._closing.set()
        self._thread.join(timeout=5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                conn, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # out of descriptors, or the peer is already gone
                self._closing.wait(0.2)
                continue
            self._start(conn)

    def _start(self, conn: socket.socket) -> None:
        if not self._free.acquire(blocking=False):
            conn.close()
            return
        try:
            threading.Thread(target=self._serve, args=(conn,), name=f"{self._thread.name}-answer", daemon=True).start()
        except RuntimeError:  # no more threads for now: this thread must not end by it
            conn.close()
            self._free.release()

    def _serve(self, conn: socket.socket) -> None:
        try:
            with conn:
                until = time.monotonic() + self._deadline
                request = _read(conn, until)
                if request is not None:
                    answer = self._answer(request)
                    conn.settimeout(max(0.01, until - time.monotonic()))
                    conn.sendall(_encode(answer, head_only=request.startswith(b"HEAD ")))
        except OSError:  # the client went away or was too slow: its loss
            return
        finally:
            self._free.release()

    def _answer(self, request: bytes) -> Answer:
        asked = _REQUEST_LINE.match(request)
        if asked is None:
            return _plain(HTTPStatus.BAD_REQUEST)
        route = self._routes.get(asked["path"].decode("latin-1"))
        if route is None:
            return _plain(HTTPStatus.NOT_FOUND)
        if asked["method"] not in (b"GET", b"HEAD"):
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return route()
        except GatewayError as err:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, f"{err.reason}\n".encode())
        except OSError:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE)


def _read(conn: socket.socket, until: float) -> bytes | None:
    """The request head; None when the client said nothing whole in time or too much."""
    head = b""
    while b"\r\n\r\n" not in head:
        left = until - time.monotonic()
        if left <= 0 or len(head) > MAX_REQUEST:
            return None
        conn.settimeout(left)
        some = conn.recv(4096)
        if not some:
            return None
        head += some
    return head


def _encode(answer: Answer, *, head_only: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(["Allow: GET, HEAD"] if answer.status == HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else answer.body)


def _plain(status: HTTPStatus) -> Answer:
    return Answer(status, PLAIN, f"{status.phrase}\n".encode())
