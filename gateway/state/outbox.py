"""The outbox: clean files that wait for delivery, and the ledger of what arrived.

`root/<series key>/<pseudonymous SOPInstanceUID>.dcm` and `root/<series key>/ledger`. A file appears under its name when it is
whole and on stable storage (`keeping`); a second arrival of the same instance finds it and changes nothing. Nothing in here
identifies anyone.

Held files (header clean, pixels not proven clean) are in a second one, `Outbox.held`, for its owner alone. What is held has
arrived, so its line is in the ledger here; the ledger there has one line for each that the screening leaves to a person.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.errors import Refused
from gateway.model import Buffer, LedgerLine, Outcome
from gateway.state import ledger
from gateway.state.journal import QUIET, SEGMENT
from gateway.state.keeping import PART, Keeper, Stored
from gateway.state.ledger import LEDGER
from gateway.state.prepared import READY
from gateway.state.recovery import Journals
from gateway.state.writing import sync_folder

JOURNAL = ".journal"
SUFFIX = ".dcm"
TRIES = ".tries"  # beside a held file: how often its screening was begun and not ended
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,127}", re.ASCII)
SHARED = (0o750, 0o640)  # modes of folders and files
DAMAGED = ".damaged"  # what the disk has spoilt
OWN = (0o700, 0o600)


class Outbox:
    """Used by several receive processes at once and by the courier. OSError (ENOSPC, EIO) is the caller's to answer."""

    def __init__(self, root: Path, held: Outbox | None = None, *, modes: tuple[int, int] = SHARED) -> None:
        self._root, self._modes = root, modes
        self.held = held
        self._keeper = Keeper(root, root / JOURNAL, modes, self.path)
        self._journals = Journals(root / JOURNAL)
        root.mkdir(mode=modes[0], parents=True, exist_ok=True)

    def open_journal(self, *, size: int = SEGMENT, quiet: float = QUIET, ready: int = READY) -> None:
        """For a process that receives: what it keeps is entered into a journal and synced later. Ends with `close`."""
        self._keeper.open(size=size, quiet=quiet, ready=ready)

    def close(self) -> None:
        """Nothing is kept any more; what was is on stable storage by itself."""
        self._keeper.close()
        self._journals.close()

    def keep(self, series: str, SOPInstanceUID: str, parts: Sequence[Buffer]) -> Stored:
        """On stable storage when it returns. The same instance again changes nothing."""
        return self._keeper.keep(_checked(series), _checked(f"{SOPInstanceUID}{SUFFIX}"), parts)

    def note(self, series: str, line: LedgerLine) -> None:
        """Appends one ledger line. Synced unless KEPT: there the file itself is the fact."""
        folder, sync = f"{self._root}/{_checked(series)}", line.outcome is not Outcome.KEPT

        def write() -> None:
            ledger.append(f"{folder}/{LEDGER}", line, self._modes[1], sync=sync)
            if sync:  # the ledger's own entry, too
                self._keeper.sync(folder)

        self._keeper.in_folder(folder, write)

    def ledger(self, series: str) -> dict[str, LedgerLine]:
        """What arrived, by keyed instance hash; the last line of an instance counts, but KEPT gives way to KEPT only."""
        found: dict[str, LedgerLine] = {}
        for line in self._lines(series):
            before = found.get(line.instance)
            if before is None or before.outcome is not Outcome.KEPT or line.outcome is Outcome.KEPT:
                found[line.instance] = line
        return found

    def _lines(self, series: str) -> Iterator[LedgerLine]:
        # No Path: it is asked for again and again, and the parts of a Path are interned each time.
        folder = f"{self._root}/{_checked(series)}"
        found = list(ledger.lines(f"{folder}/{LEDGER}"))
        # Asking for each of them costs more than all else here.
        there = {entry.name for entry in _ending(folder, SUFFIX)}
        for noted in found:
            is_held = noted.outcome is Outcome.HELD and self.held is not None
            line = self._still_held(series, noted) if is_held else noted
            if line.outcome is not Outcome.KEPT or line.file in there or os.path.exists(f"{folder}/{line.file}"):
                yield line

    def _still_held(self, series: str, line: LedgerLine) -> LedgerLine:
        """Held while its file is; where it went to the outbox that file is the fact, whether its own line came or not."""
        assert self.held is not None
        there = self.held.path(series, line.file).exists()
        return line if there else replace(line, outcome=Outcome.KEPT, reason="", checksum="")

    def checksums(self, series: str) -> dict[str, set[str]]:
        """Of the clean files as they were received, by name (`Stored.checksum`); a line that a power cut took is missing.

        Several where an instance came with different bytes at the same time: which of the two files stayed, no line tells.
        """
        found: dict[str, set[str]] = {}
        for line in self._lines(series):
            if line.outcome is Outcome.KEPT and line.checksum:
                found.setdefault(line.file, set()).add(line.checksum)
        return found

    def files(self, series: str) -> list[Path]:
        """The clean files of a series, sorted by name."""
        folder = self._folder(series)
        return sorted(folder / entry.name for entry in _ending(folder, SUFFIX))

    def path(self, series: str, name: str) -> Path:
        """Where the file of that name is, or would be."""
        return self._folder(series) / _checked(name)

    def drop(self, series: str, name: str) -> None:
        """Removes one file, for good; it may be gone already."""
        path = self.path(series, name)
        self._journals.void(series, frozenset({name}))
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    def set_aside(self, series: str, name: str) -> None:
        """It is no clean file of the series any more: one that comes in its place is, and takes it away when it is removed."""
        path = self.path(series, name)
        self._journals.void(series, frozenset({name}))
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f".{name}{DAMAGED}"))
            sync_folder(path.parent)

    def damaged(self, series: str) -> list[str]:
        """Names of what was set aside and has not come again."""
        folder = self._folder(series)
        aside = (entry.name[1 : -len(DAMAGED)] for entry in _ending(folder, DAMAGED))
        return sorted(name for name in aside if not (folder / name).exists())

    def forget_damaged(self, series: str) -> None:
        """What was set aside is of no use any more."""
        for entry in list(_ending(self._folder(series), DAMAGED)):
            Path(entry.path).unlink(missing_ok=True)

    def remove(self, series: str, files: Sequence[Path]) -> bool:
        """Removes what was confirmed. False: something arrived meanwhile and still waits.

        The folder goes by rmdir, which fails when a file appeared in it: nothing acknowledged is ever swept along. The ledger
        stays while something of the series waits or is held: it alone says whose it is.
        """
        folder = self._folder(series)
        self._journals.void(series, frozenset(path.name for path in files))
        aside = {entry.name for entry in _ending(folder, DAMAGED)}
        for path in files:
            if aside and (old := f".{path.name}{DAMAGED}") in aside:
                (folder / old).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        ledger.let_go(folder / LEDGER, lambda: not self.files(series) and not (self.held and self.held.files(series)))
        with contextlib.suppress(OSError):  # not empty, or gone already
            folder.rmdir()
        return not self.files(series)

    def clear(self, series: str) -> None:
        """Forgets a series that failed or is excluded: files, ledger and folder, what is held of it too.

        It is retrieved anew when asked again.
        """
        self._journals.void(series)
        shutil.rmtree(self._folder(series), ignore_errors=True)
        if self.held is not None:
            self.held.clear(series)

    def series(self) -> list[str]:
        """Keys of the series that have a folder, here or in the held one. `lost+found` is none."""
        here = {p.name for p in self._root.iterdir() if NAME.fullmatch(p.name) and p.is_dir()}
        return sorted(here if self.held is None else here.union(self.held.series()))

    def has(self, series: str) -> bool:
        """Whether that series is one of them: to list them all takes a quarter of a second where 40,000 wait."""
        return self._folder(series).is_dir() or (self.held is not None and self.held.has(series))

    def sweep(self) -> int:
        """Only at start, before anything is received: removes what a crash left half-written, brings back what a power cut took.

        Returns how many were removed. Raises OSError when what is in the journal cannot be brought back.
        """
        self._keeper.recover()
        parts = [entry.path for folder in self._root.iterdir() for entry in _ending(folder, PART, TRIES)]
        for path in parts:
            Path(path).unlink(missing_ok=True)
        return len(parts) + (self._sweep_held(self.held) if self.held is not None else 0)

    def _sweep_held(self, held: Outbox) -> int:
        """Halves, and files that no line calls held: never acknowledged, or released or discarded by now."""
        swept = held.sweep()
        for series in held.series():
            wanted = {line.file for line in self.ledger(series).values() if line.outcome is Outcome.HELD}
            stray = [file for file in held.files(series) if file.name not in wanted]
            swept += len(stray)
            for file in stray:
                file.unlink(missing_ok=True)
            if not wanted:
                held.remove(series, ())
        return swept

    def size(self) -> int:
        """Bytes of clean files that wait."""
        total = 0
        for folder in self._root.iterdir():
            for entry in _ending(folder, SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    def _folder(self, series: str) -> Path:
        return self._root / _checked(series)


def _ending(folder: Path | str, *suffixes: str) -> Iterator[os.DirEntry[str]]:
    """None of a folder that is gone, or goes meanwhile: what was in it was delivered. (Path.glob raises then.)"""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.name.endswith(suffixes))


def _checked(name: str) -> str:
    if not NAME.fullmatch(name) or ".." in name:
        raise Refused("outbox.name", "not a name for a file in the outbox")
    return name
