"""Where the rooms meet: settings in, working parts out (moves: `moving`, archives: `delivering`, work by the clock: `rounds`)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import settings as configuration
from gateway.accession.rows import COLUMN as ACCESSION
from gateway.accession.sql import SqlSource
from gateway.cfind.findscu import Finder
from gateway.cfind.plan import FindProject, FindStep
from gateway.cfind.select import CompiledSelect
from gateway.cstore.admission import PeerList
from gateway.cstore.pace import Paced
from gateway.cstore.page import Page
from gateway.cstore.receive import Receive
from gateway.cstore.screener import PixelCleaner, make_screener
from gateway.cstore.screening import Screener, ScreenStep
from gateway.cstore.space import WhileRoom
from gateway.cstore.withdrawn import WithoutWithdrawn
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.cleaner import make_cleaner as build_cleaner
from gateway.dicom.server import Incoming, StorageServer
from gateway.errors import Fatal
from gateway.keys import Keys
from gateway.ops.health import Board
from gateway.ops.metrics import Count
from gateway.rules import compiled
from gateway.run.crosswalk import anchored, checked, load_aliases, load_crosswalk, make_names
from gateway.run.opening import State, open_state
from gateway.run.receiving import Reception, make_commitments, make_push, share
from gateway.settings import Project, Select, Settings, Source
from gateway.state.broker import Broker

Clock = Callable[[], float]
SCREENED: Final = "clean-pixel-data"


@dataclass(frozen=True)
class Told:
    """Whom every step tells: metrics, the board, and the clock whose every reading is a sign of life of its role."""

    count: Count
    board: Board
    clock: Clock = time.time


def load_settings(path: Path) -> Settings:
    """Raises BadConfiguration with every mistake at once, those of the crosswalks' files once all else is right."""
    return checked(anchored(configuration.load(path), path.parent))


# ---- accession


def sourced(settings: Settings) -> list[tuple[Project, Source]]:
    """The projects that ask a RIS."""
    return [(p, p.source) for p in settings.project if p.source is not None]


def make_sql_source(settings: Settings, source: Source, *, column: str = ACCESSION) -> SqlSource:
    """`column`: that its query has to have. Raises Fatal: "ris.url", "ris.driver", "ris.query", "password.file"."""
    return SqlSource(next(r for r in settings.ris if r.name == source.ris), source, column=column)


# ---- cfind


def make_select(select: Select) -> CompiledSelect:
    return CompiledSelect(study=compiled("study", select.study), series=compiled("series", select.series))


def make_finder(settings: Settings, pacs_name: str, projects: Iterable[Project], count: Count) -> Finder:
    """Asks that PACS for everything the rules of these projects look at."""
    pacs = next(p for p in settings.pacs if p.name == pacs_name)
    rules_of = [make_select(p.select) for p in projects]
    keywords = frozenset(k for s in rules_of for r in (s.study, s.series) if r for k in r.keywords)
    return Finder(pacs, settings.receiver.ae_title, count, keywords=keywords)


def make_find_steps(settings: Settings, state: State, told: Callable[[str], Told]) -> list[tuple[str, FindStep]]:
    """One step per PACS that some project asks first: (role, step)."""
    first = sorted({p.pacs[0] for p in settings.project})
    return [(f"find-{name}", _make_find_step(settings, state, name, told(f"find-{name}"))) for name in first]


def _make_find_step(settings: Settings, state: State, pacs_name: str, told: Told) -> FindStep:
    mine = [p for p in settings.project if p.pacs[0] == pacs_name]
    asked = {name for p in mine for name in p.pacs}
    return FindStep(
        store=state.store,
        finders={name: make_finder(settings, name, mine, told.count) for name in asked},
        projects=[
            FindProject(
                p.name,
                p.pacs,
                make_select(p.select),
                p.source.recheck if p.source else (),
                by_day=bool(p.source and "patient-date" in p.source.fallback),
                aliases=load_aliases(p.deidentify.aliases),
            )
            for p in mine
        ],
        board=told.board,
        clock=told.clock,
    )


# ---- cstore


def make_cleaner(project: Project, keys: Keys) -> Cleaner:
    """`keys`: of the opened state, or `nodes.kept_keys`: the key file has not all of them. Raises BadConfiguration, BadProfile."""
    return build_cleaner(
        project=project.name,
        deidentify=project.deidentify,
        instance_rule=compiled("instance", project.select.instance),
        key=keys,
        crosswalk=load_crosswalk(project.deidentify.crosswalk),
        aliases=load_aliases(project.deidentify.aliases),
    )


def make_cleaners(settings: Settings, state: State) -> dict[str, WithoutWithdrawn]:
    """By project, as receive processes have them: they know who is withdrawn. Raises BadConfiguration, BadProfile."""
    broker, keys = Broker(state.database, state.keys), state.keys
    return {
        p.name: WithoutWithdrawn(p.name, make_cleaner(p, keys), broker, time.time, make_names(p, keys).formerly)
        for p in settings.project
    }


def is_screened(project: Project) -> bool:
    """Whether its held instances are screened, or wait for a person."""
    return SCREENED in project.deidentify.options


def make_screeners(projects: Iterable[Project]) -> dict[str, Screener]:
    """By project, of those that are screened. One pixel cleaner for all, opened at once: what cannot be loaded is told before any
    file pays for it."""
    screened = [p for p in projects if is_screened(p)]
    cleaner = _open_pixel_cleaner() if screened else None
    return {p.name: make_screener(p.deidentify, lambda: cleaner) for p in screened if cleaner}


def _open_pixel_cleaner() -> PixelCleaner:
    """Only here numpy, codecs and recogniser are loaded: memory that a receive process must not have. Raises Fatal."""
    try:
        from gateway.deidentify.screen import PixelCleaner as Opened
    except ImportError as err:
        told = f"{err.name or 'a library'} cannot be loaded: is all of requirements/run.txt installed?"
        raise Fatal("screening.unavailable", told) from None
    return Opened()


def make_screen_step(settings: Settings, state: State, count: Count) -> ScreenStep:
    """What a screening process runs."""
    return ScreenStep(
        store=state.store,
        views=state.views,
        outbox=state.outbox,
        screeners=make_screeners(settings.project),
        count=count,
        clock=time.time,
    )


@dataclass(frozen=True)
class Intake:
    """What becomes of an arriving instance: its status. `paused`: why nothing is taken now, or ""."""

    take: Callable[[Incoming], int]
    paused: Callable[[], str]


def make_intake(settings: Settings, state: State, count: Count, page: Page, stop: threading.Event) -> Intake:
    """The one way in, by C-STORE and by C-GET. `page`: as the daemon made it, one number for each [[pacs]]."""
    receive = Receive(
        store=state.store, outbox=state.outbox, cleaners=make_cleaners(settings, state), count=count, clock=time.time,
        unasked=make_push(settings, state.store),
        aliases={p.name: load_aliases(p.deidentify.aliases) for p in settings.project},
    )  # fmt: skip
    room = WhileRoom(
        receive.store, folder=settings.state_dir, minimum=settings.receiver.min_free_disk, count=count,
        clock=time.time, page=page,
    )  # fmt: skip
    return Intake(Paced(room.store, pacs=settings.pacs, page=page, count=count, stop=stop).store, room.paused)


def make_server(  # noqa: PLR0913  what a receive process is made of
    settings: Settings, listener: socket.socket, count: Count, page: Page, stop: threading.Event,
    ahead: Callable[[int], bool] = lambda _: False,
) -> Reception:  # fmt: skip
    """What a receive process runs. `ahead`: see StorageServer."""
    state = open_state(settings)
    intake, peers = make_intake(settings, state, count, page, stop), PeerList(settings)
    server = StorageServer(
        settings.receiver.ae_title,
        listener,
        admit=peers.admits,
        is_stranger=peers.is_stranger,
        on_store=intake.take,
        paused=intake.paused,
        max_associations=share(settings.receiver),
        count=count,
        tls=settings.receiver.tls,
        spool=settings.state_dir / "outbox",
        commitments=make_commitments(settings, state.store, state.outbox),
        ahead=ahead,
    )
    return Reception(server, state.outbox, state.close)
