"""A screener: what `screening` asks about a file, with a deadline and a place for what is large. What it sees is told elsewhere.

The cleaner of pixels (`deidentify.screen.PixelCleaner`) comes in from outside and is opened with the first file: its recogniser is
in no process that does not screen.
"""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

from gateway.cstore.screening import Screened, Screener
from gateway.model import Buffer
from gateway.settings import Deidentify

OPTION: Final = "clean-pixel-data"
SECONDS: Final = 600.0
"""For one file with all its frames."""
IN_MEMORY: Final = 64 << 20


class Scratch:
    """Bytes written one after the other: in memory, or once they are many in a nameless file that ends with its last view."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._parts: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def write(self, data: Buffer) -> None:
        """Raises OSError when the disk is full."""
        self._size += len(data)
        if self._file is None and self._size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (`view` closes it)
            self._file.writelines(self._parts)
            self._parts.clear()
        if self._file is None:
            self._parts.append(bytes(data))
        else:
            self._file.write(data)

    def view(self) -> memoryview:
        if self._file is None:
            return memoryview(b"".join(self._parts))
        with self._file as file:
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class PixelCleaner(Protocol):
    def clean(self, file: memoryview, *, late: Callable[[], bool], scratch: Callable[[], Scratch]) -> Screened: ...


@dataclass(frozen=True)
class Left:
    """Held as it is."""

    reason: str
    verdict: str = "hold"
    parts: tuple[Buffer, ...] = field(default=(), repr=False)


@dataclass
class PixelScreener:
    """One a process and project. `folder`: where files without a name grow; None: where the system has them."""

    open_cleaner: Callable[[], PixelCleaner]
    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    folder: Path | None = None
    _cleaner: PixelCleaner | None = field(default=None, repr=False)

    def screen(self, parts: Sequence[Buffer]) -> Screened:
        """`parts`: a whole Part 10 file whose header is clean. Raises OSError when the disk fails."""
        if self._cleaner is None:
            self._cleaner = self.open_cleaner()
        file = memoryview(parts[0] if len(parts) == 1 else b"".join(parts)).cast("B")
        end = self.clock() + self.seconds
        return self._cleaner.clean(file, late=lambda: self.clock() > end, scratch=lambda: Scratch(self.folder))


@dataclass(frozen=True)
class NotAsked:
    """For a project without the option: what is held stays so."""

    def screen(self, parts: Sequence[Buffer]) -> Screened:
        return Left("pixels.not-asked")


def make_screener(deidentify: Deidentify, open_cleaner: Callable[[], PixelCleaner]) -> Screener:
    """One that looks at pixels where the project has the option `clean-pixel-data`; its cleaner is opened with the first file."""
    return PixelScreener(open_cleaner) if OPTION in deidentify.options else NotAsked()
