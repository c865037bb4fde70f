"""The list of a series ends before the number that the PACS told: cut off, or the number is wrong (docs/pacs-behaviour.md F7)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, instance, row

SERIES = f"{STUDY}.1"
SUCCESS = script.finals(0x0000)


def images(series: str, number: int = 4) -> Sequence[Dataset]:
    return [instance(STUDY, series, uid) for uid in uids(series, number)]


def lists(reply: script.Reply) -> None:
    """IMAGE level: four instances."""
    for uid in uids(SERIES, 4):
        reply.send(0xFF00, row(SOPInstanceUID=uid))
    reply.send(0x0000)


@pytest.mark.catalogue("F7")
def test_f7_a_list_that_is_cut_off_is_not_the_measure(rig: Rig) -> None:
    """Two of four are listed, the rest comes only after the final response."""
    rig.plan(SERIES, instances=4)
    find = script.rows(*[row(SOPInstanceUID=uid) for uid in uids(SERIES, 2)])

    def half_then_rest(reply: script.Reply) -> None:
        script.store(rig.receiver.port, images(SERIES)[:2])
        late = {"delay": 0.1}
        threading.Thread(target=script.store, args=(rig.receiver.port, images(SERIES)[2:]), kwargs=late).start()
        reply.send(0x0000)

    with ScriptedPacs(find=find, move=half_then_rest) as pacs:
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 4, 4)


@pytest.mark.catalogue("F7")
def test_f7_a_list_at_the_limit_of_the_pacs_is_none(rig: Rig) -> None:
    """Success, and as many instances as are listed: without the count it would be called complete."""
    rig.plan(SERIES, instances=6)
    some = script.sends(rig.receiver.port, images(SERIES, 4), then=SUCCESS)
    whole = script.sends(rig.receiver.port, images(SERIES, 6), then=SUCCESS)
    with ScriptedPacs(find=lists, move=script.in_turn(some, whole)) as pacs:
        step = rig.step(pacs, result_limit=4)
        assert step.step()
        assert (rig.only().state, rig.only().reason) == ("planned", "move.incomplete")
        rig.now += 60.0
        assert step.step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 6, 6)


@pytest.mark.catalogue("F7", "M4")
def test_f7_m4_a_list_that_is_cut_off_and_a_success_that_is_none(rig: Rig) -> None:
    """Two of six are listed, four come, and 0x0000: neither of them says what the count does."""
    rig.plan(SERIES, instances=6)
    find = script.rows(*[row(SOPInstanceUID=uid) for uid in uids(SERIES, 2)])
    some = script.sends(rig.receiver.port, images(SERIES, 4), then=SUCCESS)
    whole = script.sends(rig.receiver.port, images(SERIES, 6), then=SUCCESS)
    with ScriptedPacs(find=find, move=script.in_turn(some, whole)) as pacs:
        assert rig.step(pacs).step()
        assert (rig.only().state, rig.only().reason) == ("planned", "move.incomplete")
        rig.now += 60.0
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 6, 6)


@pytest.mark.catalogue("F7", "M7")
def test_f7_m7_a_count_that_is_wrong_is_believed_no_longer_than_a_move_brings_something(rig: Rig) -> None:
    rig.plan(SERIES, instances=6)
    some = script.sends(rig.receiver.port, images(SERIES, 4), then=SUCCESS)
    with ScriptedPacs(find=lists, move=some) as pacs:
        assert rig.step(pacs).step()
        assert rig.only().state == "planned"
        rig.now += 60.0
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().expected, rig.only().excluded) == ("excluded", 6, 4)
    told = [rig.moves(result) for result in ("complete", "incomplete", "failed")]
    assert told == [2, 0, 0], "a PACS whose counts are always too high raises no MovesFailing"
