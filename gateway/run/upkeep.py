"""The outbox in order: at start, and every hour."""

from __future__ import annotations

from gateway.run.wiring import State


def clear_outbox(state: State) -> int:
    """Clears the folders of series that failed or are excluded or withdrawn. Returns how many."""
    states = state.store.series_states(state.outbox.series())
    over = [key for key, found in states.items() if found in ("failed", "excluded", "withdrawn")]
    for key in over:
        state.outbox.clear(key)
    return len(over)


def resume_outbox(state: State, now: float, *, quiet: float = 0.0) -> int:
    """Files of confirmed series go to the courier again: left by a crash, or come in the second before the receiver knew.

    `quiet`: seconds since the confirmation; while the daemon runs, what is being removed just now is left alone.
    """
    states = state.store.series_states(state.outbox.series())
    confirmed = [key for key, found in states.items() if found == "confirmed"]
    left = [key for key in confirmed if (state.outbox.files(key) if quiet else not state.outbox.remove(key, ()))]
    return sum(state.store.late(key, now=now, quiet=quiet) for key in left)
