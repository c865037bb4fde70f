"""The audit trail told on: in order, after an outage what was missed, and never twice what was acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Retry
from gateway.ops.audit import Trail
from gateway.run import telling
from gateway.run.telling import REST, Telling
from gateway.settings import Audit
from gateway.state.broker import Broker
from gateway.state.db import Database
from tests.ops.repository import over_tls, over_udp
from tests.support.certificates import Authority
from tests.support.process import free_port

KEY = bytes(range(32))


class Site:
    """A trail, its state, and a clock that stands still until it is moved."""

    def __init__(self, folder: Path, settings: Audit) -> None:
        self.trail, self.database, self.now = (
            Trail(folder / "audit.jsonl", KEY),
            Database(folder / "state.sqlite"),
            1000.0,
        )
        self.broker = Broker(self.database, KEY)
        self.telling = Telling(settings, "gw1", self.trail, self.broker, lambda: self.now)

    def note(self, number: int) -> None:
        for n in range(number):
            self.trail.append("reidentified", at=1000.0 + n, user="root", project="chest", pseudonym=f"CHEST-{n}")


def test_each_line_once_and_in_order_also_in_another_life(tmp_path: Path) -> None:
    with over_udp() as repository:
        there = Audit(host="127.0.0.1", port=repository.port, protocol="udp")
        site = Site(tmp_path, there)
        assert not site.telling.step()
        site.note(2)
        assert site.telling.step() and not site.telling.step()
        again = Telling(there, "gw1", site.trail, site.broker, lambda: site.now)
        site.note(1)
        assert again.step() and not again.step()
        told = repository.wait_for(3)
        assert [frame.count(b"CHEST-0") > 0 for frame in told] == [True, False, True]
    site.database.close()


def test_a_long_trail_goes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as a socket's buffer holds even if nobody reads for a while: datagrams that find no room are lost."""
    monkeypatch.setattr(telling, "BATCH", 20)
    with over_udp() as repository:
        site = Site(tmp_path, Audit(host="127.0.0.1", port=repository.port, protocol="udp"))
        site.note(21)
        assert [site.telling.step() for _ in range(3)] == [True, True, False]
        assert len(repository.wait_for(21)) == 21
    site.database.close()


def test_while_the_repository_is_away_nothing_counts_as_told(tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca").issue("gateway").tls
    site = Site(tmp_path, Audit(host="127.0.0.1", port=free_port(), tls=tls))
    site.note(1)
    with pytest.raises(Retry, match=r"audit\.unreachable"):
        site.telling.step()
    assert not site.telling.step() and site.broker.sent("gw1") == 0  # rests
    site.now += REST
    with pytest.raises(Retry, match=r"audit\.unreachable"):
        site.telling.step()
    site.database.close()


def test_a_certificate_that_is_just_being_renewed_is_waited_for(tmp_path: Path) -> None:
    """Its key has been exchanged, itself not yet: no reason to end the daemon."""
    authority = Authority(tmp_path / "ca")
    old, new = authority.issue("old"), authority.issue("new")
    theirs = authority.issue("theirs", address="127.0.0.1")
    with over_tls(theirs, mutual=True) as repository:
        site = Site(tmp_path, Audit(host="127.0.0.1", port=repository.port, tls=old.tls))
        site.note(1)
        old.key.write_bytes(new.key.read_bytes())
        with pytest.raises(Retry, match=r"audit\.tls: the private key is not that of"):
            site.telling.step()
        old.certificate.write_bytes(new.certificate.read_bytes())
        site.now += REST
        assert site.telling.step() and len(repository.wait_for(1)) == 1
    site.database.close()


def test_the_private_key_may_be_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("ours"), authority.issue("theirs", address="127.0.0.1")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(ours.key.parent))
    tls = ours.tls.model_copy(update={"key": Path(f"credential:{ours.key.name}")})
    with over_tls(theirs, mutual=True) as repository:
        site = Site(tmp_path, Audit(host="127.0.0.1", port=repository.port, tls=tls))
        site.note(1)
        assert site.telling.step() and len(repository.wait_for(1)) == 1
    site.database.close()
