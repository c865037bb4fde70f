"""A PACS that wants to be left alone: windows, fewer moves at once, and none at all after failures; all slots as one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from gateway.cmove.gate import Gate
from gateway.errors import Retry
from gateway.model import Outcome
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, instance, row

SERIES = [f"{STUDY}.{n}" for n in range(1, 6)]
SUCCESS = script.finals(0x0000)
THURSDAY = datetime(2026, 11, 26, tzinfo=UTC).timestamp()
NIGHT = ("Mon-Fri 19:00-06:00",)


def images(series: str, number: int = 4) -> list[Dataset]:
    return [instance(STUDY, series, uid) for uid in uids(series, number)]


def lists(reply: script.Reply) -> None:
    for uid in uids(str(reply.keys.SeriesInstanceUID), 4):
        reply.send(0xFF00, row(SOPInstanceUID=uid))
    reply.send(0x0000)


def sends_it(rig: Rig) -> script.Script:
    """Whatever series is asked for."""

    def move(reply: script.Reply) -> None:
        script.store(rig.receiver.port, images(str(reply.keys.SeriesInstanceUID)))
        reply.send(0x0000)

    return move


def gate_of(rig: Rig, peer: ScriptedPacs, **more: object) -> Gate:
    return rig.gate(rig.pacs(peer, **more))


@pytest.mark.catalogue("M18")
def test_m18_nothing_is_asked_outside_the_window(rig: Rig) -> None:
    rig.now = THURSDAY + 12 * 3600
    rig.plan(SERIES[0])
    with ScriptedPacs(find=lists, move=sends_it(rig)) as peer:
        step = rig.step(peer, gate=gate_of(rig, peer, windows=NIGHT))
        assert not step.step()
        assert peer.associations == 0
        assert rig.counts.now["window_open", "main"] == 0.0
        rig.now = THURSDAY + 19 * 3600
        assert step.step()
    assert rig.counts.now["window_open", "main"] == 1.0
    assert rig.only().state == "excluded"


def test_one_that_failed_last_in_its_window_is_looked_at_by_echo_alone_until_the_next(rig: Rig) -> None:
    """Else it would be shown as down all weekend, and nobody but a C-FIND would know better."""
    rig.now = THURSDAY + 19 * 3600
    rig.plan(SERIES[0])
    with ScriptedPacs(find=lists, move=sends_it(rig)) as peer:
        step = rig.step(peer, gate=gate_of(rig, peer, windows=NIGHT))
        peer.ae._maximum_associations = 0
        with pytest.raises(Retry):
            step.step()
        rig.now = THURSDAY + 36 * 3600
        with pytest.raises(Retry):
            step.step()
        assert rig.board.states("pacs") == {"main": False}
        peer.ae.maximum_associations = 10
        rig.now += 60.0
        assert not step.step()
        assert rig.board.states("pacs") == {"main": True} and peer.asked == []
        before = peer.associations
        assert not step.step() and peer.associations == before, "once it has answered it is left alone"
        rig.now = THURSDAY + 43 * 3600
        assert step.step()


def test_one_that_refused_the_last_series_of_its_window_is_looked_at_too(rig: Rig) -> None:
    rig.now = THURSDAY + 19 * 3600
    rig.plan(*SERIES[:2])
    sends = sends_it(rig)

    def move(reply: script.Reply) -> None:
        (sends if reply.keys.SeriesInstanceUID == SERIES[0] else script.finals(0x0122))(reply)

    with ScriptedPacs(find=lists, move=move) as peer:
        step = rig.step(peer, gate=gate_of(rig, peer, windows=NIGHT))
        assert step.step()
        assert rig.board.states("pacs") == {"main": False}
        rig.now = THURSDAY + 36 * 3600
        assert not step.step()
        assert rig.board.states("pacs") == {"main": True}


@pytest.mark.catalogue("M18", "M11")
def test_m18_the_end_of_the_window_cancels_what_runs_and_begins_nothing_else(rig: Rig) -> None:
    rig.now = THURSDAY + 19 * 3600
    rig.plan(*SERIES[:2])
    heard: list[bool] = []

    def until_six(reply: script.Reply) -> None:
        script.store(rig.receiver.port, images(SERIES[0])[:2])
        rig.now = THURSDAY + 30 * 3600
        while reply.going and not (cancelled := reply.cancelled):
            reply.wait(0.02)
        heard.append(cancelled)
        reply.send(0xFE00)

    rig.outcome = Outcome.KEPT
    with ScriptedPacs(find=lists, move=script.in_turn(until_six, sends_it(rig))) as peer:
        step = rig.step(peer, response_timeout=60.0, gate=gate_of(rig, peer, windows=NIGHT))
        assert step.step()
        assert heard == [True], "by C-CANCEL"
        assert [s.state for s in rig.all_series()] == ["planned", "planned"]
        assert rig.board.states("pacs") == {}, "nobody is to blame"
        assert not step.step()
        rig.now = THURSDAY + 43 * 3600
        assert step.step(), "and goes on in the next one"
        levels = [str(keys.QueryRetrieveLevel) for what, keys in peer.asked if what == "move"]
        assert sorted(levels) == ["IMAGE", "IMAGE", "SERIES", "SERIES"], "two are here already"
    assert {(s.state, s.kept) for s in rig.all_series()} == {("retrieved", 4)}
    assert rig.moves("stopped") == 1


def test_no_move_begins_that_the_end_of_the_window_would_cut_short(rig: Rig) -> None:
    rig.now = THURSDAY + 19 * 3600
    with ScriptedPacs() as peer:
        gate = gate_of(rig, peer, windows=NIGHT)
        for _ in range(100):
            gate.came(300.0)
        gate.leave() if gate.enter(rig.now) else pytest.fail("the window has just begun")
        assert gate.enter(THURSDAY + 30 * 3600 - 200.0) is None
        rig.now = THURSDAY + 30 * 3600 - 400.0
        assert gate.may_go_on(rig.now)


@pytest.mark.catalogue("A2")
def test_a2_a_rejection_halves_the_moves_and_success_brings_them_back(rig: Rig) -> None:
    rig.plan(*SERIES)
    with ScriptedPacs(find=lists, move=sends_it(rig)) as peer:
        peer.ae._maximum_associations = 0
        for _ in range(3):  # pynetdicom's acceptor may end before its rejection has left
            gate = gate_of(rig, peer, max_moves=3)
            with pytest.raises(Retry) as caught:
                rig.step(peer, gate=gate).step()
            if caught.value.reason != "pacs.no-answer":
                break
        assert (caught.value.reason, caught.value.charge) == ("pacs.busy", False)
        assert gate.facts(rig.now).allowed == 1
        peer.ae.maximum_associations = 10
        rig.now += 20.0
        assert rig.step(peer, gate=gate).step()
        assert gate.facts(rig.now).allowed == 3, "after five series, and never more than max_moves"
    assert {s.state for s in rig.all_series()} == {"excluded"}
    assert rig.counts.now["moves_allowed", "main"] <= 3.0


@pytest.mark.catalogue("A2")
def test_a2_no_more_moves_run_than_are_borne(rig: Rig) -> None:
    rig.plan(*SERIES)
    most, now = [0], [0]
    lock = threading.Lock()

    def counted(reply: script.Reply) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        reply.wait(0.15)
        sends_it(rig)(reply)
        with lock:
            now[0] -= 1

    with ScriptedPacs(find=lists, move=counted) as peer:
        gate = gate_of(rig, peer, max_moves=4)
        for n in range(2):
            gate.failed(Retry("pacs.busy", charge=False))
            rig.now += 20.0 * (n + 1)
        gate.answered()
        steps = [rig.step(peer, gate=gate) for _ in range(4)]
        threads = [threading.Thread(target=step.step) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most[0] == 1, "four, two, one"
    assert {s.state for s in rig.all_series()} == {"excluded"}


@pytest.mark.catalogue("O1", "A4")
def test_after_failures_nobody_asks_until_one_echo_is_answered(rig: Rig) -> None:
    rig.plan(SERIES[0])
    with ScriptedPacs(find=lists, move=script.finals(0xA701)) as peer:
        gate = gate_of(rig, peer, max_moves=2)
        one, other = rig.step(peer, gate=gate), rig.step(peer, gate=gate)
        for _ in range(3):
            rig.now += 30.0
            with pytest.raises(Retry):
                one.step()
        asked, links = len(peer.asked), peer.associations
        assert not one.step() and not other.step(), "open: nobody asks, whoever it is"
        assert (len(peer.asked), peer.associations) == (asked, links)
        assert rig.counts.now["breaker_open", "main"] == 1.0
        peer.move = sends_it(rig)
        rig.now += 30.0
        assert one.step(), "half-open: C-ECHO is answered, and moves go on"
        assert peer.associations == links + 1
        assert not other.step()
    assert rig.counts.now["breaker_open", "main"] == 0.0
    assert rig.only().state == "excluded"


def test_an_echo_alone_says_that_the_pacs_is_up_when_nothing_is_due(rig: Rig) -> None:
    with ScriptedPacs() as peer:
        gate = gate_of(rig, peer)
        gate.failed(Retry("move.unknown-destination", after=300.0, charge=False))
        rig.board.down("pacs", "main", "move.unknown-destination", now=rig.now)
        rig.now += 301.0
        assert not rig.step(peer, gate=gate).step()
        assert (peer.associations, peer.asked) == (1, [])
        assert rig.board.states("pacs") == {"main": True}
        assert not rig.step(peer, gate=gate).step()
        assert peer.associations == 1, "once"


def test_an_echo_that_is_not_answered_asks_nothing_else(rig: Rig) -> None:
    rig.plan(SERIES[0])
    with ScriptedPacs(find=lists) as peer:
        gate = gate_of(rig, peer)
        gate.failed(Retry("move.unknown-destination", after=300.0, charge=False))
        rig.now += 301.0
        peer.ae._maximum_associations = 0
        with pytest.raises(Retry):
            rig.step(peer, gate=gate).step()
        assert peer.asked == []
        assert not rig.step(peer, gate=gate).step()
    assert rig.only().state == "planned"


@pytest.mark.catalogue("M2", "A3")
@pytest.mark.parametrize("status", [0xA702, 0xC000, 0xB000])
def test_m2_a_move_that_fails_while_we_refuse_is_neither_charged_nor_the_pacs_fault(rig: Rig, status: int) -> None:
    """Whatever the PACS makes of it: Orthanc says C000 for every cause."""
    rig.plan(*SERIES[:2])
    refused = [0.0]

    def move(reply: script.Reply) -> None:
        refused[0] += 1.0
        reply.send(status)

    with ScriptedPacs(find=lists, move=script.in_turn(move, sends_it(rig))) as peer:
        gate = gate_of(rig, peer, max_moves=4)
        step = rig.step(peer, gate=gate)
        step._crowded = lambda: refused[0]
        assert step.step()
        assert rig.board.states("pacs") == {"main": True}, "the second series came"
        assert sorted((s.state, s.reason) for s in rig.all_series()) == [
            ("excluded", "select.instance"), ("planned", "receiver.crowded"),
        ]  # fmt: skip
        assert gate.facts(rig.now).allowed == 2
    again = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now + 20.0)
    assert again is not None and again.attempts == 0


def test_status_foretells_over_closed_windows(rig: Rig) -> None:
    rig.now = THURSDAY + 29 * 3600
    with ScriptedPacs() as peer:
        gate = gate_of(rig, peer, windows=NIGHT)
        assert gate.done_at(10, rig.now) is None, "nothing came yet"
        with gate.moving():
            for _ in range(6):
                rig.now += 60.0
                gate.came(60.0)
        left = gate.done_at(60, rig.now)
        assert left is not None and abs(left - (THURSDAY + 43 * 3600 + 360)) < 120, (
            "54 minutes tonight, the rest at 19:00"
        )
