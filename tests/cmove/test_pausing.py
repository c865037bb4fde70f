"""Moves while the receiver takes nothing."""

from __future__ import annotations

import time

import pytest

from gateway.cmove.retrieve import MoveStep
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import Reply, Script, ScriptedPacs, instance, row

SERIES = [f"{STUDY}.{i}" for i in (1, 2)]
SOP = uids(SERIES[0], 4)
LIST = script.by_level(IMAGE=[row(SOPInstanceUID=uid) for uid in SOP])


def fills_up(rig: Rig, paused: list[bool], then: Script) -> Script:
    """While the first series is moved, there is no room any more."""

    def move(reply: Reply) -> None:
        paused[0] = True
        rig.lose |= set(SOP)
        script.store(rig.receiver.port, [instance(STUDY, SERIES[0], SOP[0])])
        then(reply)

    return move


def step_of(rig: Rig, peer: ScriptedPacs, paused: list[bool], *, response_timeout: float = 2.0) -> MoveStep:
    step = rig.step(peer, response_timeout=response_timeout)
    step._paused = lambda: paused[0]
    return step


@pytest.mark.parametrize("then", [script.finals(0xB000), script.silent], ids=["failed by the PACS", "goes on"])
def test_what_no_room_ended_is_given_back_uncharged_and_no_other_is_begun(rig: Rig, then: Script) -> None:
    rig.plan(*SERIES)
    paused = [False]
    with ScriptedPacs(find=LIST, move=fills_up(rig, paused, then)) as peer:
        start = time.monotonic()
        assert step_of(rig, peer, paused, response_timeout=4.0).step()
        assert time.monotonic() - start < 4.0, "it does not wait for the PACS to give up"
        assert len([1 for what, _ in peer.asked if what == "move"]) == 1
    claims = [rig.store.claim_series(pacs="main", projects=["p"], lease=1.0, now=rig.now) for _ in SERIES]
    assert [claim.attempts if claim else None for claim in claims] == [0, 0], "both are due at once"


def test_while_there_is_no_room_nothing_is_asked(rig: Rig) -> None:
    rig.plan(*SERIES)
    with ScriptedPacs(find=LIST, move=script.finals(0xB000)) as peer:
        assert not step_of(rig, peer, [True]).step()
        assert peer.asked == []


def test_with_room_it_is_the_series_fault(rig: Rig) -> None:
    rig.plan(SERIES[0])
    with ScriptedPacs(find=LIST, move=script.finals(0xB000)) as peer:
        assert step_of(rig, peer, [False]).step()
    assert rig.store.claim_series(pacs="main", projects=["p"], lease=1.0, now=rig.now) is None
    claim = rig.store.claim_series(pacs="main", projects=["p"], lease=1.0, now=rig.now + 86400.0)
    assert claim is not None and claim.attempts == 1


def test_what_alone_may_be_retrieved_is_and_nothing_else(rig: Rig) -> None:
    rig.plan(*SERIES)
    keys = [one.key for one in rig.all_series()]
    with ScriptedPacs(find=LIST, move=script.finals(0xB000)) as peer:
        step = rig.step(peer)
        step._only = lambda: frozenset(keys[1:])
        assert step.step()
        step._only = frozenset
        rig.now += 86400.0
        assert not step.step(), "both are due"
        asked = [identifier.SeriesInstanceUID for what, identifier in peer.asked if what == "move"]
    assert asked == SERIES[1:]
