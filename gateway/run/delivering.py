"""Archives made from the configuration, and the two steps of each: independent, so that one that is down holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.deliver.care import Outbox, Way, go_on
from gateway.deliver.confirm import ConfirmStep
from gateway.deliver.courier import DeliverStep
from gateway.deliver.directory import DirectorySink
from gateway.deliver.sink import Sink
from gateway.deliver.storescu import StoreSink
from gateway.run.manifesting import Manifested, make_manifests
from gateway.run.opening import State
from gateway.settings import DicomSink, DicomWebSink, Project, Settings
from gateway.settings import DirectorySink as Directory
from gateway.settings.schema import AnySink
from gateway.state.progress import Progress, Route

if TYPE_CHECKING:
    from gateway.run.wiring import Told

LONGEST: Final = 1800.0
"""Seconds without a sign of life of one who delivers: a piece of a file, and what a server does on its own, may take as long."""
Steps = list[tuple[str, DeliverStep | ConfirmStep]]


def make_sinks(settings: Settings, project: Project) -> tuple[Sink, ...]:
    """The archives of a project. Raises Fatal("deliver.missing") when one needs what is not installed."""
    return tuple(_make_sink(settings, one) for one in project.deliver)


def make_steps(settings: Settings, state: State, told: Callable[[str], Told], stop: threading.Event) -> Steps:
    """For each archive of each project a courier and a confirmation, each with a connection of its own: (role, step)."""
    progress = Progress(state.database, state.store, state.outbox, node=settings.node)
    progress.free()
    return [
        step for project in settings.project for step in _of_project(settings, project, state, (progress, told, stop))
    ]


def role(step: str, project: Project, number: int) -> str:
    """`deliver-chest-ct`, and `deliver-chest-ct/2` for the second archive: no project has a slash in its name."""
    return f"{step}-{project.name}" + (f"/{number + 1}" if number else "")


Shared = tuple[Progress, "Callable[[str], Told]", threading.Event]


def _of_project(settings: Settings, project: Project, state: State, shared: Shared) -> Steps:
    progress, told, stop = shared
    names = tuple(sink.name for sink in make_sinks(settings, project))
    if names:
        progress.reckon(project.name, names, now=time.time())
    outbox, made = _outbox(state, project), Steps()
    for number, (one, name) in enumerate(zip(project.deliver, names, strict=True)):
        for step, make in (("deliver", DeliverStep), ("confirm", ConfirmStep)):
            mine = told(role(step, project, number))
            way = Way(
                route=Route(project.name, name, names), store=progress, outbox=outbox, count=mine.count,
                board=mine.board, clock=mine.clock, stop=stop, max_rate=one.max_rate,
                sink=_make_sink(settings, one, partial(go_on, mine.clock, stop)),
            )  # fmt: skip
            made.append((role(step, project, number), make(way)))
    return made


def _outbox(state: State, project: Project) -> Outbox:
    """Where a series' manifest is written before its files go."""
    manifests = make_manifests(project)
    return Manifested(state.outbox, manifests) if manifests else state.outbox


def _make_sink(settings: Settings, one: AnySink, alive: Callable[[], None] = lambda: None) -> Sink:
    """HTTP and object storage are loaded where they are used: they are extras."""
    if isinstance(one, Directory):
        return DirectorySink(one, alive)
    if isinstance(one, DicomSink):
        return StoreSink(one, settings.receiver.ae_title, alive)
    if isinstance(one, DicomWebSink):
        from gateway.deliver.stowrs import StowSink

        return StowSink(one, alive)
    from gateway.deliver.s3 import S3Sink

    return S3Sink(one, alive)
