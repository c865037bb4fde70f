"""What the archives confirmed is known by instance afterwards, and only that."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import LedgerLine, Outcome
from gateway.state import receipts
from gateway.state.broker import Broker
from gateway.state.db import committed
from gateway.state.outbox import OWN, Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.rows import tally
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened

ROUTE = Route(PROJECT, "one", ("one",))


def test_instances_of_a_confirmed_series(state: Opened, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", Outbox(tmp_path / "held", modes=OWN))
    store = Progress(state.database, state.store, outbox, node="gw1")
    kept, excluded, late = (state.store.instance_hash(f"1.2.3.{n}") for n in range(3))
    state.ask("AN1")
    state.plan("1.2.3.3")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200)
    assert claim is not None
    key = claim.rows[0].key
    stored = outbox.keep(key, "2.25.1", [b"clean"])
    outbox.note(key, LedgerLine(kept, Outcome.KEPT, file=stored.path.name))
    outbox.note(key, LedgerLine(excluded, Outcome.EXCLUDED, "select.instance"))
    assert state.store.settle_retrieved(claim.rows[0], tally(outbox.ledger(key)), now=201)
    row = store.claim(Stage.WAITING, ROUTE, lease=60, now=202)
    assert row is not None and store.delivered(row, ROUTE, now=202)
    row = store.claim(Stage.DELIVERED, ROUTE, lease=60, now=202)
    outbox.note(key, LedgerLine(late, Outcome.KEPT, file=outbox.keep(key, "2.25.2", [b"clean"]).path.name))
    assert state.store.committed([kept, excluded, late]) == frozenset()
    assert row is not None and store.confirmed(row, ROUTE, files=[stored.path.name], now=203) == "confirmed"
    assert state.store.committed([kept, excluded]) == {kept}
    assert store.late(key, now=204)
    row = store.claim(Stage.WAITING, ROUTE, lease=60, now=205)
    assert row is not None and store.release(row, ROUTE, reason="x", not_before=206, charge=False)
    assert state.store.committed([kept]) == {kept}, "it is in the archive all the same"


def test_what_arrives_while_it_is_read_back_is_not_committed_yet(state: Opened, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", Outbox(tmp_path / "held", modes=OWN))
    store = Progress(state.database, state.store, outbox, node="gw1")
    state.ask("AN1")
    state.plan("1.2.3.3")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200)
    assert claim is not None
    key, late = claim.rows[0].key, state.store.instance_hash("1.2.3.9")
    outbox.note(key, LedgerLine("00" * 16, Outcome.KEPT, file=outbox.keep(key, "2.25.1", [b"clean"]).path.name))
    assert state.store.settle_retrieved(claim.rows[0], tally(outbox.ledger(key)), now=201)
    row = store.claim(Stage.WAITING, ROUTE, lease=60, now=202)
    assert row is not None and store.delivered(row, ROUTE, now=203)
    row = store.claim(Stage.DELIVERED, ROUTE, lease=60, now=204)
    outbox.note(key, LedgerLine(late, Outcome.KEPT, file=outbox.keep(key, "2.25.2", [b"clean"]).path.name))
    assert row is not None and store.confirmed(row, ROUTE, files=["2.25.1.dcm"], now=205) == "confirmed"
    assert state.store.committed([late, "00" * 16]) == {"00" * 16}


def test_what_one_project_has_is_known_while_another_one_waits_for_the_series(state: Opened, tmp_path: Path) -> None:
    """Else all of a series that was sent again for the other one, which had failed, was cleaned and delivered here once more."""
    outbox, instance = Outbox(tmp_path / "outbox"), state.store.instance_hash("1.2.3.1")
    store = Progress(state.database, state.store, outbox, node="gw1")
    for project in (PROJECT, "other"):
        state.ask("AN1", project=project)
        state.plan("1.2.3.3", project=project)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=200)
    assert claim is not None and len(claim.rows) == 2
    here, other = claim.rows
    outbox.note(
        here.key, LedgerLine(instance, Outcome.KEPT, file=outbox.keep(here.key, "2.25.1", [b"clean"]).path.name)
    )
    assert state.store.settle_retrieved(here, tally(outbox.ledger(here.key)), now=201)
    assert state.store.fail_series(other, reason="deliver.conflict", now=201)
    row = store.claim(Stage.WAITING, ROUTE, lease=60, now=202)
    assert row is not None and store.delivered(row, ROUTE, now=203)
    row = store.claim(Stage.DELIVERED, ROUTE, lease=60, now=204)
    assert row is not None and store.confirmed(row, ROUTE, files=["2.25.1.dcm"], now=205) == "confirmed"
    assert state.store.committed([instance]) == frozenset(), "the other one has yet to get it"
    assert state.store.has_receipt(here.key, instance) and not state.store.has_receipt(other.key, instance)
    assert not state.store.has_receipt(here.key, "00" * 16)


def test_thousands_are_asked_for_at_once(state: Opened) -> None:
    assert state.store.committed([f"{n:032x}" for n in range(40_000)]) == frozenset()


def out(state: Opened, patient: str, now: float) -> None:
    order = Order(PROJECT, frozenset({patient}), frozenset(), "", ("one",), lambda _: ())
    assert Broker(state.database, KEY).withdraw(order, now=now).series


def left(state: Opened) -> set[str]:
    with state.database.read() as c:
        return {r.instance.hex() for r in c.execute(sa.select(committed))}


@pytest.fixture
def of_two(state: Opened, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str], set[str]]:
    """Receipts of two series of one patient, and of one of another, read three at a time."""
    state.ask("A1", "A2")
    state.plan("1.2.3.1", "1.2.3.2")
    state.plan("1.2.3.3")
    one, two, others = ({f"{n:032x}" for n in range(first, 20, 3)} for first in range(3))
    for series_id, mine in enumerate((one, two, others), 1):
        with state.database.write() as c:
            receipts.note(c, series_id, mine)
    monkeypatch.setattr(receipts, "READ_AT_ONCE", 3)
    monkeypatch.setattr(receipts, "FORGOTTEN_AT_ONCE", 1)
    return one, two, others


def test_of_who_is_withdrawn_they_go_in_pieces_and_no_other(
    state: Opened, of_two: tuple[set[str], set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be hundreds of millions: read from end to end, they took longer than any transaction may."""
    broker, go_on = Broker(state.database, KEY), threading.Event()
    assert not broker.forget_receipts(go_on)
    out(state, "PID-A1", now=200)
    assert broker.forget_receipts(go_on) and left(state) == of_two[2]
    monkeypatch.delattr(receipts, "forget")
    assert not broker.forget_receipts(go_on), "nobody was withdrawn since: none is read"


def test_a_withdrawal_does_not_wait_for_them(
    state: Opened, of_two: tuple[set[str], set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told in the trail, and cleared the outbox, minutes later, or never where the database failed in between; for each
    patient those of all who ever were withdrawn were looked for."""
    broker, stop = Broker(state.database, KEY), threading.Event()
    out(state, "PID-A1", now=200)
    assert left(state) == set().union(*of_two)
    asked, forget = list[list[int]](), receipts.forget

    def counted(c: Connection, ids: list[int], *, after: bytes) -> bytes | None:
        asked.append(ids)
        stop.set()
        return forget(c, ids, after=after)

    monkeypatch.setattr(receipts, "forget", counted)
    assert not broker.forget_receipts(stop) and asked == [[1]], "the daemon stops: after the piece in hand"
    assert broker.forget_receipts(threading.Event()) and left(state) == of_two[2], "and begins anew"
    asked.clear()
    out(state, "PID-A2", now=300)
    assert broker.forget_receipts(threading.Event()) and left(state) == set()
    assert [3] in asked and [1] not in asked


def test_between_two_pieces_others_have_their_turn(
    state: Opened, of_two: tuple[set[str], set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's other writers wait by asking again: of eight seconds a receive process waited for five, of minutes for too long."""
    out(state, "PID-A2", now=200)
    forget, done = receipts.forget, list[str]()

    def noted(c: Connection, ids: list[int], *, after: bytes) -> bytes | None:
        done.append("piece")
        return forget(c, ids, after=after)

    monkeypatch.setattr(receipts, "forget", noted)
    monkeypatch.setattr(state.database, "rest", lambda: done.append("rest"))
    assert Broker(state.database, KEY).forget_receipts(threading.Event())
    assert len(done) > 2 and done == ["rest", "piece"] * (len(done) // 2)
