"""An HTTP archive that misbehaves on demand: a real server on loopback that answers what a test has written down."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Said:
    """One answer. `silent`: nothing is said until the test is over; `length`: what is announced, where it is a lie;
    `trickle`: seconds from one `piece` of so many bytes to the next, `head`: of the headers already."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    length: int | None = None
    trickle: float = 0.0
    piece: int = 1
    head: bool = False


@dataclass(frozen=True)
class Heard:
    """`headers`: by their names in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Heard], Said]


class Site:
    """`script` may be exchanged while it runs."""

    def __init__(self, script: Script) -> None:
        self.script, self.heard, self.over = script, list[Heard](), threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """Of one site, which a subclass names."""

    protocol_version = "HTTP/1.1"
    site: Site

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = Heard(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.site.heard.append(heard)
        said = self.site.script(heard)
        if said.silent:
            self.site.over.wait(60)
            self.close_connection = True
            return
        if said.head:
            self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 2000, said.trickle)
            return
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        if "Transfer-Encoding" not in said.headers:
            self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
        if said.trickle:
            self.send_header("Connection", "close")
        self.end_headers()
        if said.trickle:
            self.trickle(said)
        elif self.command != "HEAD":
            self.wfile.write(said.body)
        if said.length is not None:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def trickle(self, said: Said) -> None:
        """In one chunk where it is chunked, until the other side has enough."""
        if "Transfer-Encoding" in said.headers:
            self.wfile.write(b"%x\r\n" % len(said.body))
        self.drip(said.body, said.trickle, said.piece)

    def drip(self, raw: bytes, seconds: float, piece: int = 1) -> None:
        with contextlib.suppress(OSError):
            for n in range(0, len(raw), piece):
                self.wfile.write(raw[n : n + piece])
                if self.site.over.wait(seconds):
                    break
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def scripted(script: Script) -> Iterator[Site]:
    site = Site(script)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfSite", (Handler,), {"site": site}))
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
