"""The transition tables: every state can be reached, every unfinished state can end, nothing else is possible."""

from __future__ import annotations

import pytest

from gateway.state.machine import (
    REQUEST,
    REQUEST_START,
    SERIES,
    SERIES_ENDS,
    SERIES_START,
    IllegalTransition,
    after,
    request_end,
)


def reachable(table: object, start: tuple[str, ...]) -> set[str]:
    seen, todo = set(start), list(start)
    while todo:
        for state in table[todo.pop()].values():  # type: ignore[index]
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return seen


@pytest.mark.parametrize(("table", "start"), [(REQUEST, (REQUEST_START,)), (SERIES, SERIES_START)])
def test_every_state_is_declared_and_reachable(table: object, start: tuple[str, ...]) -> None:
    assert reachable(table, start) == set(table)  # type: ignore[call-overload]


@pytest.mark.parametrize("state", sorted(SERIES))
def test_every_series_can_end(state: str) -> None:
    assert reachable(SERIES, (state,)) & SERIES_ENDS


@pytest.mark.parametrize("state", sorted(REQUEST))
def test_every_request_can_end(state: str) -> None:
    assert reachable(REQUEST, (state,)) & {"done", "failed", "cancelled"}


def test_an_event_that_cannot_happen_is_refused() -> None:
    with pytest.raises(IllegalTransition):
        after(SERIES, "withdrawn", "retrieved")


def test_the_next_state_is_the_tables() -> None:
    assert after(REQUEST, "new", "planned") == "planned"


@pytest.mark.parametrize(
    ("states", "event"),
    [
        ({"planned", "confirmed"}, None),
        ({"held", "confirmed"}, None),
        ({"confirmed", "excluded"}, "completed"),
        ({"excluded"}, "completed"),
        ({"failed", "confirmed"}, "failed"),
        ({"failed", "retrieved"}, None),
        ({"withdrawn"}, "completed"),
    ],
)
def test_when_a_request_is_over(states: set[str], event: str | None) -> None:
    assert request_end(frozenset(states)) == event
