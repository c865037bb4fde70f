"""What the daemon does by the clock for its projects: polls of the RIS, and what the honest broker has left to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from gateway.accession import vanished
from gateway.accession.optout import COLUMN, OptOut
from gateway.accession.poll import Poll
from gateway.accession.sql import SqlSource
from gateway.run import broker, manifesting, telling, wiring
from gateway.run.broker import Desk
from gateway.run.wiring import State, Told
from gateway.settings import Settings
from gateway.state.listed import Listed

Job: TypeAlias = tuple[str, str, Callable[[], object]]
"""Name, schedule, what is done."""
InTurn: TypeAlias = Callable[[str, Callable[[], object], Callable[[], object] | None], Callable[[], object]]


def jobs(settings: Settings, state: State, told: Told, stop: threading.Event, in_turn: InTurn) -> list[Job]:
    """`stop`: a long poll ends after the batch in hand. `in_turn`: for what one node does for all; each has its own outbox."""
    desk = broker.make_desk(settings, state)
    polls = wiring.make_polls(settings, state, told, stop)
    gone = [(f"vanished-{p.project}", vanished.EVERY, p.run) for p in _vanished(settings, state, stop)]
    shared: list[Job] = [
        *gone,
        *((f"poll-{name}", schedule, _opt_out_first(settings, name, desk, poll)) for name, schedule, poll in polls),
        ("broker", broker.EVERY, broker.Rounds(desk).step),
        *(
            (f"manifests-{p.name}", manifesting.EVERY, days.step)
            for p in settings.project
            if (days := manifesting.make_days(p))
        ),
    ]
    idle = {f"poll-{name}": poll.idle for name, _, poll in polls}
    turns = [(name, schedule, in_turn(name, job, idle.get(name))) for name, schedule, job in shared]
    own: list[Job] = [("withdrawn", broker.EVERY, desk.clear), ("unknown", broker.SELDOM, desk.clear_unknown)]
    return [*turns, *own, *_told(settings, desk)]


def _told(settings: Settings, desk: Desk) -> list[Job]:
    """Each node tells its own trail."""
    if settings.audit is None:
        return []
    told = telling.Telling(settings.audit, desk.node, desk.trail, desk.broker, time.monotonic)
    return [("audit", telling.EVERY, told.step)]


def _vanished(settings: Settings, state: State, stop: threading.Event) -> list[vanished.Vanished]:
    listed = Listed(state.database, state.keys)
    return [
        vanished.Vanished(p.name, wiring.make_sql_source(settings, p.name), listed, time.time, stop)
        for p in settings.project
        if p.source is not None and p.source.vanished == "cancel"
    ]


def _opt_out_first(settings: Settings, name: str, desk: Desk, poll: Poll) -> Callable[[], object]:
    """A poll that knows first who is not to be asked for. Raises Fatal for a query that makes no sense."""
    source = wiring.project(settings, name).source
    if source is None or source.opt_out is None:
        return poll.run
    ris = next(r for r in settings.ris if r.name == source.ris)
    listed = source.model_copy(update={"query": source.opt_out, "cursor": None})
    return OptOut(name, SqlSource(ris, listed, column=COLUMN), desk, poll.run, poll.failed).run
