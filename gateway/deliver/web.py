"""HTTP for archives that speak it: TLS, who we are, deadlines, and errors that say what to do. The only user of urllib3.

Nothing is retried here: retrying is the worker's. No answer is quoted: it may hold anything.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final

from gateway.deliver.verdict import CONFIG_PAUSE
from gateway.errors import Fatal, GatewayError, Refused, Retry
from gateway.settings import DicomWebSink, Tls, check_certificates, read_password, secret_path

try:
    import urllib3
    from urllib3.exceptions import HTTPError, NewConnectionError, SSLError
    from urllib3.response import BaseHTTPResponse
except ImportError:  # an extra; wiring asks for it by making a sink
    raise Fatal("deliver.missing", "urllib3 cannot be loaded: is all of requirements/run.txt installed?") from None

CONNECT: Final = 30.0  # seconds, to connect, and for the archive to take a piece of what is sent
SILENCE: Final = 120.0  # seconds without a byte of the answer
HEAD: Final = 300.0  # seconds for its status and headers
WHOLE: Final = 900.0  # seconds for all of an answer, and for a long one as many more as it takes at
SLOWEST: Final = 1 << 16  # bytes per second
MOST: Final = 1 << 22  # bytes of an answer that is gathered
CHUNK: Final = 1 << 18

_PASSING: Final[Mapping[int, str]] = {
    408: "sink.timeout",
    425: "sink.busy",
    429: "sink.busy",
    503: "sink.busy",
    507: "sink.full",
}
_CONFIGURED: Final[Mapping[int, str]] = {401: "sink.unauthorised", 403: "sink.unauthorised", 407: "sink.unauthorised"}
_OURS: Final[Mapping[int, str]] = {413: "deliver.too-large", 415: "deliver.unsupported"}


class _Hurried(urllib3.connection.HTTPConnection):
    """Hung up on when status and headers trickle: http.client waits for each byte anew."""

    late = False

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]  # as urllib3's own
        self.late = False
        timer = threading.Timer(HEAD, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except (OSError, HTTPException):
            if self.late:  # before its first line was whole
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if self.late:  # half of the headers are taken for all
            response.close()
            raise TimeoutError
        return response

    def _hang_up(self) -> None:
        self.late = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # TLS's own would take the session from who reads


class _SecureHurried(_Hurried, urllib3.connection.HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Hurried


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureHurried


@dataclass(frozen=True)
class Answer:
    """`body`: at most MOST bytes."""

    status: int
    body: bytes


class Web:
    """One archive's HTTP. Raises Retry sink.unreachable, .tls, .timeout, .busy, .full, .unauthorised, .strange (uncharged).

    Secrets are read again for each request: a token that is renewed on the disk is taken up without a reload. `alive` is called
    with each piece of an answer, and may raise.
    """

    def __init__(self, settings: DicomWebSink, name: str, alive: Callable[[], None] = lambda: None) -> None:
        self._settings, self._name, self._alive = settings, name, alive
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=2, block=True, retries=False,
            timeout=urllib3.Timeout(connect=CONNECT, read=SILENCE), ssl_context=_trust(settings.tls),
        )  # fmt: skip
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def close(self) -> None:
        """Lets go of connections that are open."""
        self._pool.clear()

    def call(self, method: str, path: str, *, headers: Mapping[str, str], body: object = None) -> Answer:
        """Any answer but those that are about the archive and not about the question."""
        with self.stream(method, path, headers=headers, body=body) as (response, pieces):
            gathered = bytearray()
            for piece in pieces:
                gathered += piece
                if len(gathered) > MOST:
                    raise Retry("sink.strange", f"{self._name}: an answer without end", charge=False)
            return Answer(response.status, bytes(gathered))

    @contextmanager
    def stream(
        self, method: str, path: str, *, headers: Mapping[str, str], body: object = None
    ) -> Iterator[tuple[BaseHTTPResponse, Iterator[bytes]]]:
        """The answer and the pieces of its body."""
        try:
            response = self._pool.request(
                method, self._settings.url.rstrip("/") + path, body=body, headers={**headers, **self._credentials()},  # type: ignore[arg-type]
                preload_content=False, redirect=False, decode_content=True,
            )  # fmt: skip
            try:
                self._check(response)
                yield response, self._pieces(response)
            finally:
                response.close()  # a connection whose answer was not read to its end is of no more use
                response.release_conn()  # its place in the pool is: without it the third such answer would be waited for
        except SSLError:
            raise Retry("sink.tls", f"{self._name}: no TLS with it", after=CONFIG_PAUSE, charge=False) from None
        except NewConnectionError:  # which urllib3 takes for a time-out
            raise Retry("sink.unreachable", f"{self._name} cannot be reached", charge=False) from None
        except (urllib3.exceptions.TimeoutError, TimeoutError):
            raise Retry("sink.timeout", f"{self._name} does not answer in time", charge=False) from None
        except (HTTPError, OSError):
            raise Retry("sink.unreachable", f"{self._name} cannot be reached, or hung up", charge=False) from None

    def _pieces(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        until = time.monotonic() + WHOLE
        # Whatever has come: `stream` waits for all of CHUNK, byte by byte if need be.
        while piece := response.read1(CHUNK):
            self._alive()
            until += len(piece) / SLOWEST
            if time.monotonic() > until:
                raise Retry("sink.timeout", f"{self._name} trickles", charge=False)
            yield piece
        response.release_conn()

    def _check(self, response: BaseHTTPResponse) -> None:
        status, told = response.status, f"{self._name} answered {response.status}"
        if status in _PASSING:
            raise Retry(_PASSING[status], told, after=_after(response), charge=False)
        if status in _CONFIGURED:
            raise Retry(_CONFIGURED[status], told, after=CONFIG_PAUSE, charge=False)
        if status in _OURS:
            raise Refused(_OURS[status], told)
        if status >= 500 or 300 <= status < 400:
            raise Retry("sink.strange", told, charge=False)

    def _credentials(self) -> dict[str, str]:
        settings = self._settings
        try:
            if settings.token_file is not None:
                return {"Authorization": f"Bearer {_token(settings.token_file)}"}
            if settings.user is not None and settings.password_file is not None:
                both = f"{settings.user}:{read_password(settings.password_file)}".encode()
                return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
        except Fatal as err:  # while it is being exchanged, too
            raise Retry("sink.secret", err.detail, after=CONFIG_PAUSE, charge=False) from None
        return {}


def _token(file: str | Path) -> str:
    """What a header can hold (RFC 6750 2.1). Raises Fatal, and quotes nothing."""
    token = read_password(file)
    if not (token.isascii() and token.isprintable()):
        told = "token_file: its first line is no token; write it anew, as ASCII text"
        raise Fatal("password.file", told)
    return token


def unexpected(status: int, name: str) -> GatewayError:
    """For an answer that fits no question: the archive is not what it is taken for."""
    return Retry("sink.strange", f"{name} answered {status}", after=CONFIG_PAUSE, charge=False)


def rows_of(answer: Answer, name: str) -> list[object]:
    """The list in its body. Raises Retry("sink.strange", uncharged) when there is none."""
    try:
        rows = json.loads(answer.body)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list):
        raise Retry("sink.strange", f"{name} answers no list in JSON", charge=False)
    return rows


def _after(response: BaseHTTPResponse) -> float | None:
    """Retry-After in seconds (RFC 9110 10.2.3); a date is left alone."""
    told = response.headers.get("Retry-After", "")
    return min(float(told), 3600.0) if told.isascii() and told.isdigit() else None


def _trust(tls: Tls | None) -> ssl.SSLContext:
    """The archive's name is checked. Without a `ca`, the system's authorities. Raises Fatal("tls.file")."""
    tls = tls or Tls()
    check_certificates(tls)
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None and tls.key is not None:
        context.load_cert_chain(tls.certificate, secret_path(tls.key))
    return context
