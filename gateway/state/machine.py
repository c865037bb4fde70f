"""What may become of a request and of a series: two tables that decide, and nothing else.

Takes: a state and an event. Leaves: the next state, or `IllegalTransition`. Read a row as
`state: {event: next state}`; a state without events is an end. Time, leases and retries are not here: "in progress" is a
lease on the row, and a retry is `not_before`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import Fatal

REQUEST_START: Final = "new"
REQUEST: Final[Mapping[str, Mapping[str, str]]] = {
    "new": {
        "planned": "planned", "nothing-left": "done", "again": "new", "empty": "empty", "held": "held",
        "failed": "failed", "cancelled": "cancelled",
    },
    "empty": {
        "planned": "planned", "nothing-left": "done", "again": "new", "empty": "empty", "held": "held",
        "failed": "failed", "cancelled": "cancelled", "retried": "new",
    },
    "held": {"decided": "new", "retried": "new", "cancelled": "cancelled"},
    "planned": {"completed": "done", "again": "new", "failed": "failed", "cancelled": "cancelled"},
    "done": {"resumed": "planned", "asked-again": "new"},
    "failed": {"retried": "new", "resumed": "planned"},
    "cancelled": {"retried": "new"},
}  # fmt: skip

SERIES_START: Final = ("planned", "excluded")
SERIES: Final[Mapping[str, Mapping[str, str]]] = {
    "planned": {
        "retrieved": "retrieved", "excluded": "excluded", "held": "held", "failed": "failed", "withdrawn": "withdrawn",
    },
    "retrieved": {
        "delivered": "delivered", "held": "held", "failed": "failed", "orphaned": "planned", "withdrawn": "withdrawn",
    },
    "delivered": {
        "confirmed": "confirmed", "lost": "retrieved", "failed": "failed", "orphaned": "planned", "withdrawn": "withdrawn",
    },
    "confirmed": {"late": "retrieved", "grown": "planned", "withdrawn": "withdrawn"},
    "excluded": {"wanted": "planned", "withdrawn": "withdrawn"},
    "held": {
        "released": "retrieved", "discarded": "excluded", "failed": "failed", "orphaned": "planned", "withdrawn": "withdrawn",
    },
    "failed": {"retried": "planned", "withdrawn": "withdrawn"},
    "withdrawn": {},
}  # fmt: skip

UNDER_WAY: Final = frozenset({"retrieved", "delivered"})
"""Of a series that is on its way into archives."""
SERIES_ENDS: Final = frozenset({"confirmed", "excluded", "failed", "withdrawn"})
"""A request is over when every one of its series is in one of these."""


class IllegalTransition(Fatal):
    """A program mistake: this event cannot happen in this state."""


def after(table: Mapping[str, Mapping[str, str]], state: str, event: str) -> str:
    """The state that follows `event` in `state`. Raises IllegalTransition."""
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransition("state.transition", f"no event {event!r} in state {state!r}") from None


def request_end(series_states: frozenset[str]) -> str | None:
    """The event that closes a planned request whose series are in these states; None while one is still under way."""
    if not series_states <= SERIES_ENDS:
        return None
    return "failed" if "failed" in series_states else "completed"
