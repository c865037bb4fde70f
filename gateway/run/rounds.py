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


def jobs(settings: Settings, state: State, told: Told, stop: threading.Event) -> list[Job]:
    """`stop`: a long poll ends after the batch in hand."""
    desk = broker.make_desk(settings, state)
    polls = wiring.make_polls(settings, state, told, stop)
    return [
        *((f"poll-{project}", schedule, poll.run) for project, schedule, poll in polls),
        ("broker", broker.EVERY, broker.Rounds(desk).step),
    ]
