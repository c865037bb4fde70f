"""One node among several: the state that it shares, its signs of life, and what only one node at a time does."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from gateway.errors import Fatal, Retry
from gateway.keys import Keys
from gateway.run.clock import is_impossible
from gateway.run.schedule import STEP, Schedule
from gateway.settings import Settings, read_key, read_password
from gateway.state.db import Database
from gateway.state.engines import Password
from gateway.state.faults import SILENT
from gateway.state.fellowship import Fellowship
from gateway.state.outbox import Outbox
from gateway.state.ring import keys_of
from gateway.state.store import Store
from gateway.state.tryout import try_out
from gateway.state.writing import sync_folder

CLOCK: Final = "10m"
"""For so long nobody has set a clock that is taken for right."""
BEATS: Final = 6
"""Signs of life in one lease: a few may be lost."""
COPIES: Final = 3
"""In such a part of a lease who lives has given a sign of it."""
MAX_SKEW: Final = 30.0
"""Seconds between this node's clock and the database's: claims are leased by each node's own, nodes by the database's."""
SQLITE: Final = "sqlite"
FILE: Final = "state.sqlite"
IDLE: Final = 3600.0
"""Seconds after which what a node found when it last had a turn is old. Turns may go to and fro from one to the next."""
Job = Callable[[], object]
wait = threading.Event().wait


def open_database(settings: Settings) -> Database:
    """Raises Fatal("state.unreachable") when PostgreSQL does not answer."""
    if settings.database == SQLITE:
        return Database(settings.state_dir / FILE)
    with _as_fatal():
        return Database(settings.database, _password(settings))


def try_database(settings: Settings) -> str:
    """What is told of a PostgreSQL where all is well; nothing is made there. Raises Fatal."""
    with _as_fatal():
        try_out(settings.database, _password(settings))
    return "can be written"


def _password(settings: Settings) -> Password | None:
    file = settings.database_password_file
    return (lambda: read_password(file)) if file else None


@contextmanager
def _as_fatal() -> Iterator[None]:
    try:
        yield
    except Retry as err:
        mend = f"{SILENT}: is it up, are host, user, password and what stands behind the ? right?"
        raise Fatal("state.unreachable", mend if err.detail == SILENT else err.detail) from None


def kept_keys(settings: Settings) -> Keys:
    """All keys there are, for who needs nothing else of the state; where there is none yet, those of the key file.

    Raises Fatal: "key.file", "state.key", "state.unreachable".
    """
    master = read_key(settings)
    if settings.database == SQLITE and not (settings.state_dir / FILE).exists():
        return Keys(master)
    database = open_database(settings)
    try:
        return keys_of(database, master)
    finally:
        database.close()


class Nodes:
    """The daemon's part in it; where it is the only node there is next to nothing to do."""

    def __init__(self, settings: Settings, store: Store, outbox: Outbox) -> None:
        self._settings, self._store, self._outbox = settings, store, outbox
        self._fellowship: Fellowship | None = None
        self._ahead = -math.inf

    def begin(self) -> int:
        """Joins the others, and frees what an earlier life had claimed; returns how much. Raises Fatal("node.taken")."""
        fellowship = self._store.fellowship(home=home(self._settings.state_dir), lease=self._settings.node_lease)
        if fellowship:
            if told := _apart(fellowship.clock()):
                raise Fatal("node.clock", told)
            self._no_copy(fellowship)
            fellowship.inherit(fellowship.clock())
            fellowship.join(fellowship.clock())
        self._fellowship = fellowship  # who is refused has no turn to leave: they are of the one that lives
        return self._store.free_node()

    def _no_copy(self, fellowship: Fellowship) -> None:
        """What a copy of this machine has in hand, and in its outbox, would be taken for this one's."""
        seen = fellowship.elsewhere(fellowship.clock())
        if seen is not None:
            log, patience = structlog.get_logger(), self._settings.node_lease / COPIES
            log.warning("node.waiting", detail=f"last seen at another address: does that one live? {patience:.0f} s")
            wait(patience)
            if fellowship.elsewhere(fellowship.clock()) not in (None, seen):
                told = f"a copy of this machine runs as node {self._settings.node!r}"
                raise Fatal("node.taken", f"{told}: stop it, or give this one its own `node`, and remove its node.id")

    def start(self, schedule: Schedule, guarded: Callable[[str, Job], Job]) -> None:
        """Starts the schedule; with it go signs of life, and the work of nodes that give none.

        And what was written while the clock was ahead, once it is right again.
        """
        schedule.add("clock", CLOCK, guarded("clock", self._wait_anew))
        if self._fellowship:
            schedule.add("node", f"{max(1, round(self._settings.node_lease / BEATS))}s", guarded("node", self._beat))
        schedule.start()

    def _wait_anew(self) -> int:
        """Not by a clock that was set since the last look, or with which the daemon started: by one that is far behind, until a
        time server answers, all was written ahead, and once it is right all would be due."""
        now, before, total = time.time(), self._ahead, 0
        self._ahead = now - time.monotonic()
        if abs(self._ahead - before) > STEP or is_impossible(datetime.fromtimestamp(now, UTC)):
            return 0
        while some := self._store.wait_anew(self._latest()):
            total += some
        if total:
            structlog.get_logger().warning("clock.set-back", count=total)
        return total

    def _latest(self) -> float:
        """What time it is here and at the database, which may be behind by itself."""
        return max(time.time(), self._fellowship.clock()) if self._fellowship else time.time()

    def in_turn(self, name: str, job: Job, idle: Job | None = None) -> Job:
        """`job`, of which there is one at a time, only while it is this node's turn. `idle`: once that was long ago."""
        fellowship = self._fellowship
        if fellowship is None:
            return job
        last = math.inf

        def run() -> object:
            nonlocal last
            now = fellowship.clock()
            if fellowship.has_turn(name, now):
                last = now
                return job()
            if idle and now - last >= IDLE:
                last = math.inf
                idle()
            return None

        return run

    def leave(self) -> None:
        with contextlib.suppress(Retry):  # then the others wait until the lease ends
            if self._fellowship:
                self._fellowship.leave()

    def _beat(self) -> int:
        """A sign of life before each piece that is taken over: all of them may take longer than a lease."""
        assert self._fellowship is not None  # `start` adds this job only then
        log, rejoined = structlog.get_logger(), 0
        taken, some, apart = 0, 1, ""
        while some:
            now = self._fellowship.clock()  # for all: where the beat hangs with the database, so do the others'
            apart = _apart(now)
            if not self._fellowship.beat(now):
                raise Fatal("node.taken", f"another machine has taken the name {self._settings.node!r} of this node")
            rejoined += self._fellowship.rejoin(self._outbox.series, now)
            some = self._fellowship.take_over(now)
            taken += some
        if apart:
            log.warning("node.clock", detail=apart)
        if rejoined:
            log.warning("node.renamed", series=rejoined)
        if taken:
            log.warning("node.gone", series=taken)
        return rejoined + taken


def home(state_dir: Path) -> str:
    """What names this state_dir; made when there is none, whole or not at all. Raises Fatal("state.folder")."""
    file = state_dir / "node.id"
    try:
        if not file.exists() or not file.read_text().strip():
            _make_home(file)
        return file.read_text().strip()
    except OSError as err:
        raise Fatal("state.folder", f"{file}: {err.strerror}") from None


def _make_home(file: Path) -> None:
    part = file.with_suffix(".part")
    with part.open("w") as made:
        made.write(secrets.token_hex(16))
        made.flush()
        os.fsync(made.fileno())
    part.rename(file)
    sync_folder(file.parent)


def _apart(theirs: float) -> str:
    """What is to be told of this machine's clock and the database's; "": they agree.

    Where they do not, what one node has claimed is free to another before its time.
    """
    ours = time.time()
    if abs(theirs - ours) <= MAX_SKEW:
        return ""
    return f"this machine's clock and the database's are {abs(theirs - ours):.0f} s apart; give all machines the same time (NTP)"
