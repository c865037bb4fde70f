"""Series that come unasked while others are at work on the same state."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.model import AccessionNumber
from gateway.state import plans
from gateway.state.rows import Pushed, Tally
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, reopened
from tests.support.carried import claim_row

WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def test_what_is_planned_while_it_comes_leaves_no_request_behind(
    state: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another accession number than the RIS has."""
    state.ask("A1")
    planning = threading.Thread(target=lambda: state.plan("1.2.9.1", study="1.2.9"))
    new_series = plans.new_series

    def overtaken(*told: Any) -> int | None:
        if planning.ident is None:
            planning.start()
            planning.join(1)  # on SQLite it waits for what comes
        return new_series(*told)

    monkeypatch.setattr(plans, "new_series", overtaken)
    receiving = reopened(state.place)
    came = Pushed(PROJECT, "1.2.9", "1.2.9.1", AccessionNumber("P1"), "PID-P1", "20260101", "CT", "{}")
    assert Store(receiving, KEY, node="gw1").push(came, now=100)
    receiving.close()
    planning.join(30)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=102)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=103)
        assert row is not None and state.store.settle_row(row, event, now=104)
    assert [r.state for r in state.views.requests()] == ["done", "done"]
