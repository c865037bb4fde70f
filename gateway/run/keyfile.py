"""The key's file: made whole and on stable storage, or not at all; and exchanged by renaming."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.keys import KEY_BYTES
from gateway.state.writing import sync_folder

MODE: Final = 0o600


def make_key(path: Path, *, like: Path | None = None) -> None:
    """32 random bytes. `like`: a file whose owner gets this one, too. Raises Fatal: "key.exists", "key.unwritable"."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    except FileExistsError:
        raise Fatal("key.exists", f"{path} is there already and stays: another key gives other pseudonyms") from None
    except OSError as err:
        raise Fatal("key.unwritable", f"{path} cannot be made ({err.strerror})") from None
    try:
        _fill(fd, secrets.token_bytes(KEY_BYTES), like)
        sync_folder(path.absolute().parent)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise Fatal("key.unwritable", f"{path} cannot be written ({err.strerror})") from None


def switch(key: Path, *, new: Path, former: Path) -> None:
    """`key` also as `former`, then `new` in its place. Cut short anywhere, it is done by the same call. Raises Fatal."""
    try:
        if not former.exists():
            os.link(key, former)
            sync_folder(key.absolute().parent)
        elif former.read_bytes() != key.read_bytes():
            raise Fatal("key.former", f"{former} is another key: put it away first")
        new.replace(key)
        sync_folder(key.absolute().parent)
    except OSError as err:
        raise Fatal("key.unwritable", f"{key} cannot be exchanged ({err.strerror}): {new} is the key now") from None


def _fill(fd: int, content: bytes, like: Path | None) -> None:
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, MODE)  # whatever the umask
        if like is not None and os.geteuid() == 0:
            owner = like.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(fd)
