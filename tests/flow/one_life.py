"""A daemon's life in one process, for `compositions`: its steps and its intakes over the real state, outbox and archive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway.cmove.ends import Patience
from gateway.cmove.gate import Gate
from gateway.cmove.retrieve import MoveStep
from gateway.cstore.page import Page
from gateway.keys import Keys
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.run import broker, delivering, moving, upkeep, wiring
from gateway.run.opening import open_state
from gateway.settings import Project, Settings

PROJECT: Final = "chest-ct"
KEY: Final = bytes(range(1, 33))
CONFIG: Final = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"
receiver = {{ min_free_disk = "1 MB" }}
pacs = [
    {{ name = "main", ae_title = "MAIN", host = "127.0.0.1" }},
    {{ name = "old", ae_title = "OLD", host = "127.0.0.1" }},
]

[[project]]
name = "chest-ct"
pacs = ["main", "old"]
select = {{ study = "'CT' in ModalitiesInStudy" }}
deliver = [{{ type = "directory", path = "{folder}/archive" }}]
"""
MAKE_CLEANER: Final = wiring.make_cleaner
MADE: Final[dict[str, Any]] = {}


def cleaner(project: Project, keys: Keys) -> Any:
    """One for all lives: it takes half a second to make, and keeps nothing."""
    if project.name not in MADE:
        MADE[project.name] = MAKE_CLEANER(project, keys)
    return MADE[project.name]


class Place(Protocol):
    """What a life sees of its site."""

    paused: bool

    def clock(self) -> float: ...


class Life:
    """What a daemon is made of, from start to crash."""

    def __init__(self, settings: Settings, site: Place) -> None:
        self.state = open_state(settings)
        self.state.store.free_node()
        self.state.outbox.sweep()
        self.sweep(quiet=0.0)
        told = wiring.Told(Metrics(), Board(), site.clock)
        stop = threading.Event()
        self.desk = broker.make_desk(settings, self.state)
        self.steps: dict[str, Callable[[], object]] = {"broker": self.desk.carry_on, "clear": self.desk.clear}
        self.steps |= {name: step.step for name, step in wiring.make_find_steps(settings, self.state, lambda _: told)}
        self.steps |= {
            name: step.step for name, step in delivering.make_steps(settings, self.state, lambda _: told, stop)
        }
        for pacs in settings.pacs:
            gate = Gate(pacs, count=told.count, wall=moving.wall_clock(pacs), ticks=site.clock)
            for slot in range(pacs.max_moves):
                self.steps[f"move-{pacs.name}-{slot}"] = MoveStep(
                    store=self.state.store, outbox=self.state.outbox, gate=gate, projects=[PROJECT], calling_ae="RESEARCH",
                    count=told.count, board=told.board, clock=site.clock, stop=stop, paused=lambda: site.paused,
                    patience=Patience(quiet=0.0),
                ).step  # fmt: skip
        page = Page(len(settings.pacs))
        self.intakes = [wiring.make_intake(settings, self.state, told.count, page, stop) for _ in range(2)]

    def sweep(self, *, quiet: float = 600.0) -> None:
        upkeep.clear_outbox(self.state)
        upkeep.resume_outbox(self.state, time.time(), quiet=quiet)
