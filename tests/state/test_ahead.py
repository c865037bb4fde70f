"""A clock that was a year ahead, and is right again: nothing that was written meanwhile waits for a year."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.rows import Tally
from tests.state.conftest import PROJECT, Opened
from tests.support.carried import claim_row

NOW = 1_000_000.0
AHEAD = NOW + 365 * 86400.0
HOUR = 3600.0
ROUTE = Route(PROJECT, "archive", ("archive",))
WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def set_right(state: Opened) -> None:
    while state.store.wait_anew(NOW):
        pass


def claimed(state: Opened, now: float) -> int:
    return len(state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=now))


@pytest.mark.catalogue("O3")
def test_requests_wait_as_long_as_was_meant(state: Opened) -> None:
    state.ask("A1", now=AHEAD)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=AHEAD)
    state.store.settle_empty(claim, not_before=AHEAD + HOUR, now=AHEAD)
    state.ask("A2", now=AHEAD)
    assert claimed(state, NOW) == 0
    set_right(state)
    assert claimed(state, NOW) == 1
    assert claimed(state, NOW + HOUR - 1) == 1, "whose lease has ended, and no other"
    assert claimed(state, NOW + HOUR) == 1


def test_what_was_written_by_a_clock_that_was_right_stays(state: Opened) -> None:
    state.ask("A1", now=NOW)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=NOW)
    state.store.settle_empty(claim, not_before=NOW + 30 * 86400, now=NOW)
    assert state.store.wait_anew(NOW) == 0
    assert claimed(state, NOW + 29 * 86400) == 0


@pytest.mark.catalogue("O3")
def test_series_and_their_archives_do_not_wait_either(state: Opened, tmp_path: Path) -> None:
    state.ask("A1", now=AHEAD)
    state.plan("1.2.3.1", now=AHEAD)
    assert state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=NOW) is None
    set_right(state)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=NOW)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=AHEAD)
    progress = Progress(state.database, state.store, Outbox(tmp_path / "outbox"), node="gw1")
    row = progress.claim(Stage.WAITING, ROUTE, lease=60, now=AHEAD)
    assert row is not None
    assert progress.release(row, ROUTE, reason="sink.busy", not_before=AHEAD + HOUR, charge=False)
    assert progress.claim(Stage.WAITING, ROUTE, lease=60, now=NOW) is None
    set_right(state)
    assert progress.claim(Stage.WAITING, ROUTE, lease=60, now=NOW) is not None


def test_what_comes_late_for_a_series_that_was_confirmed_meanwhile_is_delivered(state: Opened) -> None:
    state.ask("A1", now=AHEAD)
    key = state.plan("1.2.3.1", now=AHEAD)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=AHEAD)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=AHEAD)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=AHEAD)
        assert row is not None and state.store.settle_row(row, event, now=AHEAD)
    assert state.store.late(claim.rows[0].key, now=NOW)
    assert [s.state for s in state.views.series(key)] == ["retrieved"]
