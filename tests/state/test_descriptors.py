"""SQLite keeps a descriptor for each connection that there ever was at once: they are there from the start."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from gateway.state.db import Database
from gateway.state.engines import AT_ONCE


def descriptors(file: Path) -> int:
    """Of this process, on the database itself."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        link = Path(f"/proc/self/fd/{fd}")
        found += link.is_symlink() and os.readlink(link) == str(file)
    return found


def test_many_at_once_leave_no_more_of_them(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    database = Database(file)
    begun = descriptors(file)
    with ExitStack() as at_once:
        for _ in range(AT_ONCE - 1):
            at_once.enter_context(database.read())
        at_once.enter_context(database.write())
    assert descriptors(file) == begun
    database.close()
    assert descriptors(file) == 0
