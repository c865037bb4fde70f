"""An audit record repository on loopback: syslog over TLS or UDP, read as RFC 5425 and RFC 5426 have it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.certificates import Identity


@dataclass
class Repository:
    """`received`: messages in order. `reads` False: it accepts, and hangs up without reading."""

    port: int
    received: list[bytes] = field(default_factory=list)
    reads: bool = True

    def wait_for(self, number: int) -> list[bytes]:
        done = threading.Event()
        for _ in range(500):
            if len(self.received) >= number:
                break
            done.wait(0.02)
        return self.received


def frames(raw: bytes) -> Iterator[bytes]:
    """Octet counting (RFC 5425 4.3)."""
    while raw:
        length, _, raw = raw.partition(b" ")
        yield raw[: int(length)]
        raw = raw[int(length) :]


@contextmanager
def over_tls(identity: Identity, *, mutual: bool = False) -> Iterator[Repository]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(identity.ca)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Repository(listener.getsockname()[1])
        serving = threading.Thread(target=_serve, args=(listener, context, made), daemon=True)
        serving.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(10)


def _serve(listener: socket.socket, context: ssl.SSLContext, made: Repository) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        try:
            with sock, context.wrap_socket(sock, server_side=True) as secured:
                if made.reads:
                    raw = b""
                    while piece := secured.recv(65536):
                        raw += piece
                    made.received += frames(raw)
                    if context.verify_mode is ssl.CERT_REQUIRED:  # others just close
                        secured.unwrap()
        except OSError:
            continue


@contextmanager
def over_udp() -> Iterator[Repository]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        made = Repository(sock.getsockname()[1])
        serving = threading.Thread(target=_take, args=(sock, made), daemon=True)
        serving.start()
        yield made
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", made.port))
        serving.join(10)


def _take(sock: socket.socket, made: Repository) -> None:
    while datagram := sock.recv(65536):
        made.received.append(datagram)
