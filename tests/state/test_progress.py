"""How far each archive of a series is: on SQLite and on PostgreSQL, and when two of them end at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from gateway.errors import Retry
from gateway.state import standing
from gateway.state.broker import Broker
from gateway.state.db import history, series
from gateway.state.db import progress as table
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.rows import SeriesRow, Tally
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened

SINKS = ("one", "two")
ONE, TWO = (Route(PROJECT, sink, SINKS) for sink in SINKS)


@pytest.fixture
def progress(state: Opened, tmp_path: Path) -> Progress:
    return Progress(state.database, state.store, Outbox(tmp_path / "outbox"), node="gw1")


def add(state: Opened, *keys: str) -> None:
    facts = {"project": PROJECT, "state": "retrieved", "pacs": "main", "node": "gw1", "created": 1.0, "updated": 1.0}
    with state.database.write() as c:
        for key in keys:
            c.execute(insert(series).values(**facts, key=key, series_hash=key, study_hash=key))


def states(state: Opened) -> dict[str, str]:
    with state.database.read() as c:
        return {r.key: r.state for r in c.execute(select(series.c.key, series.c.state).order_by(series.c.id))}


def claimed(progress: Progress, stage: Stage, route: Route, now: float = 100.0) -> SeriesRow:
    row = progress.claim(stage, route, lease=60, now=now)
    assert row is not None
    return row


def test_each_archive_claims_for_itself_the_oldest_first(state: Opened, progress: Progress) -> None:
    add(state, "S-1", "S-2")
    assert [claimed(progress, Stage.WAITING, route).key for route in (ONE, TWO, ONE)] == ["S-1", "S-1", "S-2"]
    assert progress.claim(Stage.WAITING, ONE, lease=60, now=159) is None
    assert claimed(progress, Stage.WAITING, ONE, now=161).key == "S-1", "its lease is over"
    assert progress.free() == 3
    assert claimed(progress, Stage.WAITING, ONE).key == "S-1"


def test_another_nodes_series_are_left_to_it(state: Opened, progress: Progress, tmp_path: Path) -> None:
    add(state, "S-1")
    other = Progress(state.database, state.store, Outbox(tmp_path / "other"), node="gw2")
    assert other.claim(Stage.WAITING, ONE, lease=60, now=100) is None
    claimed(progress, Stage.WAITING, ONE)
    assert other.free() == 0


def test_given_back_it_waits_and_a_lost_claim_settles_nothing(state: Opened, progress: Progress) -> None:
    add(state, "S-1")
    row = claimed(progress, Stage.WAITING, ONE)
    assert progress.release(row, ONE, reason="x", not_before=200, charge=True)
    assert progress.claim(Stage.WAITING, ONE, lease=60, now=199) is None
    again = claimed(progress, Stage.WAITING, ONE, now=200)
    assert again.attempts == 1
    assert not progress.release(row, ONE, reason="x", not_before=300, charge=True)
    assert not progress.delivered(row, ONE, now=201)
    assert progress.delivered(again, ONE, now=201)
    assert states(state) == {"S-1": "retrieved"}


def test_what_an_archive_does_not_take_says_so(state: Opened, progress: Progress) -> None:
    """The runbooks of what waits send people to `requests show`."""
    state.ask("A1")
    key = state.plan("1.1")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None
    state.store.release_series(claim, reason="move.incomplete", not_before=160, charge=True, now=102)
    (seen,) = state.views.series(key)
    assert (seen.state, seen.reason, seen.attempts, seen.next_attempt) == ("planned", "move.incomplete", 1, 160)
    again = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=161)
    assert again and state.store.settle_retrieved(again.rows[0], Tally(3, 3, 0, 0, {}), now=162)
    (seen,) = state.views.series(key)
    assert (seen.reason, seen.attempts, seen.next_attempt) == ("", 0, None)
    row = claimed(progress, Stage.WAITING, ONE, now=163)
    progress.release(row, ONE, reason="deliver.failed", not_before=193, charge=True)
    (seen,) = state.views.series(key)
    assert (seen.state, seen.reason, seen.attempts, seen.next_attempt) == ("retrieved", "deliver.failed", 1, 193)
    progress.delivered(claimed(progress, Stage.WAITING, ONE, now=194), ONE, now=195)
    (seen,) = state.views.series(key)
    assert (seen.reason, seen.next_attempt) == ("", None)
    progress.release(
        claimed(progress, Stage.WAITING, TWO, now=196), TWO, reason="deliver.failed", not_before=226, charge=True
    )
    order = Order(PROJECT, frozenset({"PID-A1"}), frozenset(), "", SINKS, lambda _: ())
    Broker(state.database, KEY).withdraw(order, now=197)
    (seen,) = state.views.series(key)
    assert (seen.state, seen.reason, seen.next_attempt) == ("withdrawn", "patient.withdrawn", None)


def test_a_failure_ends_the_series_and_its_rows(state: Opened, progress: Progress) -> None:
    add(state, "S-1")
    row, other = claimed(progress, Stage.WAITING, ONE), claimed(progress, Stage.WAITING, TWO)
    assert progress.failed(row, reason="deliver.conflict", now=101)
    assert states(state) == {"S-1": "failed"}
    assert not progress.delivered(other, TWO, now=102)
    assert progress.free() == 0


def test_who_has_lost_the_claim_ends_no_series(state: Opened, progress: Progress) -> None:
    """It may be another node's by now, whose archive takes it."""
    add(state, "S-1")
    lost = claimed(progress, Stage.WAITING, ONE)
    mine = claimed(progress, Stage.WAITING, ONE, now=161)
    assert not progress.failed(lost, reason="deliver.conflict", now=162)
    assert states(state) == {"S-1": "retrieved"}
    assert progress.failed(mine, reason="deliver.conflict", now=163)
    assert states(state) == {"S-1": "failed"}


def unlocked(progress: Progress, stage: Stage, route: Route) -> SeriesRow:
    """As `claimed`; what the other one settles at this moment is passed by (SKIP LOCKED), and is there the next time."""
    for _ in range(1000):
        if (row := progress.claim(stage, route, lease=60, now=100.0)) is not None:
            return row
        time.sleep(0.01)
    raise AssertionError("nothing to claim")


def test_two_that_end_at_once_leave_no_series_behind(state: Opened, progress: Progress) -> None:
    keys = [f"S-{n}" for n in range(20)]
    add(state, *keys)

    def both_ways(route: Route, start: threading.Barrier) -> None:
        for _ in keys:
            row = unlocked(progress, Stage.WAITING, route)
            start.wait(30)
            assert progress.delivered(row, route, now=101)
        for _ in keys:
            row = unlocked(progress, Stage.DELIVERED, route)
            start.wait(30)
            assert progress.confirmed(row, route, files=["a.dcm"], now=102)

    start = threading.Barrier(2)
    threads = [threading.Thread(target=both_ways, args=(route, start)) for route in (ONE, TWO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states(state) == dict.fromkeys(keys, "confirmed")
    with state.database.read() as c:
        events = [r.event for r in c.execute(select(history.c.event))]
    assert [events.count(e) for e in ("delivered", "receipt", "confirmed")] == [20, 20, 20]


def test_an_archive_that_is_new_at_a_start_gets_what_the_others_have(state: Opened, progress: Progress) -> None:
    add(state, "S-1")
    alone = Route(PROJECT, "one", ("one",))
    assert progress.delivered(claimed(progress, Stage.WAITING, alone), alone, now=101)
    assert states(state) == {"S-1": "delivered"} and progress.claim(Stage.WAITING, TWO, lease=60, now=102) is None
    assert progress.reckon(PROJECT, SINKS, now=102) == 0
    assert progress.delivered(claimed(progress, Stage.WAITING, TWO, now=103), TWO, now=104)
    assert states(state) == {"S-1": "delivered"}


def test_one_that_was_new_while_a_former_life_still_delivered_does_too(state: Opened, progress: Progress) -> None:
    add(state, "S-1")
    alone = Route(PROJECT, "one", ("one",))
    assert progress.delivered(claimed(progress, Stage.WAITING, alone), alone, now=101)
    assert progress.confirmed(claimed(progress, Stage.DELIVERED, ONE), ONE, files=["a"], now=102) == "delivered"
    assert progress.delivered(claimed(progress, Stage.WAITING, TWO, now=103), TWO, now=103)
    assert (
        progress.confirmed(claimed(progress, Stage.DELIVERED, TWO, now=104), TWO, files=["a"], now=104) == "confirmed"
    )


def test_how_far_the_archives_were_of_what_is_withdrawn_is_forgotten(state: Opened, progress: Progress) -> None:
    """One was down, one had it: when each has been seen to, there is nothing to go on with."""
    add(state, "S-1", "S-2")
    down = claimed(progress, Stage.WAITING, ONE)
    assert progress.release(down, ONE, reason="sink.unreachable", not_before=900, charge=False)
    assert progress.delivered(claimed(progress, Stage.WAITING, TWO), TWO, now=101)
    claimed(progress, Stage.WAITING, TWO)
    broker = Broker(state.database, KEY)
    order = Order(PROJECT, frozenset(), frozenset({"P"}), "", SINKS, lambda _: (), frozenset({"S-1"}))
    done = broker.withdraw(order, now=102)
    for sink in SINKS:
        broker.settled(done.key, sink, now=103)
    with state.database.read() as c:
        keys = c.execute(select(series.c.key).join(table, table.c.series_id == series.c.id)).scalars().all()
    assert keys == ["S-2"]


def test_those_that_wait_for_none_of_the_archives_any_more_go_on_in_pieces(
    state: Opened, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that was down for weeks is taken out of the configuration: 40,000 at once took longer than a transaction may."""
    keys = [f"S-{n}" for n in range(3)]
    add(state, *keys)
    for _ in keys:
        assert progress.delivered(claimed(progress, Stage.WAITING, ONE), ONE, now=101)
    assert set(states(state).values()) == {"retrieved"}
    monkeypatch.setattr(standing, "AT_ONCE", 1)
    show_again = standing.show_again

    def broken_off(*told: Any, after: int, now: float) -> tuple[int, int]:
        if after == 2:
            raise Retry("state.busy", charge=False)
        return show_again(*told, after=after, now=now)

    monkeypatch.setattr(standing, "show_again", broken_off)
    with pytest.raises(Retry):
        progress.reckon(PROJECT, ("one",), now=102)
    assert list(states(state).values()) == ["delivered", "delivered", "retrieved"]
    monkeypatch.setattr(standing, "show_again", show_again)
    assert progress.reckon(PROJECT, ("one",), now=103) == 3
    alone = Route(PROJECT, "one", ("one",))
    for _ in keys:
        row = claimed(progress, Stage.DELIVERED, alone, now=104)
        assert progress.confirmed(row, alone, files=["a"], now=105) == "confirmed"


def test_who_still_writes_of_another_patient_is_not_forgotten_with_the_first(state: Opened, progress: Progress) -> None:
    """Taking one out of an archive takes minutes, in which a second may be withdrawn while the courier puts his files there."""
    add(state, "S-1", "S-2")
    broker, keys = Broker(state.database, KEY), list[str]()
    orders = (
        Order(PROJECT, frozenset(), frozenset({s}), "", SINKS, lambda _: (), frozenset({s})) for s in ("S-1", "S-2")
    )
    keys.append(broker.withdraw(next(orders), now=100).key)
    assert [one.key for one in broker.pending([PROJECT], now=101)] == keys, "and it is carried on"
    row = claimed(progress, Stage.WAITING, ONE, now=102)
    keys.append(broker.withdraw(next(orders), now=103).key)
    broker.settled(keys[0], "one", now=104)
    assert broker.pending([PROJECT], now=105) == []
    assert not progress.delivered(row, ONE, now=106)
    assert [one.key for one in broker.pending([PROJECT], now=107)] == keys
    for key in keys:
        for sink in SINKS:
            broker.settled(key, sink, now=108)
    with state.database.read() as c:
        assert c.execute(select(table)).all() == []
