"""Several nodes on one state: names, signs of life, turns, and what becomes of the files of a node that is gone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from gateway.errors import Fatal, Retry
from gateway.model import AccessionNumber
from gateway.state import nodes, settle
from gateway.state.db import progress
from gateway.state.fellowship import Fellowship
from gateway.state.nodes import Node
from gateway.state.rows import Pushed, Tally
from gateway.state.settle import Step
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, plan, reopened
from tests.support.carried import claim_row

WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})
HELD = Tally(expected=3, kept=2, excluded=0, refused=0, reasons={"pixels.text": 1}, held=1)
LEASE = 60.0


class Fellow:
    """A node with a connection of its own."""

    def __init__(self, state: Opened, name: str) -> None:
        self.database = reopened(state.place)
        self.store = Store(self.database, KEY, node=name)
        self.node = Fellowship(self.database, Node(name, f"home-of-{name}", LEASE))

    def retrieve(self, tally: Tally = WHOLE, *, now: float) -> str:
        claim = self.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=now)
        assert claim is not None
        assert self.store.settle_retrieved(claim.rows[0], tally, now=now)
        return claim.rows[0].key

    def settle_one(self) -> bool:
        claim = self.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200)
        return claim is not None and self.store.fail_series(claim.rows[0], reason="move.refused", now=200)

    def plan_one(self) -> bool:
        claims = self.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=200)
        return all(self.store.settle_found(c, plan("1.2.3.1", "1.2.3.2", "1.2.3.3"), now=200) for c in claims) and bool(
            claims
        )

    def carried(self, *, now: float, state: str = "retrieved", event: str = "delivered") -> str | None:
        row = claim_row(self.store, state, projects=[PROJECT], lease=60, now=now)
        if row is None:
            return None
        assert self.store.settle_row(row, event, now=now)
        return row.key


@pytest.fixture
def two(state: Opened) -> Iterator[tuple[Fellow, Fellow]]:
    fellows = Fellow(state, "gw1"), Fellow(state, "gw2")
    for fellow in fellows:
        fellow.node.join(now=0)
    yield fellows
    for fellow in fellows:
        fellow.database.close()


def live(*fellows: Fellow, until: int) -> None:
    for now in range(0, until + 1, 10):
        for fellow in fellows:
            assert fellow.node.beat(now)


def states(state: Opened, request: str) -> list[str]:
    return [s.state for s in state.views.series(request)]


def test_only_the_node_that_has_the_files_delivers_them(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1", "1.2.3.2")
    mine, theirs = one.retrieve(now=101), other.retrieve(now=101)
    assert [f.carried(now=102) for f in (one, one, other, other)] == [mine, None, theirs, None]
    assert one.carried(now=103, state="delivered", event="confirmed") == mine


def test_late_files_are_delivered_from_where_they_came(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1")
    key = one.retrieve(now=101)
    one.carried(now=102)
    one.carried(now=103, state="delivered", event="confirmed")
    assert other.store.late(key, now=104)
    assert (one.carried(now=105), other.carried(now=105)) == (None, key)


def test_held_instances_are_their_nodes_alone(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1")
    key = one.retrieve(HELD, now=101)
    assert (one.store.held_series(), other.store.held_series()) == ([key], [])
    assert other.store.settle_held(key, Tally(0, 0, 0, 0, {}), now=102) == "", "an empty folder elsewhere means nothing"
    assert one.store.settle_held(key, WHOLE, now=103) == "released"


@pytest.mark.parametrize("had", ["retrieved", "held", "delivered"])
def test_what_a_dead_node_had_is_retrieved_again(state: Opened, two: tuple[Fellow, Fellow], had: str) -> None:
    one, other = two
    state.ask("A1")
    request = state.plan("1.2.3.1")
    key = one.retrieve(HELD if had == "held" else WHOLE, now=101)
    assert had != "delivered" or one.carried(now=102)
    live(one, until=100)
    live(other, until=200)
    assert other.node.take_over(now=150) == 0, "its lease has not ended"
    assert other.node.take_over(now=200) == 1
    assert states(state, request) == ["planned"]
    assert (other.retrieve(now=201), other.carried(now=202)) == (key, key)
    assert [e.reason for e in state.views.history(request) if e.event == "orphaned"] == ["node.gone"]


def test_what_a_dead_node_had_in_hand_is_free(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    request = state.plan("1.2.3.1")
    one.retrieve(now=101)
    courier = claim_row(one.store, "retrieved", projects=[PROJECT], lease=3600, now=102)
    assert courier is not None
    live(other, until=200)
    other.node.take_over(now=200)
    other.retrieve(now=201)
    assert not one.store.settle_row(courier, "delivered", now=202), "it was only slow, and overwrites nothing"
    assert states(state, request) == ["retrieved"]


def test_an_archive_that_a_dead_node_had_filled_is_asked_anew(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1")
    one.retrieve(now=101)
    with state.database.write() as c:
        c.execute(sa.insert(progress).values(series_id=1, sink="directory", stage="delivered"))
    live(other, until=200)
    other.node.take_over(now=200)
    with state.database.read() as c:
        assert c.execute(sa.select(progress)).all() == []


def test_after_the_database_was_away_nobody_is_taken_for_dead(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1")
    one.retrieve(now=101)
    live(one, other, until=100)
    for now in (1000, 1030, 1059):  # no beat of anybody between
        other.node.beat(now)
        assert other.node.take_over(now) == 0
    one.node.beat(1055)
    other.node.beat(1061)
    assert other.node.take_over(1061) == 0


def test_a_database_whose_clock_is_set_back_still_tells_who_is_dead(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    state.ask("A1")
    state.plan("1.2.3.1")
    one.retrieve(now=101)
    for fellow in (one, other):
        assert fellow.node.beat(9000) and fellow.node.beat(9030)
    one.node.beat(500)
    for now in range(500, 701, 20):
        other.node.beat(now)
    assert other.node.take_over(now=700) == 1


def test_what_was_pushed_to_a_dead_node_waits_for_it(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    one, other = two
    came = Pushed(PROJECT, "1.2.9", "1.2.9.1", AccessionNumber("P1"), "PID-P1", "20260101", "CT", "{}")
    assert one.store.push(came, now=90)
    assert other.store.pushed([PROJECT]) == []
    (waiting,) = one.store.pushed([PROJECT])
    (row,) = one.store.claim_pushed([waiting.key], lease=60, now=91)
    assert one.store.settle_retrieved(row, WHOLE, now=92)
    live(other, until=200)
    assert other.node.take_over(now=200) == 0
    assert one.carried(now=201) == waiting.key


def test_what_came_late_to_a_dead_node_waits_for_it(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    """Its UIDs were dropped when it was confirmed."""
    one, other = two
    state.ask("A1")
    request = state.plan("1.2.3.1")
    key = one.retrieve(now=101)
    one.carried(now=102)
    one.carried(now=103, state="delivered", event="confirmed")
    assert one.store.late(key, now=104)
    live(other, until=200)
    assert other.node.take_over(now=200) == 0 and states(state, request) == ["retrieved"]
    assert one.carried(now=201) == key


def test_a_name_belongs_to_one_machine(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    twin = Fellowship(two[0].database, Node("gw1", "another-home", LEASE))
    with pytest.raises(Fatal, match="another machine"):
        twin.join(now=50)
    two[0].node.join(now=50)  # a restart


def test_a_new_machine_of_an_old_name_has_none_of_its_files(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    state.ask("A1")
    request = state.plan("1.2.3.1")
    two[0].retrieve(now=101)
    for step in (Fellowship.inherit, Fellowship.join):
        step(Fellowship(two[1].database, Node("gw1", "another-home", LEASE)), now=1000)
    assert states(state, request) == ["planned"]
    assert not two[0].node.beat(now=1001), "the old one is told, and ends"


def test_one_node_at_a_time(two: tuple[Fellow, Fellow]) -> None:
    one, other = (f.node for f in two)
    assert one.has_turn("poll", now=0) and not other.has_turn("poll", now=1)
    live(*two, until=100)
    assert one.has_turn("poll", now=100) and not other.has_turn("poll", now=100), "a sign of life keeps it"
    one.leave()
    assert other.has_turn("poll", now=101) and not one.has_turn("poll", now=101)
    assert one.has_turn("poll", now=300), "nobody has shown a sign of life"


def test_the_last_series_of_a_request_end_it_whoever_settles_them_at_the_same_time(
    state: Opened, two: tuple[Fellow, Fellow]
) -> None:
    """Neither sees what the other has not written yet, and both would leave it to the other."""
    for n in range(10):
        state.ask(f"A{n}")
        state.plan(f"1.2.{n}.1", f"1.2.{n}.2", study=f"1.2.{n}")
    together(two, lambda fellow: fellow.settle_one())
    assert {r.state for r in state.views.requests()} == {"failed"}


def test_a_look_that_finds_nothing_while_another_node_confirms_leaves_no_request_behind(
    state: Opened, two: tuple[Fellow, Fellow]
) -> None:
    """It was looked at once more while what had come late was delivered: planned for what is over, nobody would end it."""
    one, other = two
    state.ask("A1")
    (claim,) = one.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert one.store.settle_found(claim, replace(plan("1.2.3.1"), again=200.0), now=100)
    key = other.retrieve(now=101)
    other.carried(now=102)
    other.carried(now=103, state="delivered", event="confirmed")
    assert other.store.late(key, now=104) and other.carried(now=105) == key
    row = claim_row(other.store, "delivered", projects=[PROJECT], lease=60, now=200)
    (claim,) = one.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=200)
    looked = threading.Thread(target=one.store.settle_empty, args=(claim,), kwargs={"not_before": None, "now": 201})
    with other.database.write() as c:
        assert row and settle.claimed_series(c, row, Step("confirmed", 201))
        looked.start()
        looked.join(0.5)
    looked.join(60)
    assert [r.state for r in state.views.requests()] == ["done"]


def test_one_series_found_by_two_nodes_at_the_same_time_is_one_row(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    state.ask(*(f"A{n}" for n in range(20)))
    together(two, lambda fellow: fellow.plan_one())
    assert sum(state.views.counts().series.values()) == 3
    assert [len(state.views.series(r.key)) for r in state.views.requests()] == [3] * 20


def together(two: tuple[Fellow, Fellow], step: Callable[[Fellow], bool]) -> None:
    """Both at once until nothing is left; who got into the other's way tries again, as the worker does."""

    def work(fellow: Fellow) -> None:
        going = True
        while going:
            with contextlib.suppress(Retry):
                going = step(fellow)

    threads = [threading.Thread(target=work, args=(fellow,)) for fellow in two]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)


def test_a_state_of_one_node_is_its_nodes_whatever_it_is_called(state: Opened, two: tuple[Fellow, Fellow]) -> None:
    state.ask("A1")
    state.plan("1.2.3.1")
    key = two[0].retrieve(now=101)
    with state.database.write() as c:
        nodes.adopt(c, "gw2")
    assert two[1].carried(now=102) == key
