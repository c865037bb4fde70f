"""What real PACS do to a retrieval (docs/pacs-behaviour.md), scripted: the ledger decides, nobody waits behind another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from gateway.cmove import nearline
from gateway.errors import Retry
from gateway.model import Outcome
from gateway.state.rows import SeriesClaim
from tests.cmove.rig import QUICK, STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import Script, ScriptedPacs, instance, row

SERIES, OTHER = f"{STUDY}.1", f"{STUDY}.2"
SUCCESS = script.finals(0x0000)


def images(series: str, number: int = 4) -> list[Dataset]:
    return [instance(STUDY, series, uid) for uid in uids(series, number)]


def lists(reply: script.Reply) -> None:
    """IMAGE level: four instances in whatever series is asked for."""
    for uid in uids(str(reply.keys.SeriesInstanceUID), 4):
        reply.send(0xFF00, row(SOPInstanceUID=uid))
    reply.send(0x0000)


def by_series(**scripts: Script) -> Script:
    """C-MOVE scripts by the last component of the SeriesInstanceUID: `by_series(_1=...)`."""

    def move(reply: script.Reply) -> None:
        scripts[f"_{str(reply.keys.SeriesInstanceUID).rsplit('.', 1)[1]}"](reply)

    return move


def moved(pacs: ScriptedPacs) -> list[str]:
    return [str(keys.SeriesInstanceUID) for what, keys in pacs.asked if what == "move"]


def due(rig: Rig, after: float) -> SeriesClaim | None:
    """What could be claimed so many seconds from now; it is given back."""
    claim = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now + after)
    if claim is not None:
        rig.store.release_series(claim, reason="test", not_before=rig.now + after, charge=False, now=rig.now)
    return claim


@pytest.mark.catalogue("M3", "M14", "O2")
def test_m14_near_line_series_wait_for_their_tape_and_nobody_waits_behind_them(rig: Rig) -> None:
    rig.plan(SERIES)
    rig.plan(OTHER, project="q")
    port = rig.receiver.port
    slow = script.in_turn(SUCCESS, SUCCESS, script.sends(port, images(SERIES), then=SUCCESS))
    move = by_series(_1=slow, _2=script.sends(port, images(OTHER), then=SUCCESS))
    with ScriptedPacs(find=lists, move=move) as pacs:
        step = rig.step(pacs)
        assert step.step()
        assert {(s.project, s.state, s.reason) for s in rig.all_series()} == {
            ("p", "planned", "move.incomplete"), ("q", "excluded", "select.instance"),
        }  # fmt: skip
        assert due(rig, 3.0) is None
        rig.now += 7.0
        assert step.step(), "one quick retry: a PACS that was only busy sends now"
        assert due(rig, 600.0) is None
        rig.now += 1200.0
        assert step.step(), "and then at the pace of the tape"
        assert moved(pacs) == [SERIES, OTHER, SERIES, SERIES]
    assert {s.state for s in rig.all_series()} == {"excluded"}


@pytest.mark.catalogue("M14")
def test_m14_the_pauses_grow_to_a_day_and_are_spread() -> None:
    waits = [nearline.pause(n, "S-ONE") for n in range(8)]
    assert [round(w / p, 2) for w, p in zip(waits, [*nearline.PAUSES, *[86400.0] * 3], strict=True)] != [1.0] * 8
    assert all(0.75 * p <= w <= 1.25 * p for w, p in zip(waits, nearline.PAUSES, strict=False))
    assert len({nearline.pause(1, f"S-{n}") for n in range(20)}) == 20
    assert max(waits) <= 1.25 * 86400.0


@pytest.mark.catalogue("M4", "M7")
@pytest.mark.parametrize("sent", [0, 3])
def test_m4_success_with_failures_or_less_than_listed_is_not_complete(rig: Rig, sent: int) -> None:
    rig.plan(SERIES)
    said = script.finals(0x0000, NumberOfCompletedSuboperations=4, NumberOfFailedSuboperations=4 - sent)
    move = script.sends(rig.receiver.port, images(SERIES)[:sent], then=said)
    with ScriptedPacs(find=lists, move=move) as pacs:
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().reason) == ("planned", "move.incomplete")
    assert rig.moves("incomplete") == 1


@pytest.mark.catalogue("M9")
def test_m9_no_pending_at_all_as_long_as_instances_come(rig: Rig) -> None:
    """Longer than `response_timeout` without a response; one instance a while."""
    rig.plan(SERIES)

    def one_by_one(reply: script.Reply) -> None:
        for ds in images(SERIES):
            reply.wait(0.45)
            script.store(rig.receiver.port, [ds])
        reply.send(0x0000)

    with ScriptedPacs(find=lists, move=one_by_one) as pacs:
        assert rig.step(pacs, response_timeout=1.2).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)
    assert rig.moves("complete") == 1


@pytest.mark.catalogue("M10")
def test_m10_a_move_that_goes_on_after_our_abort_is_not_doubled(rig: Rig) -> None:
    rig.plan(SERIES)
    rig.outcome = Outcome.KEPT
    go_on = threading.Event()

    def the_rest() -> None:
        if go_on.wait(10.0):
            script.store(rig.receiver.port, images(SERIES)[2:], delay=0.3)

    def never_ends(reply: script.Reply) -> None:
        script.store(rig.receiver.port, images(SERIES)[:2])
        threading.Thread(target=the_rest).start()
        reply.wait(30.0)

    def lists_again(reply: script.Reply) -> None:
        lists(reply)
        go_on.set()

    with ScriptedPacs(find=lists, move=never_ends) as pacs:
        assert rig.step(pacs, response_timeout=0.5).step()
        assert (rig.only().state, rig.only().reason) == ("planned", "move.stalled")
        rig.now += 60.0
        pacs.find = lists_again
        patient = replace(QUICK, quiet=5.0)
        assert rig.step(pacs, patience=patient).step()
        assert moved(pacs) == [SERIES], "asked for once"
    assert (rig.only().state, rig.only().kept) == ("retrieved", 4)


@pytest.mark.catalogue("M10")
def test_m10_a_move_that_stopped_is_asked_for_again(rig: Rig) -> None:
    rig.plan(SERIES)

    def breaks(reply: script.Reply) -> None:
        script.store(rig.receiver.port, images(SERIES)[:2])
        reply.wait(30.0)

    whole = script.sends(rig.receiver.port, images(SERIES), then=SUCCESS)
    with ScriptedPacs(find=lists, move=script.in_turn(breaks, whole)) as pacs:
        assert rig.step(pacs, response_timeout=0.5).step()
        rig.now += 60.0
        assert rig.step(pacs).step()
        asked = [
            (str(k.QueryRetrieveLevel), str(k.get("SOPInstanceUID", ""))) for what, k in pacs.asked if what == "move"
        ]
        assert asked == [("SERIES", ""), *(("IMAGE", uid) for uid in uids(SERIES, 4)[2:])], "the two that are missing"
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("M11")
@pytest.mark.parametrize("status", [0xB000, 0xC000])
def test_m11_another_answer_to_a_cancel_is_no_failure(rig: Rig, status: int) -> None:
    rig.plan(SERIES)
    with ScriptedPacs(find=lists, move=script.until_cancelled(status)) as pacs:
        threading.Timer(0.2, rig.stop.set).start()
        assert rig.step(pacs, response_timeout=60.0).step()
    again = due(rig, 0.0)
    assert again is not None and again.attempts == 0
    assert rig.moves("stopped") == 1


@pytest.mark.catalogue("M15")
def test_m15_what_comes_besides_the_list_is_kept(rig: Rig) -> None:
    """The study grew between the list and the move."""
    rig.plan(SERIES)
    with ScriptedPacs(find=lists, move=script.sends(rig.receiver.port, images(SERIES, 6), then=SUCCESS)) as pacs:
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 6, 6)


@pytest.mark.catalogue("M16", "M3")
def test_m16_what_the_pacs_no_longer_lists_says_so_and_comes_when_it_is_there_again(rig: Rig) -> None:
    rig.plan(SERIES, instances=4)
    with ScriptedPacs(find=script.rows(), move=SUCCESS) as pacs:
        step = rig.step(pacs)
        assert step.step()
        assert (rig.only().state, rig.only().reason) == ("planned", "series.not-listed")
        pacs.find, pacs.move = lists, script.sends(rig.receiver.port, images(SERIES), then=SUCCESS)
        rig.now += 7.0
        assert step.step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("M17", "S3", "S8")
def test_m17_s8_series_interleaved_over_several_nodes_are_put_together_by_uid(rig: Rig) -> None:
    """One move sends both series, alternating, from two AE titles: the second is complete without a move of its own."""
    rig.plan(SERIES)
    rig.plan(OTHER, project="q")
    rig.outcome = Outcome.KEPT
    mixed = [ds for pair in zip(images(SERIES), images(OTHER), strict=True) for ds in pair]

    def both(reply: script.Reply) -> None:
        nodes: Sequence[tuple[str, list[Dataset]]] = (("NODE_A", mixed[::3]), ("NODE_B", mixed[1::3] + mixed[2::3]))
        threads = [
            threading.Thread(target=script.store, args=(rig.receiver.port, part), kwargs={"calling": name})
            for name, part in nodes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reply.send(0x0000)

    with ScriptedPacs(find=lists, move=both) as pacs:
        assert rig.step(pacs).step()
        assert moved(pacs) == [SERIES]
    assert {(s.state, s.kept) for s in rig.all_series()} == {("retrieved", 4)}


def with_data_set(reply: script.Reply) -> None:
    reply.send(0xFF00, row(StudyInstanceUID=STUDY))
    reply.wait(0.5)


@pytest.mark.catalogue("M19", "M6", "A9")
@pytest.mark.parametrize("end", [with_data_set, script.aborts, script.hangs_up, script.finals(0x1234)])
def test_m19_however_a_move_ends_the_ledger_decides(rig: Rig, end: Script) -> None:
    rig.plan(SERIES)
    with ScriptedPacs(find=lists, move=script.sends(rig.receiver.port, images(SERIES), then=end)) as pacs:
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("F18")
@pytest.mark.parametrize("bad", [script.finals(0xC000), script.finals(0xA900), SUCCESS, script.silent])
def test_f18_a_series_that_cannot_be_had_delays_no_other_of_its_study(rig: Rig, bad: Script) -> None:
    rig.plan(SERIES, OTHER)
    move = by_series(_1=bad, _2=script.sends(rig.receiver.port, images(OTHER), then=SUCCESS))
    with ScriptedPacs(find=lists, move=move) as pacs:
        assert rig.step(pacs, response_timeout=0.5).step()
    assert sorted(s.state for s in rig.all_series()) == ["excluded", "planned"]


@pytest.mark.catalogue("F17")
def test_f17_a_pacs_that_refuses_every_series_is_down(rig: Rig) -> None:
    rig.plan(SERIES, OTHER)
    with ScriptedPacs(find=lists, move=script.finals(0xA900)) as pacs, pytest.raises(Retry) as caught:
        rig.step(pacs).step()
    assert (caught.value.reason, caught.value.charge) == ("move.unsupported", False)
    assert (caught.value.after or 0) >= 60
    assert {s.state for s in rig.all_series()} == {"planned"}
    assert rig.board.states("pacs") == {"main": False}
