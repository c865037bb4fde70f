"""Audit messages to a syslog server: RFC 5424, over TLS (RFC 5425, PS3.15 A.6) or UDP (RFC 5426, PS3.15 A.7).

Syslog answers nothing. Over TLS the connection is ended in order, which a server that refused us or went away does not survive;
over UDP nobody knows.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.errors import Fatal, Retry
from gateway.settings import Audit, Tls, check_certificates, secret_path

PRIORITY: Final = 10 * 8 + 5  # security or authorisation, normal but significant
HEADER: Final = f"<{PRIORITY}>1"
MESSAGE_ID: Final = "DICOM+RFC3881"
BOM: Final = b"\xef\xbb\xbf"
SECONDS: Final = 10.0
LONGEST: Final = 65_000  # bytes that an UDP datagram can carry


@dataclass(frozen=True)
class Event:
    """`at`: RFC 3339. `content`: XML in UTF-8."""

    at: str
    node: str
    content: bytes

    def encoded(self) -> bytes:
        """As RFC 5424 6 has it: no structured data, a mark that what follows is UTF-8."""
        head = f"{HEADER} {self.at} {_word(self.node)} pacs-gateway {os.getpid()} {MESSAGE_ID} - "
        return head.encode("ascii", "replace") + BOM + self.content


def send(settings: Audit, events: Iterable[Event]) -> None:
    """All of them, in order. Raises Retry: "audit.unreachable", and then some may have arrived; "audit.tls"."""
    frames = [event.encoded() for event in events]
    try:
        if settings.protocol == "udp":
            _by_udp(settings, frames)
        else:
            _by_tls(settings, frames)
    except OSError as err:
        told = f"syslog at {settings.host}:{settings.port}: {err.strerror or type(err).__name__}"
        raise Retry("audit.unreachable", told, charge=False) from None


def _by_udp(settings: Audit, frames: list[bytes]) -> None:
    family, kind, number, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, number) as sock:
        sock.settimeout(SECONDS)
        for frame in frames:
            sock.sendto(frame[:LONGEST], address)


def _by_tls(settings: Audit, frames: list[bytes]) -> None:
    context = _context(settings)
    with (
        socket.create_connection((settings.host, settings.port), SECONDS) as sock,
        context.wrap_socket(sock, server_hostname=settings.host) as secured,
    ):
        for frame in frames:
            secured.sendall(b"%d " % len(frame) + frame)
        _hang_up(secured, proven=secured.version() != "TLSv1.3" or not (settings.tls and settings.tls.certificate))


def _hang_up(secured: ssl.SSLSocket, *, proven: bool) -> None:
    """In order. `proven`: it has taken us already; else it may refuse our certificate only now (RFC 8446 4.6.2, E.1.2).

    One that reads on has not refused, nor one that ends without the word for it; unread, it would reset the connection.
    """
    try:
        secured.unwrap().recv(1)
    except TimeoutError:
        return
    except ssl.SSLEOFError:
        if not proven:
            raise


def _context(settings: Audit) -> ssl.SSLContext:
    """Raises Retry("audit.tls"): a certificate that will not do may be in the midst of being renewed."""
    tls = settings.tls or Tls()
    try:
        check_certificates(tls)
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.certificate and tls.key:
            context.load_cert_chain(tls.certificate, secret_path(tls.key))
    except (Fatal, OSError) as err:
        told = err.detail if isinstance(err, Fatal) else "a certificate changed while it was read"
        raise Retry("audit.tls", told, charge=False) from None
    return context


def _word(text: str) -> str:
    """A name without spaces: RFC 5424 has a hyphen for none."""
    return "".join(c if "!" <= c <= "~" else "_" for c in text)[:255] or "-"
