"""What is missing, what arrived, and how long silence lasts."""

from __future__ import annotations

import pytest

from gateway.cmove.limits import Arrivals, Wanted, is_complete, is_kept, tally, wanted
from gateway.model import LedgerLine, Outcome


def ledger(**outcomes: Outcome) -> dict[str, LedgerLine]:
    return {i: LedgerLine(i, o, "" if o is Outcome.KEPT else f"because.{o}") for i, o in outcomes.items()}


LISTED = frozenset({"a", "b", "c"})


@pytest.mark.parametrize(
    ("listed", "count", "expected"),
    [
        (LISTED, 3, Wanted(LISTED, 3)), (LISTED, None, Wanted(LISTED, None)), (frozenset(), 0, Wanted(frozenset(), 0)),
        (frozenset(), None, Wanted(None, None)), (frozenset(), 5, Wanted(None, 5)), (None, 5, Wanted(None, 5)),
        (None, 0, Wanted(None, None)),
    ],
)  # fmt: skip
def test_an_empty_list_is_believed_only_with_a_count_of_zero(
    listed: frozenset[str] | None, count: int | None, expected: Wanted
) -> None:
    assert wanted(listed, count) == expected


def test_missing_is_the_list_less_the_ledger_whatever_became_of_it() -> None:
    arrived = ledger(a=Outcome.KEPT, b=Outcome.REFUSED, x=Outcome.EXCLUDED)
    assert Wanted(LISTED, 99).missing(arrived) == 1
    assert Wanted(None, 5).missing(arrived) == 2
    assert Wanted(None, 2).missing(arrived) == 0
    assert Wanted(None, None).missing(arrived) is None
    assert Wanted(frozenset(), 0).missing({}) == 0


@pytest.mark.catalogue("M4", "M7")
@pytest.mark.parametrize(
    ("want", "arrived", "success", "complete"),
    [
        (Wanted(LISTED), ledger(a=Outcome.KEPT), True, False),
        (Wanted(frozenset("a")), ledger(a=Outcome.REFUSED), False, True),
        (Wanted(None, None), {}, True, False),
        (Wanted(None, None), ledger(a=Outcome.KEPT), True, True),
        (Wanted(None, None), ledger(a=Outcome.KEPT), False, False),
        (Wanted(None, 1), {}, True, False),
    ],
)
def test_success_counts_only_where_no_number_is_known(
    want: Wanted, arrived: dict[str, LedgerLine], success: bool, complete: bool
) -> None:
    assert is_complete(want, arrived, success=success) is complete


def test_where_list_and_count_differ_success_counts_when_nothing_new_comes() -> None:
    arrived = ledger(a=Outcome.KEPT, b=Outcome.KEPT, c=Outcome.KEPT)
    told = [(success, news) for success in (True, False) for news in (True, False)]
    complete = {t for t in told if is_complete(Wanted(LISTED, 5), arrived, success=t[0], news=t[1])}
    assert complete == {(True, False)}
    assert all(is_complete(Wanted(LISTED, 3), arrived, success=t[0], news=t[1]) for t in told)


def test_only_what_was_kept_needs_no_move() -> None:
    assert is_kept(Wanted(frozenset("a")), ledger(a=Outcome.KEPT))
    assert is_kept(Wanted(frozenset(), 0), {})
    assert not is_kept(Wanted(frozenset("a")), ledger(a=Outcome.EXCLUDED))
    assert not is_kept(Wanted(frozenset("ab")), ledger(a=Outcome.KEPT))
    assert not is_kept(Wanted(None, None), ledger(a=Outcome.KEPT))


def test_tally_adds_up() -> None:
    arrived = ledger(a=Outcome.KEPT, b=Outcome.REFUSED, x=Outcome.EXCLUDED, y=Outcome.EXCLUDED)
    counted = tally(Wanted(LISTED, 3), arrived)
    assert (counted.expected, counted.kept, counted.excluded, counted.refused) == (5, 1, 2, 1)
    assert counted.reasons == {"because.excluded": 2, "because.refused": 1}
    assert tally(Wanted(None, 7), arrived).expected == 7
    assert tally(Wanted(None, None), {}).expected == 0


@pytest.mark.catalogue("M8")
def test_quiet_counts_from_the_last_arrival() -> None:
    start = Arrivals(3, 100.0)
    assert start.seen(3, 104.0) is start
    assert start.quiet(105.0, 5.0)
    later = start.seen(4, 104.0)
    assert not later.quiet(108.0, 5.0)
    assert later.quiet(109.0, 5.0)
