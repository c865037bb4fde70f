"""The state, opened for a command: beside the running daemon or without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.run.nodes import SQLITE
from gateway.run.opening import State, open_state
from gateway.settings import Settings, project_named
from gateway.settings.secret import account

KEPT: Final = ("daemon.lock", "state.sqlite", "outbox", "held", "audit.jsonl")
"""What the daemon writes in its folder; a command that root has run may have left one of them as root's."""


@contextmanager
def opened(settings: Settings, *, create: bool = False, project: str | None = None) -> Iterator[State]:
    """`create`: make it when there is none, else Fatal("state.missing"): a look must not leave an empty one behind.

    `project`: one that the command names. Raises BadConfiguration where neither the configuration nor the state knows it: what is
    left of one that was removed is told, and can be called off.
    """
    database = settings.state_dir / ("state.sqlite" if settings.database == SQLITE else "outbox")
    if not os.access(database, os.R_OK | os.W_OK):
        if project is not None:
            project_named(settings, project)
        _refuse(settings.state_dir, database, create=create)
    state = open_state(settings)
    try:
        if project is not None and project not in state.views.projects():
            project_named(settings, project)
        yield state
    finally:
        state.close()


def folder_fault(settings: Settings) -> str:
    """Why the daemon could not keep its state, were it this user; "" when it could. Nothing is made."""
    for place in (existing(settings.state_dir), *(settings.state_dir / name for name in KEPT)):
        if os.path.lexists(place) and not os.access(place, os.W_OK | (os.X_OK if os.path.isdir(place) else 0)):
            return _closed(place)
    return ""


def _closed(place: Path) -> str:
    if not os.path.exists(place):
        return f"{place} is a link to what is not there"
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return f"{place} is on a read-only file system"
    return f"{place} belongs to {account(place.stat().st_uid)}, and {account(os.geteuid())} may not write there"


def existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))  # of what may be seen


def _refuse(folder: Path, database: Path, *, create: bool) -> None:
    """Raises unless the database may be made here and now, so that the daemon can use it."""
    if os.path.lexists(database) or (folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)):
        raise Fatal("state.folder", f"{folder}: this user may not write there; use the account of the daemon")
    if not create:
        raise Fatal("state.missing", f"{folder} holds no state yet: start the daemon, or use: pacs-gateway migrate")
    if folder.is_dir() and folder.stat().st_uid != os.geteuid():
        raise Fatal("state.owner", f"{folder} belongs to {account(folder.stat().st_uid)}: make the state as that user")
