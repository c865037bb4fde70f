"""A new machine under the name of one that is gone."""

from __future__ import annotations

import pytest

from gateway.errors import Retry
from gateway.state import nodes
from gateway.state.fellowship import Fellowship
from gateway.state.nodes import Node
from gateway.state.rows import Tally
from tests.state.conftest import PROJECT, Opened

WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def test_what_it_inherits_is_planned_again_in_pieces(state: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """40,000 series in one transaction took longer than any may: the machine never started."""
    state.ask("A1")
    request = state.plan("1.2.3.1", "1.2.3.2", "1.2.3.3")
    Fellowship(state.database, Node("gw1", "old", 60)).join(now=100)
    for _ in range(3):
        claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=100)
        assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=100)
    monkeypatch.setattr(nodes, "AT_ONCE", 1)
    plan_again, pieces = nodes.plan_again, list[int]()

    def broken_off(*told: object) -> int:
        if len(pieces) == 2:
            raise Retry("state.busy", charge=False)
        pieces.append(plan_again(*told))  # type: ignore[arg-type]
        return pieces[-1]

    new = Fellowship(state.database, Node("gw1", "new", 60))
    monkeypatch.setattr(nodes, "plan_again", broken_off)
    with pytest.raises(Retry):
        new.join(now=1000)
    assert sorted(s.state for s in state.views.series(request)) == ["planned", "planned", "retrieved"]
    monkeypatch.setattr(nodes, "plan_again", plan_again)
    new.join(now=1000)
    assert [s.state for s in state.views.series(request)] == ["planned"] * 3
