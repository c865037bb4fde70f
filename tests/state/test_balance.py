"""The balance sheet where a row of the RIS is told by it twice, or not at all: on a real SQLite file, and on a real PostgreSQL."""

from __future__ import annotations

from gateway.model import CONTRADICTED, SetAside
from gateway.state.broker import Broker
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened
from tests.state.test_second_time import confirm, fail


def test_a_row_of_who_was_withdrawn_is_not_asked_for_only_where_it_never_was(state: Opened) -> None:
    """The RIS goes on to name them: one had a request before, of the other one nothing was ever asked for."""
    state.ask("A1")
    for patient in ("PID-A1", "PID-B1"):
        order = Order(PROJECT, frozenset({patient}), frozenset(), "asked to", (), lambda _: ())
        Broker(state.database, KEY).withdraw(order, now=200)
    state.ask("A1", "B1", now=300)
    (sheet,) = state.views.balances()
    assert (sheet.asked, sheet.total("withdrawn"), sheet.adds_up) == (1, 1, True)
    assert sheet.set_aside == {"patient.withdrawn": 1}


def test_a_line_that_says_two_things_is_not_asked_for_only_where_its_number_never_was(state: Opened) -> None:
    """A list names two patients for a number that the RIS has asked for: it is asked for once, and told once."""
    state.ask("A1")
    lines = [SetAside(PROJECT, number, CONTRADICTED) for number in ("A1", "B1")]
    state.store.add_requests((), lines, project=PROJECT, cursor=None, now=200)
    (sheet,) = state.views.balances()
    assert (sheet.asked, sheet.adds_up, sheet.set_aside) == (1, True, {CONTRADICTED: 1})


def test_a_part_that_asking_again_did_not_bring_is_failed_not_delivered(state: Opened) -> None:
    """One of two series is in the archive, the other failed; retried, the PACS knows nothing of the study any more."""
    state.ask("A1")
    key = state.plan("1.1", "1.2")
    fail(state, 101)
    confirm(state, 102)
    assert state.store.retry(keys=[key], now=110) == 1
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=111)
    assert state.store.settle_empty(claim, not_before=None, now=112)
    (sheet,) = state.views.balances()
    assert sheet.adds_up and sheet.parts["failed"] == {"move.unable": 1}
    assert [(r.state, r.why) for r in state.views.requests()] == [("empty", "move.unable")]
