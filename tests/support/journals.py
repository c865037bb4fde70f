"""For tests of the journal: an outbox that has one, and the power cut."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from gateway.state.outbox import JOURNAL, Outbox
from gateway.state.segment import SUFFIX

KEY, OTHER = "S-ABCDEFGH23456", "S-ABCDEFGH23457"
SIZE = 1 << 20
NEVER = 3600.0
IMAGES = count()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def segments(root: Path) -> list[Path]:
    return sorted((root / JOURNAL).glob(f"*{SUFFIX}"))


def opened(root: Path, *, size: int = SIZE, quiet: float = NEVER) -> Outbox:
    """An outbox with a journal that can take something."""
    outbox = Outbox(root)
    outbox.open_journal(size=size, quiet=quiet)
    assert outbox._journal is not None
    until(lambda: outbox._journal is not None and len(outbox._journal._own) == 2)
    return outbox


def after_power_cut(root: Path) -> Outbox:
    """As after a power cut that left of the outbox nothing but its journal, and the start after it."""
    image = root.parent / f"image{next(IMAGES)}"
    shutil.copytree(root / JOURNAL, image / JOURNAL)
    made = Outbox(image)
    made.sweep()
    assert segments(image) == []
    return made


def contents(outbox: Outbox, *keys: str) -> dict[str, bytes]:
    return {f"{key}/{path.name}": path.read_bytes() for key in keys or (KEY, OTHER) for path in outbox.files(key)}
