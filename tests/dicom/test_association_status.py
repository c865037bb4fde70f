"""status and patience: whose failure it is, and what that costs."""

from __future__ import annotations

import pytest

from gateway.dicom.patience import LONGEST, REMEMBERED, Suspicion, back_off
from gateway.dicom.status import CONFIG_PAUSE, Failure, Whose, find_failure, move_failure


@pytest.mark.catalogue("F17")
@pytest.mark.parametrize(
    ("status", "whose", "reason"),
    [
        (0xA700, Whose.PEER, "find.out-of-resources"),
        (0xA900, Whose.CONFIG, "find.unsupported"),
        (0x0122, Whose.CONFIG, "find.unsupported"),
        (0x0124, Whose.CONFIG, "find.not-authorised"),
        (0x0212, Whose.CONFIG, "find.protocol"),
        (0xC000, Whose.ITEM, "find.unable"),
        (0xCFFF, Whose.ITEM, "find.unable"),
        (0xFE00, Whose.ITEM, "find.truncated"),
        (0x0001, Whose.ITEM, "find.strange-status"),
        (0xB001, Whose.ITEM, "find.strange-status"),
        (-1, Whose.ITEM, "find.strange-status"),
    ],
)
def test_find_statuses(status: int, whose: Whose, reason: str) -> None:
    assert find_failure(status) == Failure(whose, reason)


@pytest.mark.catalogue("M6")
@pytest.mark.parametrize(
    ("status", "whose", "reason"),
    [
        (0x0000, Whose.ITEM, "move.incomplete"),
        (0xB000, Whose.ITEM, "move.incomplete"),
        (0xFE00, Whose.ITEM, "move.incomplete"),
        (0xA701, Whose.PEER, "move.out-of-resources"),
        (0xA702, Whose.PEER, "move.suboperations"),
        (0xA801, Whose.CONFIG, "move.unknown-destination"),
        (0xA900, Whose.CONFIG, "move.unsupported"),
        (0x0120, Whose.CONFIG, "move.unsupported"),
        (0xC511, Whose.ITEM, "move.unable"),
        (0x1234, Whose.ITEM, "move.strange-status"),
    ],
)
def test_move_statuses(status: int, whose: Whose, reason: str) -> None:
    assert move_failure(status) == Failure(whose, reason)


def test_only_items_are_charged_and_configuration_waits_longest() -> None:
    item, peer, config = (Failure(whose, "x").error() for whose in (Whose.ITEM, Whose.PEER, Whose.CONFIG))
    assert (item.charge, peer.charge, config.charge) == (True, False, False)
    assert (item.after, peer.after, config.after) == (None, None, CONFIG_PAUSE)


def test_back_off_doubles_spreads_and_ends() -> None:
    waits = [back_off(n, "R-ONE") for n in range(12)]
    assert 22.5 <= waits[0] <= 37.5
    assert all(0.75 * 30 * 2**n <= w <= 1.25 * 30 * 2**n for n, w in enumerate(waits[:9]))
    assert max(back_off(n, "R-ONE") for n in range(2000)) <= LONGEST * 1.25
    assert len({back_off(3, f"R-{n}") for n in range(20)}) == 20
    assert back_off(3, "R-1") == back_off(3, "R-1")


@pytest.mark.catalogue("A2", "O1")
def test_an_outage_charges_nobody() -> None:
    suspicion = Suspicion()
    suspicion.answered("R-0")
    assert not any(suspicion.charges(key, "find.timeout") for key in ("R-1", "R-2", "R-1", "R-2", "R-1"))


@pytest.mark.catalogue("A9")
def test_a_question_that_fails_while_others_are_answered_is_charged() -> None:
    suspicion = Suspicion()
    assert not suspicion.charges("R-1", "pacs.aborted")
    suspicion.answered("R-2")
    assert suspicion.charges("R-1", "pacs.aborted")
    assert not suspicion.charges("R-1", "pacs.unreachable"), "nobody had asked anything"


def test_an_answer_clears_the_suspicion() -> None:
    suspicion = Suspicion()
    suspicion.charges("R-1", "find.timeout")
    suspicion.answered("R-1")
    assert not suspicion.charges("R-1", "find.timeout")


def test_suspicion_forgets_rather_than_grows() -> None:
    suspicion = Suspicion()
    for n in range(REMEMBERED + 1):
        suspicion.charges(f"R-{n}", "find.timeout")
    suspicion.answered("R-X")
    assert suspicion.charges(f"R-{REMEMBERED}", "find.timeout")
    assert not suspicion.charges("R-0", "find.timeout")


def test_as_many_as_wait_for_an_archive_are_remembered() -> None:
    """Of 1500 that it answers 0x0110 for good, each was tried each hour, for ever."""
    suspicion = Suspicion()
    for _ in range(2):
        charged = [suspicion.charges(f"S-{n}", "find.timeout") for n in range(40_000)]
        suspicion.answered("S")
    assert all(charged)
