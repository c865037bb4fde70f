"""For tests of the journal: an outbox that has one, and the power cut."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from gateway.state.journal import LARGEST, Journal
from gateway.state.outbox import JOURNAL, Outbox
from gateway.state.prepared import alone
from gateway.state.segment import SUFFIX

KEY, OTHER = "S-ABCDEFGH23456", "S-ABCDEFGH23457"
SIZE = 1 << 20
NEVER = 3600.0
READY = 8
LARGE = bytes(LARGEST + 1)
IMAGES = count()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def segments(root: Path) -> list[Path]:
    return sorted((root / JOURNAL).glob(f"*{SUFFIX}"))


def berths(root: Path) -> list[Path]:
    """Files under their prepared names."""
    return sorted((root / JOURNAL).glob("*.prepared/*"))


def opened(root: Path, *, size: int = SIZE, quiet: float = NEVER, ready: int = 0) -> Outbox:
    """An outbox with a journal that can take something, and files that are prepared."""
    outbox = Outbox(root)
    outbox.open_journal(size=size, quiet=quiet, ready=ready)
    until(lambda: len(journal_of(outbox)._own) == 2)
    until(lambda: len(berths(root)) == ready and ready_in(outbox) == ready)  # first they are there, then they are known
    return outbox


def ready_in(outbox: Outbox) -> int:
    prepared = outbox._keeper._prepared
    return len(prepared._ready) if prepared is not None else 0


def journal_of(outbox: Outbox) -> Journal:
    journal = outbox._keeper._journal
    assert journal is not None
    return journal


def after_power_cut(root: Path) -> Outbox:
    """As after a power cut that left of the outbox nothing but its journal, and the start after it."""
    image = root.parent / f"image{next(IMAGES)}"
    with alone(root / JOURNAL):  # nothing is settled in the midst of it
        shutil.copytree(root / JOURNAL, image / JOURNAL)
    made = Outbox(image)
    made.sweep()
    assert segments(image) == []
    return made


def contents(outbox: Outbox, *keys: str) -> dict[str, bytes]:
    return {f"{key}/{path.name}": path.read_bytes() for key in keys or (KEY, OTHER) for path in outbox.files(key)}


def keep(outbox: Outbox, name: str, series: str = KEY) -> bytes:
    """A file that is too large for the journal; its content, which begins with its name."""
    content = name.encode() + LARGE
    assert outbox.keep(series, name, [name.encode(), LARGE]).new
    return content


def used(outbox: Outbox) -> list[Path]:
    """Prepared files that have a real name."""
    return [path for path in berths(outbox._root) if path.stat().st_nlink == 2]
