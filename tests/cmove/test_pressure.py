"""How many moves a PACS bears, when it is left alone, and how fast it sends: decisions without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.cmove.breaker import LONGEST, TOLERATED, Breaker, State
from gateway.cmove.pace import Pace
from gateway.cmove.pressure import SETTLES, pressure

EVENTS = st.lists(st.tuples(st.sampled_from(["well", "slow", "strained"]), st.floats(0.0, 60.0)), max_size=60)


@given(st.integers(1, 64), EVENTS)
def test_never_below_one_never_above_the_configured_number(most: int, events: list[tuple[str, float]]) -> None:
    now, found = 0.0, pressure(most)
    for what, pause in events:
        now += pause
        found = found.strained(now) if what == "strained" else found.went_well(30.0 if what == "slow" else 0.1, 10, now)
        assert 1 <= found.moves <= most


def test_one_more_after_a_round_half_at_once() -> None:
    found = pressure(16).strained(0.0)
    assert found.moves == 8
    for _ in range(9):
        found = found.went_well(0.1, 10, 1.0)
    assert found.moves == 9
    assert found.strained(SETTLES - 1.0) == found, "further signs of what was under way"
    assert found.strained(SETTLES + 1.0).moves == 4


def test_an_answer_that_takes_much_longer_than_usual_is_a_sign() -> None:
    found = pressure(8)
    for n in range(20):
        found = found.went_well(0.3, 10, float(n))
    assert found.moves == 8
    assert found.went_well(1.1, 10, 30.0).moves == 8
    assert found.went_well(1.3, 10, 30.0).moves == 4
    assert found.went_well(3.0, 1000, 30.0).moves == 8, "a long list takes longer"
    quick = pressure(8).went_well(0.001, 10, 0.0)
    assert quick.went_well(0.5, 10, 30.0).moves == 8, "nobody notices half a second"


def test_what_is_slow_for_long_becomes_usual() -> None:
    found = pressure(8).went_well(0.5, 10, 0.0)
    for n in range(100):
        found = found.went_well(4.0, 10, 20.0 * n)
    assert found.moves > 1


def test_three_failures_in_a_row_open_and_an_answer_closes() -> None:
    found = Breaker()
    for _ in range(TOLERATED - 1):
        found = found.failed(0.0)
        assert found.state(0.0) is State.CLOSED
    assert found.answered().failed(0.0).state(0.0) is State.CLOSED
    found = found.failed(0.0)
    assert found.state(14.0) is State.OPEN
    assert found.state(15.0) is State.HALF_OPEN
    assert found.probing(15.0).state(16.0) is State.OPEN, "one tries, not all"
    assert found.probing(15.0).state(80.0) is State.HALF_OPEN, "one that never came back"
    again = found.echoed()
    assert again.state(15.0) is State.CLOSED
    assert again.failed(15.0).state(44.0) is State.OPEN, "on probation: twice as long"
    assert Breaker().failed(0.0, 300.0).state(299.0) is State.OPEN, "what a person has to put right"


@given(st.integers(1, 100))
def test_the_pause_never_exceeds_its_longest(failures: int) -> None:
    found = Breaker()
    for _ in range(failures):
        found = found.failed(0.0)
    assert found.state(LONGEST) is not State.OPEN


def test_the_pace_counts_busy_time_only() -> None:
    found = Pace().began(0.0)
    assert found.needed(10, 5.0) is None
    for n in range(1, 11):
        found = found.came(6.0 * n)
    found = found.ended(60.0)
    assert round(found.needed(10, 86400.0) or 0) == 60
    assert found.needed(0, 0.0) == 0.0


def test_a_series_that_is_complete_after_its_move_begins_no_busy_time() -> None:
    found = Pace().began(0.0)
    for n in range(1, 10):
        found = found.came(6.0 * n)
    found = found.ended(60.0).came(60.5)
    assert round(found.needed(10, 86400.0) or 0) == 60
    for n in range(1, 101):
        found = found.began(90000.0 + 600 * n).came(90060.0 + 600 * n).ended(90060.0 + 600 * n)
    assert 450 < (found.needed(10, 0.0) or 0) < 600, "the last hour counts most"
