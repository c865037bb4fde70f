"""What the daemon does by the clock for its projects: polls of the RIS, and what the honest broker has left to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gateway.accession import vanished
from gateway.accession.optout import COLUMN, OptOut
from gateway.accession.poll import Poll
from gateway.run import broker, manifesting, telling, wiring
from gateway.run.broker import Desk
from gateway.run.opening import State
from gateway.run.wiring import Told
from gateway.settings import Settings, Source
from gateway.state.listed import Listed

Job: TypeAlias = tuple[str, str, Callable[[], object]]
"""Name, schedule, what is done."""
InTurn: TypeAlias = Callable[[str, Callable[[], object], Callable[[], object] | None], Callable[[], object]]


def jobs(settings: Settings, state: State, told: Told, stop: threading.Event, in_turn: InTurn) -> list[Job]:
    """`stop`: a long poll ends after the batch in hand. `in_turn`: for what one node does for all, which is to ask the RIS; the
    rest is about this node's own outbox, or may be done twice."""
    desk = broker.make_desk(settings, state)
    return [
        *Polls(settings, state, told, stop, desk, in_turn).jobs(),
        ("broker", broker.EVERY, broker.Rounds(desk).step),
        *(
            (f"manifests-{p.name}", manifesting.EVERY, days.step)
            for p in settings.project
            if (days := manifesting.make_days(p))
        ),
        ("withdrawn", broker.EVERY, desk.clear),
        ("unknown", broker.SELDOM, desk.clear_unknown),
        ("receipts", broker.SELDOM, in_turn("receipts", partial(desk.broker.forget_receipts, stop), None)),
        *_told(settings, desk),
    ]


def _told(settings: Settings, desk: Desk) -> list[Job]:
    """Each node tells its own trail."""
    if settings.audit is None:
        return []
    told = telling.Telling(settings.audit, desk.node, desk.trail, desk.broker, time.monotonic)
    return [("audit", telling.EVERY, told.step)]


@dataclass(frozen=True)
class Polls:
    """Of the RIS, for each project that has a source. Raises Fatal for a query that makes no sense."""

    settings: Settings
    state: State
    told: Told
    stop: threading.Event
    desk: Desk
    in_turn: InTurn

    def jobs(self) -> Iterator[Job]:
        listed = Listed(self.state.database, self.state.keys)
        for project, source in wiring.sourced(self.settings):
            if source.vanished == "cancel":
                rows = wiring.make_sql_source(self.settings, source)
                gone = vanished.Vanished(project.name, rows, listed, time.time, self.stop)
                name = f"vanished-{project.name}"
                yield name, vanished.EVERY, self.in_turn(name, gone.run, None)
            poll = Poll(
                project=project.name, ris=source.ris, source=wiring.make_sql_source(self.settings, source),
                cursor=source.cursor, overlap=source.overlap, store=self.state.store, listed=listed,
                count=self.told.count, board=self.told.board, clock=self.told.clock, stop=self.stop,
            )  # fmt: skip
            name = f"poll-{project.name}"
            yield name, source.schedule, self.in_turn(name, self._opt_out_first(source, poll), poll.idle)

    def _opt_out_first(self, source: Source, poll: Poll) -> Callable[[], object]:
        """A poll that knows first who is not to be asked for."""
        if source.opt_out is None:
            return poll.run
        listed = source.model_copy(update={"query": source.opt_out, "cursor": None})
        patients = wiring.make_sql_source(self.settings, listed, column=COLUMN)
        return OptOut(poll.project, patients, self.desk, poll.run, poll.failed).run
