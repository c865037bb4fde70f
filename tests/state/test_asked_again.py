"""`requests add --again`: what is done is looked at with the rules of today, and nothing is lost or forgotten over it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.model import AccessionNumber, Plan, Wanted
from gateway.state.broker import Broker
from gateway.state.db import request
from gateway.state.listed import Listed
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened, plan
from tests.state.test_second_time import confirm


def again(state: Opened, *accessions: str, now: float = 200.0, patient: str = "") -> int:
    wanted = [Wanted(PROJECT, AccessionNumber(a), patient_id=patient) for a in accessions]
    return Listed(state.database, KEY).ask_again(wanted, now=now)


def sealed(state: Opened) -> bytes | None:
    with state.database.read() as c:
        found: bytes | None = c.execute(select(request.c.sealed)).scalar_one()
        return found


def state_of(state: Opened, key: str) -> tuple[str, dict[str, int]]:
    view = state.views.request(key)
    assert view is not None
    return view.state, dict(view.series)


def both(one: Plan, other: Plan) -> Plan:
    return replace(one, series=one.series + other.series)


def test_what_a_rule_left_out_is_fetched_by_the_rule_of_today(state: Opened) -> None:
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_found(claim, both(plan("1.1"), plan("1.2", keep=False)), now=100)
    confirm(state, 101)
    assert state_of(state, claim.key) == ("done", {"confirmed": 1, "excluded": 1})
    assert sealed(state) is None
    assert (again(state, "A1", "UNKNOWN"), again(state, "A1")) == (1, 0), "once"
    assert state_of(state, claim.key)[0] == "new"
    state.plan("1.1", "1.2", now=201)
    assert state_of(state, claim.key) == ("planned", {"confirmed": 1, "planned": 1})
    confirm(state, 202)
    assert state_of(state, claim.key) == ("done", {"confirmed": 2})
    state.ask("A1", now=203)
    assert sealed(state) is None, "its number is forgotten again, though the RIS names it each night"
    (sheet,) = state.views.balances()
    assert sheet.adds_up and sheet.total("delivered") == 1


def test_a_request_of_which_nothing_was_kept(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.1", keep=False)
    assert state_of(state, key) == ("done", {"excluded": 1})
    assert again(state, "A1") == 1
    state.plan("1.1", now=201)
    assert state_of(state, key) == ("planned", {"planned": 1})


def test_it_has_not_waited_since_it_was_asked_for_first(state: Opened) -> None:
    """QueueAgeing would be raised at once by each list of a year ago."""
    state.ask("A1")
    state.plan("1.1", keep=False)
    assert again(state, "A1", now=200) == 1
    assert state.views.counts().oldest_pending == {PROJECT: 200}
    state.plan("1.1", now=201)
    assert state.views.counts().oldest_pending == {PROJECT: 200}


@pytest.mark.parametrize("way", ["found at last", "retried", "late", "grown", "young"])
def test_nor_has_what_goes_on_in_another_way(state: Opened, way: str) -> None:
    state.ask("A1")
    if way == "found at last":
        (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
        assert state.store.settle_empty(claim, not_before=200, now=100)
    elif way == "young":  # only waited to be looked at once more
        (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
        assert state.store.settle_found(claim, replace(plan("1.1"), again=150), now=100)
        confirm(state, 101)
    else:
        key = state.plan("1.1")
        if way == "retried":
            assert state.store.cancel(keys=[key], now=101)
            assert state.store.retry(keys=[key], now=200)
        else:
            confirm(state, 101)
            (series,) = state.views.series(key)
            assert state.store.late(series.key, now=200) if way == "late" else again(state, "A1", now=200)
    if way != "late":
        state.plan("1.1", "1.2", now=200)
    assert state.views.counts().oldest_pending == {PROJECT: 200}


def test_rules_that_keep_less_take_nothing_back(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.1")
    confirm(state, 101)
    assert again(state, "A1") == 1
    state.plan("1.1", keep=False, now=201)
    assert state_of(state, key) == ("done", {"confirmed": 1})


def test_only_what_is_done(state: Opened) -> None:
    state.ask("A1", "A2", "A3")
    planned = state.plan("1.1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    state.store.settle_empty(claim, not_before=None, now=100)
    assert again(state, "A1", "A2", "A3") == 0
    assert state_of(state, planned)[0] == "planned"


def test_who_was_withdrawn_stays_out(state: Opened) -> None:
    state.ask("A1", "A2")
    for series in ("1.1", "1.2"):
        state.plan(series, study=f"9.{series}")
        confirm(state, 101)
    order = Order(PROJECT, frozenset({"PID-A2"}), frozenset(), "asked to", (), lambda _: ())
    Broker(state.database, KEY).withdraw(order, now=150)
    assert again(state, "A2", patient="PID-A2") == 0, "as the list says"
    assert again(state, "A1", now=210) == 1
