"""The outbox in order: at start, and every hour."""

from __future__ import annotations

import shutil

from gateway.run.wiring import State
from gateway.settings import Settings


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


def has_room(settings: Settings) -> bool:
    """Whether `min_free_disk` is free where the outbox is; below it the receiver takes nothing, so nothing is asked for."""
    return shutil.disk_usage(settings.state_dir).free >= settings.receiver.min_free_disk
