"""Parts of the receiver that are not the server: how much room there is, and what becomes of what nobody asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.cstore.admission import within
from gateway.cstore.commitment import Commitments
from gateway.cstore.page import Page
from gateway.cstore.push import QUIET, Push, PushProject
from gateway.cstore.settling import SettleStep
from gateway.cstore.space import Bounds, Filled, Room
from gateway.dicom.server import StorageServer
from gateway.rules import compiled
from gateway.run.receivers import processes
from gateway.settings import Pacs, Project, Receiver, Settings
from gateway.state.outbox import Outbox
from gateway.state.store import Store
from gateway.state.views import Views

LEAVING: Final = frozenset({"retrieved", "delivered", "confirmed"})
"""States of series whose files are on their way to an archive, or about to be removed."""
SETTLE_EVERY: Final = "2s"
"""How often is looked whether something pushed has become quiet."""


@dataclass(frozen=True)
class Reception:
    """What a receive process runs. What it keeps goes through a journal as long as it serves."""

    server: StorageServer
    outbox: Outbox
    close: Callable[[], None]
    """Of the state that it keeps in."""

    def serve(self, stop: threading.Event) -> None:
        """Until `stop` is set and every association has ended."""
        self.outbox.open_journal()
        try:
            self.server.serve(stop)
        finally:
            self.close()


def make_room(settings: Settings, views: Views, outbox: Outbox, page: Page) -> Room:
    """What the daemon decides by whether anything may be taken."""
    bounds = Bounds(settings.receiver.min_free_disk, settings.receiver.max_outbox)
    going = frozenset(p.name for p in settings.project if p.deliver)
    filled = Filled(outbox.size, partial(begun, views, outbox, going))
    return Room(folder=settings.state_dir, bounds=bounds, filled=filled, page=page, clock=time.monotonic)


def begun(views: Views, outbox: Outbox, going: Collection[str]) -> frozenset[str]:
    """Series of the outbox that a move has yet to complete; none while anything in it leaves by itself: to an archive, or, pushed,
    once it is quiet. What waits for a person, or for its project to be one that is `going`, and what the next sweep removes, frees
    nothing soon and stops nothing."""
    series = views.series_of([key for key in outbox.series() if outbox.files(key)]).values()
    found = [one for one in series if one.project in going]
    if any(one.state in LEAVING or (one.state == "planned" and not one.pacs) for one in found):
        return frozenset()
    return frozenset(one.key for one in found if one.state == "planned")


def push_projects(settings: Settings, also: Collection[str] = ()) -> list[PushProject]:
    """Those that also take what nobody asked for. `also`: names of others."""
    return [_push_project(p) for p in settings.project if p.name in also or (p.source is not None and p.source.push)]


def _push_project(project: Project) -> PushProject:
    rules = compiled("study", project.select.study), compiled("series", project.select.series)
    return PushProject(project.name, *rules, project.source.push_quiet if project.source is not None else QUIET)


def make_push(settings: Settings, store: Store) -> Push | None:
    """None where no project says `push`."""
    projects = push_projects(settings)
    return Push(store, projects, time.time) if projects else None


def make_settle_step(settings: Settings, store: Store, outbox: Outbox, clock: Callable[[], float]) -> SettleStep | None:
    """None where no project says `push`, and nothing waits that came when one did."""
    waiting = {one.project for one in store.pushed([p.name for p in settings.project])}
    projects = {p.name: p for p in push_projects(settings, waiting)}
    return SettleStep(store=store, outbox=outbox, projects=projects, clock=clock) if projects else None


def make_commitments(settings: Settings, store: Store, outbox: Outbox) -> Commitments:
    return Commitments(store, outbox, ae_title=settings.receiver.ae_title, peer=lambda *who: report_to(settings, *who))


def report_to(settings: Settings, calling_ae: str, address: str) -> Pacs | None:
    """Where a peer takes reports: as receiver.peers says, at the address that it called from, else as its [[pacs]] says."""
    receiver = settings.receiver
    for peer in receiver.peers:
        if peer.ae_title == calling_ae and peer.port and within(address, peer.address):
            return Pacs(name="peer", ae_title=calling_ae, host=address, port=peer.port, tls=receiver.tls)
    return next((p for p in settings.pacs if p.ae_title == calling_ae), None)


def share(receiver: Receiver) -> int:
    """Of max_associations, for each process: all of them together take no more, but for what rounding up adds."""
    return -(-receiver.max_associations // processes(receiver))
