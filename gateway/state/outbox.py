"""The outbox: clean files that wait for delivery, and the ledger of what arrived.

`root/<series key>/<pseudonymous SOPInstanceUID>.dcm` and `root/<series key>/ledger`. A file appears by rename after fsync, or after
it was entered into the journal of a receive process, so a visible file is whole; a second arrival of the same instance finds it and
changes nothing. Nothing in here identifies anyone.

Held files (header clean, pixels not proven clean) are in a second one, `Outbox.held`, for its owner alone. What is held has
arrived, so its line is in the ledger here; the ledger there has one line for each that the screening leaves to a person.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import TypeVar

from gateway.errors import Refused
from gateway.model import Buffer, LedgerLine, Outcome
from gateway.state import ledger
from gateway.state.journal import QUIET, SEGMENT, Journal
from gateway.state.ledger import LEDGER
from gateway.state.recovery import Journals, recover
from gateway.state.segment import Record
from gateway.state.writing import sync_folder, write_durably

JOURNAL = ".journal"
SUFFIX = ".dcm"
PART = ".part"
TRIES = ".tries"  # beside a held file: how often its screening was begun and not ended
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,127}", re.ASCII)
SHARED = (0o750, 0o640)  # modes of folders and files
OWN = (0o700, 0o600)
ROOTED = 1024  # folders remembered
WRITES = 5  # tries to write into a folder that somebody else removes because it is empty
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """A clean file on stable storage. `new`: False when it was there already."""

    path: Path
    size: int
    sha256: str
    new: bool


class Outbox:
    """Used by several receive processes at once and by the courier. OSError (ENOSPC, EIO) is the caller's to answer."""

    def __init__(self, root: Path, held: Outbox | None = None, *, modes: tuple[int, int] = SHARED) -> None:
        self._root, self._modes = root, modes
        self._rooted: dict[str, int] = {}  # folders whose own entry is on stable storage, by inode
        self._root_changed = 0  # when, as of the last sync of the root: an inode's number is used again
        self.held = held
        self._journal: Journal | None = None
        self._journals = Journals(root / JOURNAL)
        root.mkdir(mode=modes[0], parents=True, exist_ok=True)

    def open_journal(self, *, size: int = SEGMENT, quiet: float = QUIET) -> None:
        """For a process that receives: what it keeps is entered into a journal and synced later. Ends with `close`."""
        self._journal = Journal(self._root / JOURNAL, self._restore, size=size, quiet=quiet)

    def close(self) -> None:
        """Nothing is kept any more; what was is on stable storage by itself."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._journals.close()

    def keep(self, series: str, SOPInstanceUID: str, parts: Sequence[Buffer]) -> Stored:
        """Writes, syncs, renames, syncs the folder, or enters it into the journal and renames; only then returns.

        The same instance again changes nothing. What is there may be in another process's journal only, or its sync have failed.
        """
        target = self.path(series, f"{_checked(SOPInstanceUID)}{SUFFIX}")
        with contextlib.suppress(FileNotFoundError), target.open("rb", buffering=0) as there:
            os.fsync(there.fileno())
            self._sync(str(target.parent))
            return Stored(target, os.fstat(there.fileno()).st_size, file_digest(there, "sha256").hexdigest(), new=False)
        size, sha256 = self._in_folder(target.parent, lambda: self._appear(target, parts))
        return Stored(target, size, sha256, new=True)

    def _appear(self, target: Path, parts: Sequence[Buffer], *, journal: bool = True) -> tuple[int, str]:
        folder, part = str(target.parent), f"{target.parent}/.{secrets.token_hex(8)}{PART}"
        entry = self._journal.begin(parts) if journal and self._journal is not None else None
        try:
            enter = partial(entry.enter, target.parent.name, target.name) if entry is not None else None
            size, sha256, synced = write_durably(part, parts, self._modes[1], enter)
            os.rename(part, target)
            if synced:
                self._sync(folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        finally:
            if entry is not None:
                entry.close()
        return size, sha256

    def _restore(self, record: Record, content: Callable[[], bytes | None], doubtful: bool) -> bool:
        """What the journal tells of is there, and on stable storage."""
        target = self.path(record.series, record.name)
        if not doubtful:
            with contextlib.suppress(FileNotFoundError), target.open("rb", buffering=0) as there:
                if file_digest(there, "sha256").digest() == record.sha256:
                    return False
        raw = content()
        if raw is None:
            return False
        self._in_folder(target.parent, lambda: self._appear(target, [raw], journal=False))
        return True

    def _sync(self, folder: str) -> None:
        """The folder's entries, and its own in the root: somebody else may have made it just now and not got so far."""
        inode, changed = sync_folder(folder), self._root.stat().st_mtime_ns
        if self._rooted.get(folder) != inode or self._root_changed != changed:
            sync_folder(self._root)
            if len(self._rooted) >= ROOTED:
                self._rooted.clear()
            self._rooted[folder], self._root_changed = inode, changed

    def note(self, series: str, line: LedgerLine) -> None:
        """Appends one ledger line. Synced unless KEPT: there the file itself is the fact."""
        path, sync = self.path(series, LEDGER), line.outcome is not Outcome.KEPT

        def write() -> None:
            ledger.append(path, line, self._modes[1], sync=sync)
            if sync:  # the ledger's own entry, too
                self._sync(str(path.parent))

        self._in_folder(path.parent, write)

    def ledger(self, series: str) -> dict[str, LedgerLine]:
        """What arrived, by keyed instance hash; the last line of an instance counts, but KEPT gives way to KEPT only."""
        found: dict[str, LedgerLine] = {}
        for line in self._lines(series):
            before = found.get(line.instance)
            if before is None or before.outcome is not Outcome.KEPT or line.outcome is Outcome.KEPT:
                found[line.instance] = line
        return found

    def _lines(self, series: str) -> Iterator[LedgerLine]:
        folder = (
            f"{self._root}/{_checked(series)}"  # asked for again and again: the parts of a Path are interned each time
        )
        found = list(ledger.lines(f"{folder}/{LEDGER}"))
        there = {entry.name for entry in _clean_files(folder)}  # asking for each of them costs more than all else here
        for noted in found:
            is_held = noted.outcome is Outcome.HELD and self.held is not None
            line = self._still_held(series, noted) if is_held else noted
            if line.outcome is not Outcome.KEPT or line.file in there or os.path.exists(f"{folder}/{line.file}"):
                yield line

    def _still_held(self, series: str, line: LedgerLine) -> LedgerLine:
        """Held while its file is; where it went to the outbox that file is the fact, whether its own line came or not."""
        assert self.held is not None
        there = self.held.path(series, line.file).exists()
        return line if there else replace(line, outcome=Outcome.KEPT, reason="", sha256="")

    def files(self, series: str) -> list[Path]:
        """The clean files of a series, sorted by name."""
        folder = self._folder(series)
        return sorted(folder / entry.name for entry in _clean_files(folder))

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

    def remove(self, series: str, files: Sequence[Path]) -> bool:
        """Removes what was confirmed. False: something arrived meanwhile and still waits.

        The folder goes by rmdir, which fails when a file appeared in it: nothing acknowledged is ever swept along. The ledger
        stays while something of the series waits or is held: it alone says whose it is.
        """
        folder = self._folder(series)
        self._journals.void(series, frozenset(path.name for path in files))
        for path in files:
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
        """Keys of the series that have a folder, here or in the held one."""
        here = {p.name for p in self._root.iterdir() if p.is_dir() and p.name != JOURNAL}
        return sorted(here if self.held is None else here.union(self.held.series()))

    def sweep(self) -> int:
        """Only at start, before anything is received: removes what a crash left half-written, brings back what a power cut took.

        Returns how many were removed. Raises OSError when what is in the journal cannot be brought back.
        """
        recover(self._root / JOURNAL, self._restore)
        parts = [p for suffix in (PART, TRIES) for p in self._root.glob(f"*/.*{suffix}")]
        for path in parts:
            path.unlink(missing_ok=True)
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
            for entry in _clean_files(folder):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    def _folder(self, series: str) -> Path:
        return self._root / _checked(series)

    def _in_folder(self, folder: Path, write: Callable[[], T]) -> T:
        """Writes into the folder, and makes it where it is not there; again when somebody removed it, still empty, in between."""
        for _ in range(WRITES):
            with contextlib.suppress(FileNotFoundError):
                return write()
            self._make(folder)
        return write()

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=self._modes[0], exist_ok=True)  # its entry is synced by `_sync`, before anybody is told


def _clean_files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """None of a folder that is gone, or goes meanwhile: what was in it was delivered."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.name.endswith(SUFFIX))


def _checked(name: str) -> str:
    if not NAME.fullmatch(name) or ".." in name:
        raise Refused("outbox.name", "not a name for a file in the outbox")
    return name
