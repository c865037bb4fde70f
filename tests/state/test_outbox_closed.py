"""An outbox that is closed holds nothing open: what a soak found, 128 MiB of removed segments with each reload."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gateway.state.journal import SEGMENT
from gateway.state.outbox import Outbox

SOP = "2.25.1"


def segments() -> int:
    """Descriptors of this process on segments of a journal."""
    links = [Path(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return sum(".segment" in os.readlink(link) for link in links if link.is_symlink())


def test_who_removes_lets_the_journals_of_others_go_when_it_is_closed(tmp_path: Path) -> None:
    receiving, delivering = Outbox(tmp_path), Outbox(tmp_path)
    receiving.open_journal(size=SEGMENT // 32)
    until = time.monotonic() + 30
    while len(list(tmp_path.glob(".journal/*.segment"))) < 2:  # they are made in the background
        assert time.monotonic() < until
        time.sleep(0.01)
    kept = receiving.keep("S-1", SOP, [b"clean"])
    mine = segments_of(delivering, kept.path)
    assert not kept.path.exists() and mine > 0, "it looks into them"
    receiving.close()


def segments_of(delivering: Outbox, path: Path) -> int:
    """What it had open, and has no longer."""
    delivering.remove("S-1", [path])
    during = segments()
    delivering.close()
    return during - segments()
