"""The balance sheet where a row of the RIS is told by it twice, or not at all: on a real SQLite file, and on a real PostgreSQL."""

from __future__ import annotations

from gateway.state.broker import Broker
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened


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
