"""What is missing of a series comes by itself: IMAGE level, instance by instance (docs/pacs-behaviour.md M5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cmove.limits import FEW, singly
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, instance, row

SERIES = f"{STUDY}.1"
SOP = uids(SERIES, 6)


def lists(reply: script.Reply) -> None:
    for uid in SOP:
        reply.send(0xFF00, row(SOPInstanceUID=uid))
    reply.send(0x0000)


class Archive:
    """Sends what is asked for, but for `lost`; B000 when something of it is. `knows_images`: has the IMAGE level."""

    def __init__(self, rig: Rig, *lost: str, knows_images: bool = True) -> None:
        self.rig, self.lost, self.knows_images = rig, set(lost), knows_images
        self.asked: list[str] = []

    def move(self, reply: script.Reply) -> None:
        single = str(reply.keys.get("SOPInstanceUID", ""))
        self.asked.append(single or reply.level)
        if single and not self.knows_images:
            reply.send(0xA900)
            return
        wanted = [uid for uid in ([single] if single else SOP) if uid not in self.lost]
        script.store(self.rig.receiver.port, [instance(STUDY, SERIES, uid) for uid in wanted])
        reply.send(0xB000 if len(wanted) < (1 if single else len(SOP)) else 0x0000)


@pytest.mark.catalogue("M5")
@pytest.mark.parametrize("by_get", [False, True])
def test_m5_just_what_is_missing_is_asked_for(rig: Rig, by_get: bool) -> None:
    rig.plan(SERIES)
    archive = Archive(rig, SOP[1], SOP[4])
    take = rig.on_store if by_get else None
    with ScriptedPacs(find=lists, move=archive.move) as peer:
        assert rig.step(peer, take=take).step()
        rig.now += 60.0
        archive.lost = {SOP[4]}
        assert rig.step(peer, take=take).step()
        assert archive.asked == ["SERIES", SOP[1], SOP[4]]
        assert (rig.only().state, rig.only().reason) == ("planned", "move.incomplete")
        rig.now += 600.0
        archive.lost = set()
        assert rig.step(peer, take=take).step()
        assert archive.asked[3:] == ["SERIES"], "every other time as a whole"
    assert (rig.only().state, rig.only().excluded) == ("excluded", 6)


@pytest.mark.catalogue("M5", "M9")
def test_m5_a_pacs_that_hangs_on_one_instance_is_not_asked_for_the_next(rig: Rig) -> None:
    """Fifty silences of 15 minutes each would keep all other series waiting for half a day."""
    rig.plan(SERIES)
    archive = Archive(rig, SOP[1], SOP[4])

    def hangs(reply: script.Reply) -> None:
        archive.asked.append(str(reply.keys.SOPInstanceUID))
        script.silent(reply)

    with ScriptedPacs(find=lists, move=script.in_turn(archive.move, hangs, hangs)) as peer:
        assert rig.step(peer).step()
        rig.now += 60.0
        assert rig.step(peer, response_timeout=0.5).step()
    assert archive.asked == ["SERIES", SOP[1]]
    assert (rig.only().state, rig.only().reason) == ("planned", "move.stalled")


@pytest.mark.catalogue("M5", "A10")
def test_m5_a_pacs_without_the_image_level_is_asked_for_the_whole(rig: Rig) -> None:
    rig.plan(SERIES)
    archive = Archive(rig, SOP[1], knows_images=False)
    with ScriptedPacs(find=lists, move=archive.move) as peer:
        assert rig.step(peer).step()
        archive.lost = set()
        rig.now += 60.0
        assert rig.step(peer).step()
    assert archive.asked == ["SERIES", SOP[1], "SERIES"]
    assert (rig.only().state, rig.only().excluded) == ("excluded", 6)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 8))
def test_only_little_of_what_is_mostly_here_and_never_every_time(missing: int, listed: int, attempts: int) -> None:
    chosen = singly(missing, listed, attempts)
    assert not chosen or 0 < missing <= min(FEW, listed - 1)
    assert not (singly(missing, listed, 1) and singly(missing, listed, 2))


@pytest.mark.catalogue("F14")
def test_f14_a_list_that_is_long_in_coming_is_done_without(rig: Rig) -> None:
    """Ten thousand images by a slow PACS: it answers, so neither it nor the series has failed."""
    rig.plan(SERIES, instances=6)
    slow = script.pending_for_ever(answer=row(SOPInstanceUID=SOP[0]))
    with ScriptedPacs(find=slow, move=Archive(rig).move) as pacs:
        assert rig.step(pacs).step()
    assert (rig.only().state, rig.only().expected) == ("excluded", 6)
    assert rig.board.states("pacs") == {"main": True}
