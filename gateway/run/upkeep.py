"""The outbox in order: at start, and every hour."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from gateway.deliver import header
from gateway.errors import Refused, Retry
from gateway.model import Outcome
from gateway.run.opening import State
from gateway.state.outbox import Outbox

ASKED_AT_ONCE = 1000  # series; a statement takes a limited number of values
SKEW = 60.0  # seconds; what was on its way when its series ended
OVER = frozenset({"failed", "excluded", "withdrawn"})  # states of which nothing is delivered


def clear_outbox(state: State) -> int:
    """Clears the folders of series that failed or are excluded or withdrawn. Returns how many.

    Each is looked at once more: clearing many takes minutes, in which somebody may retry them, and they are retrieved anew.
    """
    over = [key for key, found in _states(state).items() if found in OVER]
    for key in over:
        if state.store.series_states([key]).get(key) in OVER and not _came_since(state, key):
            state.outbox.clear(key)
    return len(over)


def unknown(state: State) -> list[str]:
    """Series with a folder that the state does not know, or not so: it was restored from before they came."""
    return sorted(key for key, found in _states(state).items() if _is_unknown(state, key, found))


def pseudonyms(outbox: Outbox, series: str) -> Iterator[str]:
    """Of the first file that waits, and of the first that is held; "" for one that went on its way meanwhile."""
    held = outbox.held.files(series) if outbox.held is not None else []
    for file in (*outbox.files(series)[:1], *held[:1]):
        try:
            yield header.read(file, ["PatientID"])["PatientID"]
        except (Refused, Retry):
            yield ""


def resume_outbox(state: State, now: float, *, quiet: float = 0.0) -> int:
    """Files of confirmed series go to the courier again: left by a crash, or come in the second before the receiver knew.

    `quiet`: seconds since the confirmation; while the daemon runs, what is being removed just now is left alone.
    """
    states = _states(state)
    _tell_unknown(state, states)
    confirmed = [key for key, found in states.items() if found == "confirmed"]
    for key in confirmed:  # by another node it may have been whole
        state.outbox.forget_damaged(key)
        _let_go(state, key)
    left = [key for key in confirmed if (state.outbox.files(key) if quiet else not state.outbox.remove(key, ()))]
    return sum(state.store.late(key, now=now, quiet=quiet) for key in left)


def _is_unknown(state: State, key: str, found: str) -> bool:
    return not found or (found in OVER and _came_since(state, key))


def _came_since(state: State, key: str) -> bool:
    """Pushed, and acknowledged, after nothing of it was wanted any more: so only an older database says, and nobody else has it."""
    since = state.store.left_out_since(key)
    return since is not None and any(_kept_at(file) > since + SKEW for file in _acknowledged(state.outbox, key))


def _acknowledged(outbox: Outbox, key: str) -> list[Path]:
    """Clean, or held."""
    return [*outbox.files(key), *(outbox.held.files(key) if outbox.held is not None else ())]


def _kept_at(file: Path) -> float:
    """Epoch seconds; 0.0: it is gone meanwhile, cleared by who looks in the same hour."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _let_go(state: State, key: str) -> None:
    """What another node has delivered in place of this one does not follow: by another version or other rules it is other bytes."""
    with contextlib.suppress(OSError):  # a ledger that is closed to us
        lines = state.outbox.ledger(key).values()
        kept = {line.instance: line.file for line in lines if line.outcome is Outcome.KEPT}
        if over := state.store.delivered_elsewhere(key, kept):
            state.outbox.remove(key, [state.outbox.path(key, kept[instance]) for instance in over])


def _tell_unknown(state: State, states: Mapping[str, str]) -> None:
    """An older database was restored beside this outbox: nobody knows whose these files are, until they are sent again."""
    keys = [key for key, found in states.items() if _is_unknown(state, key, found) and _acknowledged(state.outbox, key)]
    if keys:
        structlog.get_logger().error("outbox.unknown", count=len(keys), series=keys[:10])


def _states(state: State) -> dict[str, str]:
    """Of the series that have a folder; "" where no row knows it."""
    keys = state.outbox.series()
    found = dict.fromkeys(keys, "")
    for at in range(0, len(keys), ASKED_AT_ONCE):
        found |= state.store.series_states(keys[at : at + ASKED_AT_ONCE])
    return found
