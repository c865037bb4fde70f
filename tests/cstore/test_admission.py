"""Who may store: AE title and address together, names resolved, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cstore.admission import RESOLVE_AGAIN, PeerList, resolve
from gateway.errors import Retry
from gateway.settings import Pacs, Peer, Project, Receiver, Settings


def settings(*peers: tuple[str, str], pacs_host: str = "10.1.2.3") -> Settings:
    return Settings(
        state_dir=Path("/nowhere"),
        receiver=Receiver(peers=tuple(Peer(ae_title=a, address=n) for a, n in peers)),
        pacs=(Pacs(name="main", ae_title="HOSPITALPACS", host=pacs_host),),
        project=(Project(name="chest", pacs=("main",)),),
    )


@pytest.mark.parametrize(
    ("network", "address", "admitted"),
    [
        ("10.1.2.0/24", "10.1.2.77", True), ("10.1.2.0/24", "10.1.3.1", False), ("10.1.2.9", "10.1.2.9", True),
        ("10.1.2.0/24", "::ffff:10.1.2.77", True), ("::ffff:10.1.2.0/120", "10.1.2.5", True), ("fd00::/8", "fd12::1%eth0", True),
        ("fd00::/8", "10.1.2.3", False), ("0.0.0.0/0", "192.0.2.1", True), ("0.0.0.0/0", "fd00::1", False),
        ("10.1.2.0/24", "", False), ("10.1.2.0/24", "rubbish", False),
    ],
)  # fmt: skip
def test_networks(network: str, address: str, admitted: bool) -> None:
    assert PeerList(settings(("MOD", network))).admits("MOD", address) is admitted


def test_the_ae_title_must_fit_as_well() -> None:
    peers = PeerList(settings(("MOD", "10.0.0.0/8"), ("OTHER", "192.0.2.0/24")))
    assert (
        not peers.admits("OTHER", "10.0.0.1")
        and not peers.admits("mod", "10.0.0.1")
        and not peers.admits("", "10.0.0.1")
    )


def test_without_peers_the_pacs_may_store() -> None:
    peers = PeerList(settings())
    assert peers.admits("HOSPITALPACS", "10.1.2.3") and not peers.admits("HOSPITALPACS", "10.1.2.4")
    assert not PeerList(settings(("MOD", "10.0.0.0/8"))).admits("HOSPITALPACS", "10.1.2.3")


def test_host_names_are_resolved_and_resolved_again_when_a_peer_moves() -> None:
    now, asked, addresses = [0.0], [], ["192.0.2.7", "fd00::7"]

    def look_up(host: str) -> list[str]:
        asked.append(host)
        return list(addresses)

    peers = PeerList(settings(pacs_host="pacs.invalid"), resolve=look_up, clock=lambda: now[0])
    assert peers.admits("HOSPITALPACS", "192.0.2.7") and peers.admits("HOSPITALPACS", "fd00::7")
    assert not peers.admits("HOSPITALPACS", "192.0.2.8") and not peers.admits("STRANGER", "192.0.2.8")
    assert asked == ["pacs.invalid"]
    addresses[:], now[0] = ["192.0.2.8"], RESOLVE_AGAIN + 1
    assert peers.admits("HOSPITALPACS", "192.0.2.8") and len(asked) == 2
    addresses[:], now[0] = [], now[0] + RESOLVE_AGAIN + 1  # the name service is down, and somebody else asks
    assert not peers.admits("HOSPITALPACS", "192.0.2.9") and len(asked) == 3
    assert peers.admits("HOSPITALPACS", "192.0.2.8")


def test_while_no_name_server_answers_nobody_can_tell() -> None:
    """A rejection for good would be wrong: it may be the PACS, and some never try again after one (PS3.8 9.3.4)."""
    now, addresses = [0.0], list[str]()
    peers = PeerList(settings(pacs_host="pacs.invalid"), resolve=lambda _: addresses, clock=lambda: now[0])
    for _ in range(2):
        with pytest.raises(Retry, match=r"^peer\.unresolved"):
            peers.admits("HOSPITALPACS", "192.0.2.7")
    assert not peers.admits("STRANGER", "192.0.2.7")
    addresses[:], now[0] = ["192.0.2.7"], RESOLVE_AGAIN + 1
    assert peers.admits("HOSPITALPACS", "192.0.2.7") and not peers.admits("HOSPITALPACS", "192.0.2.8")


def test_the_real_resolver() -> None:
    assert "127.0.0.1" in resolve("localhost")
    assert resolve("no-such-host.invalid") == ()
    assert PeerList(settings(pacs_host="localhost")).admits("HOSPITALPACS", "127.0.0.1")


def test_strangers_are_told_by_address_only_where_every_peer_is_known_by_one() -> None:
    by_address = PeerList(settings(("MODALITY", "10.1.2.0/24"), ("OTHER", "fd00::1")))
    assert [by_address.is_stranger(a) for a in ("10.1.2.9", "::ffff:10.1.2.9", "fd00::1", "10.1.3.9", "?")] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert not PeerList(settings(pacs_host="pacs.invalid")).is_stranger("10.9.9.9")
