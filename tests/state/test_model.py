"""The store beside a model of it: some stories here; the long form is `python -m tests.state.machine_of_rules --count N`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.state import settle
from tests.state.machine_of_rules import carry_through, check_history, play
from tests.state.pair import Pair


def test_nothing_is_lost_doubled_or_resurrected_and_the_balance_adds_up() -> None:
    play(5, 25, shrink=False)


def test_work_that_is_lost_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "close_requests", lambda *_: None)
    with pytest.raises((AssertionError, ExceptionGroup)):
        play(5, 25, shrink=False)


@pytest.fixture
def pair() -> Iterator[Pair]:
    opened = Pair()
    yield opened
    opened.close()


def test_a_series_that_another_request_excludes_ends_what_waited_for_it(pair: Pair) -> None:
    pair.add("p", ["A1", "A2"])
    first, second = pair.claim_requests(2)
    pair.found(first, {"1.2.1": (True, 3)})
    pair.found(second, {"1.2.1": (False, 3), "1.2.2": (True, 3)})
    pair.compare()
    pair.compare_balances()
    assert pair.model.requests[first.name].state == "done"
    carry_through(pair)
    check_history(pair)


def test_what_came_for_one_request_ends_the_other_that_had_failed_for_it(pair: Pair) -> None:
    pair.add("p", ["A1", "A2"])
    for held in pair.claim_requests(2):
        pair.found(held, {"1.2.1": (True, 3)})
    for held in pair.claim_series():
        pair.retrieved(held, "refused")
    pair.retry([("p", "A1")])
    carry_through(pair)
    check_history(pair)
    assert [request.state for request in pair.model.requests.values()] == ["done", "done"]
