"""What a person changes: on a real SQLite file, and on a real PostgreSQL."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from gateway.model import AccessionNumber, Wanted
from gateway.state import change, settle
from gateway.state.broker import Broker
from gateway.state.db import request
from gateway.state.rows import SeriesClaim, Tally
from gateway.state.settle import Step
from gateway.state.store import Store
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened, plan, reopened
from tests.support.carried import claim_row


def test_many_are_asked_again_in_pieces_so_that_nobody_waits_for_all_of_them(
    state: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "AT_ONCE", 2)
    state.ask(*(f"A{n}" for n in range(5)), "EMPTY")
    *claims, empty = state.store.claim_requests(projects=[PROJECT], limit=6, lease=60, now=100)
    assert state.store.settle_empty(empty, not_before=None, now=101)
    for claim in claims:
        assert state.store.fail_request(claim, reason="find.failed", now=101)
    begun: list[int] = []
    write = state.database.write

    def counted() -> AbstractContextManager[Connection]:
        begun.append(1)
        return write()

    monkeypatch.setattr(state.database, "write", counted)
    assert state.store.retry(state="failed", now=200) == 5
    assert len(begun) == 4 and state.views.requests(state="failed") == []
    assert len(state.views.requests(state="empty")) == 1, "nobody asked for that"


def asked_without_patient(state: Opened, now: float) -> None:
    """As a RIS or a file does that has nothing but numbers."""
    state.store.add_requests([Wanted(PROJECT, AccessionNumber("A1"))], (), project=PROJECT, cursor=None, now=now)


def test_the_number_of_who_was_withdrawn_does_not_come_back_with_a_file_of_numbers(state: Opened) -> None:
    """His request had failed before; such a one may be asked again for what came late, and only for that."""
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.fail_request(claim, reason="find.failed", now=101)
    order = Order(PROJECT, frozenset({"PID-A1"}), frozenset(), "asked to", (), lambda _: ())
    Broker(state.database, KEY).withdraw(order, now=102)
    asked_without_patient(state, now=103)
    assert state.store.retry(state="failed", now=104) == 0
    with state.database.read() as c:
        assert c.execute(select(request.c.sealed)).scalars().all() == [None]


def delivered(state: Opened) -> SeriesClaim:
    """The one series that is due, through every archive."""
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim and state.store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=102)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=103)
        assert row and state.store.settle_row(row, event, now=103)
    return claim


def test_who_worked_on_what_was_withdrawn_lets_go_of_that_alone(state: Opened) -> None:
    claims = []
    for number in (1, 2):
        state.ask(f"A{number}")
        state.plan(f"1.{number}.1", study=f"1.{number}")
        claims.append(state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101))
    gone, kept = claims
    order = Order(PROJECT, frozenset({"PID-A1"}), frozenset(), "asked to", (), lambda _: ())
    Broker(state.database, KEY).withdraw(order, now=102)
    assert gone and not state.store.settle_retrieved(gone.rows[0], Tally(3, 3, 0, 0, {}), now=103)
    assert kept and state.store.extend_series(kept, lease=60, now=104)


@pytest.mark.parametrize("ends", ["failed", "cancelled"])
def test_what_ended_after_it_had_been_done_can_be_asked_again_once_its_number_is_told(state: Opened, ends: str) -> None:
    """Late instances had it under way again, when its number had been dropped."""
    asked_without_patient(state, now=100)
    key = state.plan("1.2.3.1")
    claim = delivered(state)
    assert state.store.late(claim.rows[0].key, now=104)
    if ends == "failed":
        row = claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=105)
        assert row and state.store.settle_row(row, "failed", reason="deliver.conflict", now=105)
    else:
        assert state.store.cancel(keys=[key], now=105) == 1
    assert state.store.retry(keys=[key], now=106) == 0
    asked_without_patient(state, now=107)
    assert state.store.retry(keys=[key], now=108) == 1


def test_a_last_look_that_finds_nothing_makes_nobody_one_who_was_withdrawn(state: Opened) -> None:
    """What was delivered before it is done; and when that has failed for what came late, it may be asked again."""
    asked_without_patient(state, now=100)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_found(claim, replace(plan("1.2.3.1"), again=104), now=100)
    key = delivered(state).rows[0].key
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=104)
    assert state.store.settle_empty(claim, not_before=None, now=104)
    assert state.views.requests()[0].state == "done"
    assert state.store.late(key, now=105)
    row = claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=106)
    assert row and state.store.settle_row(row, "failed", reason="deliver.conflict", now=106)
    assert state.store.retry(keys=[claim.key], now=106) == 0, "its number was forgotten when it was done"
    asked_without_patient(state, now=107)
    assert state.store.retry(keys=[claim.key], now=108) == 1


def test_what_comes_late_while_the_last_other_series_is_settled_has_its_request_under_way(state: Opened) -> None:
    """As another node sees it, that request is still planned: nobody would have resumed it, and it was called done."""
    state.ask("A1")
    state.plan("1.2.3.1", "1.2.3.2")
    key = delivered(state).rows[0].key
    last = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=104)
    there = reopened(state.place)
    late = threading.Thread(target=Store(there, KEY, node="gw1").late, args=(key,), kwargs={"now": 105})
    with state.database.write() as c:
        assert last and settle.claimed_series(c, last.rows[0], Step("excluded", 105))
        late.start()
        late.join(0.5)
    late.join(60)
    there.close()
    assert [r.state for r in state.views.requests()] == ["planned"]


def test_a_number_that_comes_back_while_a_withdrawal_reads_the_requests_is_dropped_again(state: Opened) -> None:
    """Its request had been done, knew no number, and was cancelled for what came late: the RIS names it once more."""
    state.ask("A1")
    key = state.plan("1.2.3.1")
    assert state.store.late(delivered(state).rows[0].key, now=104) and state.store.cancel(keys=[key], now=105) == 1
    state.ask("B1", now=198)

    def while_requests_are_read(patient: str) -> list[str]:
        if patient == "PID-B1":
            state.ask("A1", now=400)
        return []

    order = Order(PROJECT, frozenset({"PID-A1"}), frozenset(), "asked to", (), while_requests_are_read)
    Broker(state.database, KEY).withdraw(order, now=400)
    assert state.store.retry(keys=[key], now=401) == 0
