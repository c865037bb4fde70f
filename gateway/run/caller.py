"""Who calls: the account behind this process, and whether it may work on the state."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.settings.secret import account

LOGIN: Final = Path("/proc/self/loginuid")
NOBODY: Final = 0xFFFFFFFF
"""What the kernel says for a process that no login began (audit)."""


def user() -> str:
    """The operating-system user behind this process: who logged in, before `sudo` and `su`, as far as the kernel knows."""
    try:
        login = int(LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        login = NOBODY
    uid = os.getuid() if login == NOBODY else login
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user-{uid}"


def only_owner(folder: Path) -> None:
    """Raises Fatal("state.owner") for anybody but the state's owner, root too: the daemon could not read what is written here."""
    if os.geteuid() != folder.stat().st_uid:
        raise _another(folder)


def not_as_root(folder: Path) -> None:
    """Raises Fatal("state.owner"): root may write anywhere, and the daemon's own account would be refused by what root has left."""
    if os.geteuid() == 0 and folder.stat().st_uid != 0:
        raise _another(folder)


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Root works on the state as its owner does, so that what is written there is the daemon's."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        only_owner(folder)
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _another(folder: Path) -> Fatal:
    return Fatal("state.owner", f"{folder} belongs to {account(folder.stat().st_uid)}: run this command as that user")
