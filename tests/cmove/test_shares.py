"""Several projects at one PACS: none waits behind the back-fill of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cmove.shares import HALF_LIFE, Shares
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, instance, row


def run(shares: Shares, sizes: dict[str, int], rounds: int) -> dict[str, int]:
    """Instances by project, each with series of one size without end."""
    had = dict.fromkeys(sizes, 0)
    for n in range(rounds):
        project = shares.turns(sizes)[0]
        had[project] += sizes[project]
        shares = shares.served([project], sizes[project], float(n))
    return had


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 10))
def test_instances_are_shared_by_weight_whatever_the_size_of_the_series(large: int, small: int, weight: int) -> None:
    had = run(Shares({"a": float(weight)}), {"a": large, "b": small}, 400)
    most = max(large, small)
    assert abs(had["a"] / weight - had["b"]) <= 4 * most + 0.5 * had["b"]


def test_equal_shares() -> None:
    assert run(Shares(), {"a": 10, "b": 10, "c": 10}, 300) == {"a": 1000, "b": 1000, "c": 1000}


def test_who_had_nothing_for_a_day_gets_its_turn_and_no_more() -> None:
    shares = Shares()
    for n in range(1000):
        shares = shares.served(["a"], 100, float(n))
    assert shares.turns(["a", "b"]) == ["b", "a"]
    shares = shares.served(["b"], 0, 1000.0 + 100 * HALF_LIFE)
    assert shares.turns(["a", "b"]) == ["a", "b"]


def test_one_retrieval_for_two_counts_half_for_each() -> None:
    shares = Shares().served(["a", "b"], 100, 0.0).served(["c"], 60, 0.0)
    assert shares.turns(["c", "b", "a"]) == ["b", "a", "c"]


@pytest.mark.catalogue("M18")
def test_a_project_that_comes_later_does_not_wait_behind_a_back_fill(rig: Rig) -> None:
    rig.plan(*[f"{STUDY}.{n}" for n in range(1, 7)], project="p")
    rig.plan(*[f"{STUDY}.{n}" for n in range(7, 10)], project="q")

    def lists(reply: script.Reply) -> None:
        for uid in uids(str(reply.keys.SeriesInstanceUID), 2):
            reply.send(0xFF00, row(SOPInstanceUID=uid))
        reply.send(0x0000)

    def move(reply: script.Reply) -> None:
        of = str(reply.keys.SeriesInstanceUID)
        script.store(rig.receiver.port, [instance(STUDY, of, uid) for uid in uids(of, 2)])
        reply.send(0x0000)

    with ScriptedPacs(find=lists, move=move) as peer:
        assert rig.step(peer).step()
        asked = [int(str(keys.SeriesInstanceUID).rsplit(".", 1)[1]) for what, keys in peer.asked if what == "move"]
    assert asked == [1, 7, 2, 8, 3, 9, 4, 5, 6]
