"""One daemon per state directory, and nobody at all while a key is rotated."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from gateway.errors import Fatal
from gateway.run.caller import not_as_root
from gateway.settings import Settings


def lock_state(settings: Settings) -> IO[bytes]:
    """One daemon per state directory: what `Store.free_node` relies on. Raises Fatal: "state.folder", ".locked", ".owner"."""
    try:
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        not_as_root(settings.state_dir)
        lock = (settings.state_dir / "daemon.lock").open("ab")
    except OSError as err:
        raise Fatal("state.folder", f"{settings.state_dir}: {err.strerror}; it must be writable") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Fatal("state.locked", f"another pacs-gateway runs on {settings.state_dir}; stop it first") from None
    return lock


class Use:
    """Open as long as the state may be used. `close` as often as one likes; the end of the process closes it, too."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def use_state(settings: Settings) -> Use:
    """Held as long as the state is open: its keys stay what they are. Raises Fatal("state.rotating")."""
    return _use(
        settings, fcntl.LOCK_SH, Fatal("state.rotating", "a key is being rotated: try again when that has ended")
    )


def use_alone(settings: Settings) -> Use:
    """Nobody else on this machine has the state open. Raises Fatal("state.in-use")."""
    return _use(
        settings, fcntl.LOCK_EX, Fatal("state.in-use", "another command uses the state: try again when it has ended")
    )


def _use(settings: Settings, kind: int, refused: Fatal) -> Use:
    """The folder itself is locked: no file that the wrong user could have made."""
    fd = os.open(settings.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise refused from None
    return Use(fd)
