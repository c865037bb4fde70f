"""A new machine under the name of one that is gone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.errors import Fatal, Retry
from gateway.model import AccessionNumber
from gateway.state import nodes
from gateway.state.fellowship import Fellowship
from gateway.state.nodes import Node
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.rows import Pushed, Tally
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened

WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})
HOUR = 3600.0
YEAR = 365 * 24 * HOUR


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
        new.inherit(now=1000)
    assert sorted(s.state for s in state.views.series(request)) == ["planned", "planned", "retrieved"]
    monkeypatch.setattr(nodes, "plan_again", plan_again)
    new.inherit(now=1000)
    assert [s.state for s in state.views.series(request)] == ["planned"] * 3


def test_two_new_machines_at_once_take_nothing_from_each_other(state: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first has retrieved since it joined is in its outbox; the second found the name free the moment before."""
    Fellowship(state.database, Node("gw1", "old", 60)).join(now=100)
    first, second = (Fellowship(state.database, Node("gw1", home, 60)) for home in ("first", "second"))
    joining, joined = threading.Thread(target=first.join, args=[1000]), list[bool]()

    def meanwhile(*_: object) -> int:
        joining.start()
        joining.join(1)
        joined.append(not joining.is_alive())
        return 0

    monkeypatch.setattr(nodes, "plan_again", meanwhile)
    second.inherit(now=1000)
    joining.join(10)
    assert joined == [False], "it waits"
    second.inherit(now=1000)
    assert joined == [False], "nothing is inherited from who lives"
    with pytest.raises(Fatal, match=r"node\.taken"):
        second.join(now=1000)


def test_who_comes_back_while_it_is_taken_over_keeps_the_rest(state: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of 40,000 series takes minutes: what it retrieves meanwhile, and what it has claimed, would go the same way."""
    one, other = (Fellowship(state.database, Node(f"gw{n}", f"home-{n}", 60)) for n in (1, 2))
    for fellow in (one, other):
        fellow.join(now=0)
    state.ask("A1", now=0)
    request = state.plan("1.2.3.1", "1.2.3.2", "1.2.3.3", now=0)
    for _ in range(2):
        claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
        assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=0)
    for now in range(0, 201, 25):
        other.beat(now)
    plan_again, joined, back = nodes.plan_again, list[bool](), threading.Thread(target=one.beat, args=[201])

    def meanwhile(*told: object) -> int:
        if not joined:
            back.start()
            back.join(0.5)
            joined.append(not back.is_alive())
        return plan_again(*told)  # type: ignore[arg-type]

    monkeypatch.setattr(nodes, "AT_ONCE", 1)
    monkeypatch.setattr(nodes, "plan_again", meanwhile)
    assert other.take_over(now=200) == 1
    back.join(10)
    assert joined == [False], "it waits until that piece is over"
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=201)
    assert claim is not None and other.take_over(now=202) == 0
    assert state.store.settle_retrieved(claim.rows[0], WHOLE, now=203)
    assert sorted(s.state for s in state.views.series(request)) == ["planned", "retrieved", "retrieved"]


def test_after_the_database_was_away_for_a_little_less_than_a_lease_nobody_is_taken_for_dead(state: Opened) -> None:
    """Of two nodes one had shown later than the other that it lives, and was first to find the database back."""
    one, other = (Fellowship(state.database, Node(f"gw{n}", f"home-{n}", 60)) for n in (1, 2))
    state.ask("A1", now=0)
    state.plan("1.2.3.1", now=0)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=0)
    for fellow in (one, other):
        fellow.join(now=0)
    for now in range(0, 101, 10):
        assert one.beat(now) and other.beat(now + 9)
    assert other.beat(165) and other.take_over(165) == 0
    assert one.beat(166)


@pytest.mark.parametrize("ahead", [2 * HOUR, YEAR], ids=["local time for UTC", "another year"])
def test_who_died_while_the_clock_was_ahead_is_dead(state: Opened, ahead: float) -> None:
    """Its series and its turns are the others', and its name is free, within a lease: not in a year. Nobody who lives is dead."""
    dead, one, other = (Fellowship(state.database, Node(f"gw{n}", f"home-{n}", 60)) for n in (1, 2, 3))
    for fellow in (dead, one, other):
        fellow.join(now=0)
    state.ask("A1", now=0)
    request = state.plan("1.2.3.1", now=0)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=0)
    for fellow in (dead, one, other):
        assert fellow.beat(ahead)
    assert dead.has_turn("poll", ahead) and not one.has_turn("poll", ahead)
    assert one.beat(100) and one.take_over(100) == 0, "the other has not been heard since"
    assert other.beat(120)
    assert one.beat(130) and one.take_over(140) == 0 and one.beat(150)
    assert one.take_over(161) == 1
    assert [s.state for s in state.views.series(request)] == ["planned"]
    assert one.has_turn("poll", 180) and not other.has_turn("poll", 181)
    Fellowship(state.database, Node("gw1", "new", 60)).join(now=182)
    with pytest.raises(Fatal):
        Fellowship(state.database, Node("gw2", "new", 60)).join(now=182)


def test_who_has_a_longer_lease_than_others_lives(state: Opened) -> None:
    """Of two machines one has the new configuration already."""
    long, short = Fellowship(state.database, Node("gw1", "1", YEAR)), Fellowship(state.database, Node("gw2", "2", 60))
    for fellow in (long, short):
        fellow.join(now=0)
    state.ask("A1", now=0)
    state.plan("1.2.3.1", now=0)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=0)
    assert long.has_turn("poll", 0)
    for now in (50, 100, 150):
        assert short.beat(now) and short.take_over(now) == 0 and not short.has_turn("poll", now)


def test_under_another_name_it_delivers_what_lies_in_its_outbox(state: Opened) -> None:
    """What was pushed waited for the former name for good. What lies in no outbox of ours, and is a living one's, stays."""
    before, other = (Fellowship(state.database, Node(f"gw{n}", f"home-{n}", 60)) for n in (1, 2))
    for fellow, name in ((before, "gw1"), (other, "gw2")):
        fellow.join(now=0)
        store = Store(state.database, KEY, node=name)
        for n in (1, 2):
            came = AccessionNumber(f"{name}P{n}")
            uids = (f"1.2.{name[-1]}", f"1.2.{name[-1]}.{n}")
            assert store.push(Pushed(PROJECT, *uids, came, f"PID-{n}", "20260101", "CT", "{}"), now=10)
    (kept, _), theirs = (
        [w.key for w in Store(state.database, KEY, node=name).pushed([PROJECT])] for name in ("gw1", "gw2")
    )
    renamed, outbox = Fellowship(state.database, Node("new-name", "home-1", 60)), [kept, *theirs]
    renamed.join(now=50)
    assert other.beat(50) and renamed.rejoin(lambda: outbox, now=55) == 0, "who bears that name may live"
    assert renamed.rejoin(lambda: outbox, now=100) == 1
    assert [w.key for w in Store(state.database, KEY, node="new-name").pushed([PROJECT])] == [kept]
    assert other.rejoin(lambda: outbox, now=100) == 0


def test_nor_does_it_wait_for_what_it_was_putting_under_that_name(state: Opened, tmp_path: Path) -> None:
    """The courier's claim is for an hour, the lease of a name for minutes."""
    Fellowship(state.database, Node("gw1", "home-1", 60)).join(now=0)
    state.ask("A1", now=0)
    (series,) = state.views.series(state.plan("1.2.3.1", now=0))
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=0)
    outbox, route = Outbox(tmp_path / "outbox"), Route(PROJECT, "archive", ("archive",))
    assert Progress(state.database, state.store, outbox, node="gw1").claim(Stage.WAITING, route, lease=HOUR, now=0)
    renamed = Fellowship(state.database, Node("new-name", "home-1", 60))
    renamed.join(now=50)
    assert renamed.rejoin(lambda: [series.key], now=100) == 1
    couriers = Progress(state.database, state.store, outbox, node="new-name")
    assert couriers.claim(Stage.WAITING, route, lease=HOUR, now=100)


def test_nor_where_it_is_the_only_machine(tmp_path: Path) -> None:
    """A container is called otherwise at each start: after a crash a delivery waited for an hour, a request for a quarter."""
    state = Opened(tmp_path)
    outbox, route = Outbox(tmp_path / "outbox"), Route(PROJECT, "archive", ("archive",))
    state.ask("A1", "A2", now=0)
    state.plan("1.2.3.1", "1.2.3.2", now=0)
    first = state.store.claim_series(pacs="main", projects=[PROJECT], lease=HOUR, now=0)
    assert first is not None and state.store.settle_retrieved(first.rows[0], WHOLE, now=0)

    def claims(name: str) -> list[object]:
        store = Store(state.database, KEY, node=name)
        store.free_node()
        couriers = Progress(state.database, store, outbox, node=name)
        return [
            store.claim_requests(projects=[PROJECT], limit=1, lease=HOUR, now=1),
            store.claim_series(pacs="main", projects=[PROJECT], lease=HOUR, now=1),
            couriers.claim(Stage.WAITING, route, lease=HOUR, now=1),
        ]

    assert all(claims("gw1")) and all(claims("new-name"))
    state.database.close()


def test_who_has_lost_its_name_leaves_the_turns_of_that_name_alone(state: Opened) -> None:
    """It ends, and the machine that has the name now was polling: another began the same poll beside it."""
    old, new, other = (
        Fellowship(state.database, Node(*names, 60)) for names in (("gw1", "old"), ("gw1", "new"), ("gw2", ""))
    )
    for node, now in ((old, 100), (new, 1000), (other, 1000)):
        node.join(now)
    assert new.has_turn("poll", now=1000)
    old.leave()
    assert not other.has_turn("poll", now=1001)


def test_who_left_in_order_may_come_back_from_another_address(state: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload, or a container of a new version, waited for a third of a lease, to see whether a copy of it lives."""
    one = Fellowship(state.database, Node("gw1", "home", 60))
    one.join(now=100)
    monkeypatch.setattr(nodes, "address", lambda _: "192.0.2.7")
    assert one.elsewhere(now=101) is not None, "after a crash"
    one.leave()
    assert one.elsewhere(now=101) is None
