"""What the daemon does by the clock for its projects: polls of the RIS, and what the honest broker has left to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from gateway.run import broker, wiring
from gateway.run.wiring import State, Told
from gateway.settings import Settings

Job: TypeAlias = tuple[str, str, Callable[[], object]]
"""Name, schedule, what is done."""
InTurn: TypeAlias = Callable[[str, Callable[[], object]], Callable[[], object]]


def jobs(settings: Settings, state: State, told: Told, stop: threading.Event, in_turn: InTurn) -> list[Job]:
    """`stop`: a long poll ends after the batch in hand. `in_turn`: for what one node does for all; each has its own outbox."""
    desk = broker.make_desk(settings, state)
    shared: list[Job] = [
        *(
            (f"poll-{project}", schedule, poll.run)
            for project, schedule, poll in wiring.make_polls(settings, state, told, stop)
        ),
        ("broker", broker.EVERY, broker.Rounds(desk).step),
    ]
    return [
        *((name, schedule, in_turn(name, job)) for name, schedule, job in shared),
        ("withdrawn", broker.EVERY, desk.clear),
    ]
