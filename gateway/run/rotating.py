"""`key rotate`: a new master key for a state, or a new key for one project. Nobody else may have the state open meanwhile.

The new key file lies beside the old one, on stable storage, before anything is sealed with it. Then, in this order: the state is
sealed again, in one transaction; the old key file gets the name KEY.old; the new one is renamed to KEY. So at any moment one of
KEY and KEY.new opens the state, and the command again goes on from there.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Fatal
from gateway.keys import KEY_BYTES
from gateway.ops.audit import Head, Trail
from gateway.run import broker, caller
from gateway.run.keyfile import make_key, switch
from gateway.run.locking import lock_state, use_alone
from gateway.run.nodes import FILE, SQLITE, open_database
from gateway.settings import Settings
from gateway.settings.secret import key_fault, secret
from gateway.state import rotation
from gateway.state.broker import Broker
from gateway.state.db import Database
from gateway.state.ring import keys_of

NEW, FORMER = ".new", ".old"
BEGUN, ROTATED, RENEWED = "key-rotation-begun", "key-rotated", "project-key-renewed"


@dataclass(frozen=True)
class Files:
    """`key`: what the configuration names, or the file behind its credential. `new`, `former`: beside it."""

    key: Path

    @property
    def new(self) -> Path:
        return self.key.with_name(self.key.name + NEW)

    @property
    def former(self) -> Path:
        return self.key.with_name(self.key.name + FORMER)


@dataclass(frozen=True)
class Rotated:
    """`rows` sealed again; None: a rotation that had been cut short was ended."""

    files: Files
    rows: int | None


@dataclass(frozen=True)
class Bench:
    """Where it is done."""

    settings: Settings
    database: Database
    user: str

    def here(self) -> rotation.Here:
        return rotation.Here(self.settings.node, time.time())

    def note(self, master: bytes, event: str, **facts: str) -> None:
        """A line in the audit trail, and its number where nobody can cut both."""
        node, keys = self.settings.node, keys_of(self.database, master)
        trail, head = Trail(self.settings.state_dir / broker.TRAIL, keys), Broker(self.database, keys)
        line = trail.append(event, at=time.time(), after=Head(*head.head(node)), node=node, user=self.user, **facts)
        head.keep_head(node, line.number, line.mac)


def rotate(settings: Settings, key: Path, *, user: str) -> Rotated:
    """Raises Fatal: "state.locked", "state.in-use", "node.alive", "state.key", "key.file", "key.former", "key.unwritable"."""
    files = Files(key)
    with _bench(settings, user) as bench:
        master = _read(files.key)
        if rotation.opens(bench.database, master):
            if rotation.stage(bench.database, keys_of(bench.database, master)) == rotation.SEALED_AGAIN:
                return _ended(bench, files, None)
            return _ended(bench, files, _sealed_again(bench, files, master))
        if _is_there(files.new) and rotation.opens(bench.database, _read(files.new)):
            return _ended(bench, files, None)
        raise Fatal("state.key", "the state was written with another key: put the right key back")


def renew(settings: Settings, key: Path, *, project: str, user: str) -> None:
    """A new random key for one project. Raises Fatal as `rotate` does, and "key.unfinished"."""
    with _bench(settings, user) as bench:
        master = _read(key)
        if not rotation.opens(bench.database, master):
            raise Fatal(
                "state.key", "the state was written with another key; if a rotation was cut short, end it first"
            )
        bench.note(master, BEGUN, project=project)
        fresh = secrets.token_bytes(KEY_BYTES)
        rotation.renew(bench.database, master, fresh, project=project, here=bench.here())
        bench.note(master, RENEWED, project=project)


def _sealed_again(bench: Bench, files: Files, master: bytes) -> int:
    with _as_caller():
        _make_new(files)
    fresh = _read(files.new)
    if fresh == master:
        raise Fatal("key.file", f"{files.new} holds the key that is in use: remove it")
    bench.note(master, BEGUN)
    names = [p.name for p in bench.settings.project]
    return rotation.rotate(bench.database, master, fresh, projects=names, here=bench.here())


def _make_new(files: Files) -> None:
    """Or what is there already."""
    if files.former.exists():
        raise Fatal(
            "key.former", f"{files.former} is left from an earlier rotation: put it away first, it opens old back-ups"
        )
    if files.new.exists() and files.new.stat().st_size != KEY_BYTES:
        files.new.unlink()  # it was never whole, and nothing is sealed with it
    if not files.new.exists():
        make_key(files.new, like=files.key)


def _ended(bench: Bench, files: Files, rows: int | None) -> Rotated:
    """From the moment that the state is sealed with the new key."""
    with _as_caller():
        if files.new.exists():
            switch(files.key, new=files.new, former=files.former)
    master = _read(files.key)
    bench.note(master, ROTATED)
    rotation.end(bench.database, keys_of(bench.database, master))
    return Rotated(files, rows)


@contextmanager
def _bench(settings: Settings, user: str) -> Iterator[Bench]:
    with ExitStack() as alone:
        if os.path.isdir(settings.state_dir):  # first: only its owner may look into it
            alone.enter_context(caller.as_owner(settings.state_dir))
        if not (settings.state_dir / (FILE if settings.database == SQLITE else "outbox")).exists():
            raise Fatal("state.missing", f"{settings.state_dir} holds no state: there is nothing to rotate")
        alone.enter_context(lock_state(settings))
        alone.enter_context(closing(use_alone(settings)))
        database = alone.enter_context(closing(open_database(settings)))
        yield Bench(settings, database, user)


@contextmanager
def _as_caller() -> Iterator[None]:
    """The folder of the key may be root's alone."""
    was = os.geteuid()
    os.seteuid(os.getuid())
    try:
        yield
    finally:
        os.seteuid(was)


def _is_there(path: Path) -> bool:
    with _as_caller():
        return path.exists()


def _read(path: Path) -> bytes:
    with _as_caller():
        fault = key_fault(path)
        if fault:
            raise Fatal("key.file", f"{path}: {fault.found}; {fault.allowed}")
        return secret(path)
