"""How an association is asked for, and what is done to it from its connection on: as SCU of a PACS and of an archive."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.association import Association

from gateway.dicom.models import Address
from gateway.dicom.quiet import silence
from gateway.dicom.reactor import steady
from gateway.dicom.sockets import quicken, shut
from gateway.dicom.status import CONFIG_PAUSE
from gateway.dicom.tls import requestor
from gateway.dicom.waiting import attend_asking, dismiss
from gateway.errors import Retry

PEERS: Final = {"pacs": "PACS", "sink": "archive", "commitment": "peer"}
MOST_ADDRESSES: Final = 2
"""Of a host's that are tried. Each may take as long as connecting may."""

ENDS: Final = 1.0
"""Seconds for a thread that has nothing more to do."""

At = str | tuple[str, int, int]
"""An address; of IPv6 with flow information and scope."""


@dataclass(frozen=True)
class Tried:
    """`connected`: the peer took the connection, whatever it said then."""

    assoc: Association
    connected: bool


def associate(  # noqa: PLR0913  what an association is made of
    ae: AE,
    peer: Address,
    kind: str,
    *,
    pdu: float,
    ext_neg: Sequence[Any] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Tried:
    """Of a host with several addresses the next one is tried where nobody takes the connection: one of a pair may be down.

    `kind`: of PEERS. `pdu`: seconds for a PDU once it began. Raises Retry(charge=False): <kind>.unreachable, <kind>.tls.
    """
    silence()
    secured = requestor(peer.tls, f"{kind}.tls") if peer.tls else None
    tried = None
    for at in _addresses(peer.host, kind):
        connected: list[bool] = []
        try:
            assoc = ae.associate(
                at, peer.port, ae_title=peer.ae_title, ext_neg=[*ext_neg],
                tls_args=(secured, peer.host) if secured else None, evt_handlers=[*requesting(connected, pdu), *handlers],
            )  # fmt: skip
        except OSError as err:  # there is no socket to be had
            raise Retry(f"{kind}.unreachable", err.strerror or "no connection", charge=False) from None
        if secured and secured.fault:
            told = f"no TLS with this {PEERS[kind]}: {secured.fault}"
            raise Retry(f"{kind}.tls", told, after=CONFIG_PAUSE, charge=False)
        tried = Tried(assoc, bool(connected))
        if not assoc.is_established:
            _clear_up(assoc)
        if tried.connected:
            break
    assert tried is not None  # a name that is known has an address
    return tried


def _clear_up(assoc: Association) -> None:
    """Of one that did not come about its thread may have died: of an answer that is no DICOM at all."""
    if assoc.dul.ident is not None:
        assoc.dul.join(ENDS)
    with contextlib.suppress(OSError):
        shut(assoc)


def _addresses(host: str, kind: str) -> list[At]:
    """IPv4 first, as peers know us by that address."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as err:
        told = "no name server answers" if err.errno == socket.EAI_AGAIN else "no such host"
        raise Retry(f"{kind}.unreachable", told, charge=False) from None
    ordered: list[tuple[Any, ...]] = sorted((at for *_, at in found), key=len)
    return [at[0] if len(at) == 2 else (at[0], at[2], at[3]) for at in dict.fromkeys(ordered)][:MOST_ADDRESSES]


def requesting(connected: list[bool], pdu: float) -> list[evt.EventHandlerType]:
    """`connected`: gets an entry when the peer has taken the connection."""

    def on_open(event: evt.Event) -> None:
        connected.append(True)
        quicken(event.assoc, pdu)
        steady(event.assoc)
        attend_asking(event.assoc)

    def on_close(event: evt.Event) -> None:
        dismiss(event.assoc)

    return [(evt.EVT_CONN_OPEN, on_open), (evt.EVT_CONN_CLOSE, on_close)]
