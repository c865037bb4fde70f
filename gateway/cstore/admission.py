"""Who may store, and whose instance is it: two decisions before anything is cleaned."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from gateway.errors import Retry
from gateway.model import Dropped, LedgerLine, Outcome
from gateway.settings import Settings

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str], Sequence[str]]
RESOLVE_AGAIN: Final = 60.0
"""Seconds after which a host name is looked up again, and then only when a peer of that AE title is not recognised."""


def resolve(host: str) -> Sequence[str]:
    """All addresses of a host name, none when it is unknown. The resolver's own time-outs apply (resolv.conf(5))."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return sorted({str(info[4][0]) for info in found})


class PeerList:
    """AE titles with the networks they may call from: receiver.peers, or when there are none, every [[pacs]]."""

    def __init__(
        self, settings: Settings, *, resolve: Resolve = resolve, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._allowed = [(p.ae_title, p.address) for p in settings.receiver.peers]
        if not self._allowed:
            self._allowed = [(p.ae_title, p.host) for p in settings.pacs]
        self._resolve, self._clock = resolve, clock
        self._networks: dict[str, tuple[float, list[Network]]] = {}

    def admits(self, calling_ae: str, address: str) -> bool:
        """May the AE that calls itself so, from that address, store here?

        Raises Retry("peer.unresolved") while nobody can tell: it is known by a host name that no name server has answered for.
        """
        peer = _address(address)
        hosts = [host for ae_title, host in self._allowed if ae_title == calling_ae]
        if peer is not None and any(self._within(peer, host) for host in hosts):
            return True
        if peer is not None and any(_address(host) is None and not self._networks[host][1] for host in hosts):
            raise Retry("peer.unresolved", "no name server knows the host of a peer", charge=False)
        return False

    def is_stranger(self, address: str) -> bool:
        """Nobody who may store calls from there; never said where a peer is known by a host name alone."""
        peer, networks = _address(address), [_address(host) for _, host in self._allowed]
        return peer is None or not (None in networks or _inside(peer, [n for n in networks if n]))

    def _within(self, peer: Network, host: str) -> bool:
        network = _address(host)
        if network is not None:
            return _inside(peer, [network])
        at, networks = self._networks.get(host, (float("-inf"), []))
        if _inside(peer, networks):
            return True
        if self._clock() - at < RESOLVE_AGAIN:
            return False
        networks = [n for n in map(_address, self._resolve(host)) if n] or networks  # no answer takes nobody's leave
        self._networks[host] = (self._clock(), networks)
        return _inside(peer, networks)


def within(address: str, network: str) -> bool:
    """Whether that address is in that network."""
    peer, block = _address(address), _address(network)
    return peer is not None and block is not None and _inside(peer, [block])


def _address(text: str) -> Network | None:
    """An address or CIDR block as a network; None for a name. ::ffff:10.1.2.3 is 10.1.2.3; a zone (%eth0) is dropped."""
    try:
        network = ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ipaddress.ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _inside(peer: Network, networks: Iterable[Network]) -> bool:
    return any(peer.version == n.version and peer.network_address in n for n in networks)


class Row(Protocol):
    """What the store expects: one row per project and series of a study."""

    @property
    def series_hash(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def own(self) -> frozenset[str]: ...
    @property
    def again(self) -> bool: ...
    @property
    def patient(self) -> str: ...


@dataclass(frozen=True)
class Claim:
    """One project's claim on an arriving instance. `row` None: the study is wanted, this series is not."""

    project: str
    row: Row | None


def claims(rows: Iterable[Row], series_hash: str) -> list[Claim]:
    """One claim per project that expects something of the study."""
    found: dict[str, Row | None] = {}
    for row in rows:
        if row.series_hash == series_hash:
            found[row.project] = row
        else:
            found.setdefault(row.project, None)
    return [Claim(project, row) for project, row in found.items()]


SETTLED: Final = frozenset({"held", "retrieved", "delivered", "confirmed"})


def why_not_kept(
    claim: Claim, arrived: Callable[[str], LedgerLine | None], confirmed: Callable[[str], bool]
) -> Dropped | None:
    """None: clean it and keep it. Of a series key, `arrived`: the ledger's line for this instance, `confirmed`: there is a receipt.

    An instance that comes late, after its series was settled, is kept like any other unless it came before: the ledger tells, or,
    when the archives have all of the series and the ledger is gone, a receipt. Either is asked only when it matters.
    """
    row = claim.row
    if row is None:
        return Dropped(Outcome.EXCLUDED, "series.not-planned")
    if row.state == "planned":
        return None  # a second arrival shows when the file is there already
    if row.state in SETTLED:
        came = arrived(row.key) is not None or (row.state == "confirmed" and confirmed(row.key))
        return Dropped(Outcome.DUPLICATE, "instance.duplicate") if came else None
    return Dropped(Outcome.EXCLUDED, f"series.{row.state}")
