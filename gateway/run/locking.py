"""One daemon per state directory."""

from __future__ import annotations

import fcntl
from typing import IO

from gateway.errors import Fatal
from gateway.settings import Settings


def lock_state(settings: Settings) -> IO[bytes]:
    """One daemon per state directory: what `Store.free_node` relies on. Raises Fatal("state.locked")."""
    try:
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = (settings.state_dir / "daemon.lock").open("ab")
    except OSError as err:
        raise Fatal("state.folder", f"{settings.state_dir}: {err.strerror}; it must be writable") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Fatal("state.locked", f"another pacs-gateway runs on {settings.state_dir}; stop it first") from None
    return lock
