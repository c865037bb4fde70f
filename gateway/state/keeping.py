"""How a file appears in the outbox: whole, and on stable storage, under its name (ADR 19, ADR 21).

A process that receives has a journal, for small files, and files that were prepared, for others: one flush each. Anything else,
and what finds neither, is written under a hidden name, synced, renamed, and its folder synced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.errors import Refused
from gateway.model import Buffer
from gateway.state import checksum, prepared, recovery
from gateway.state.journal import Journal
from gateway.state.mark import Marked, is_whole
from gateway.state.prepared import Berth, Options, Prepared
from gateway.state.segment import Record
from gateway.state.writing import sync_folder, write_durably

PART = ".part"
ROOTED = 1024  # folders remembered
WRITES = 5  # tries to write into a folder that somebody else removes because it is empty
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """A clean file on stable storage. `checksum`: hex. `new`: False when it was there already."""

    folder: str
    name: str
    size: int
    checksum: str
    new: bool

    @property
    def path(self) -> Path:
        return Path(self.folder, self.name)


class Keeper:
    """Of one outbox in one process. Raises OSError. `folder`: where the journals of all processes are."""

    def __init__(self, root: Path, folder: Path, modes: tuple[int, int], path: Callable[[str, str], Path]) -> None:
        """`path(series, name)`: where a file is; raises Refused for what is no name."""
        self._root, self._folder, self._modes, self._path = root, folder, modes, path
        self._rooted: dict[str, int] = {}  # folders whose own entry is on stable storage, by inode
        self._root_changed = 0  # when, as of the last sync of the root: an inode's number is used again
        self._journal: Journal | None = None
        self._prepared: Prepared | None = None

    def open(self, *, size: int, quiet: float, ready: int) -> None:
        """`size`: of a segment, bytes. `quiet`: seconds after which what is behind is made up for. `ready`: files to prepare."""
        self._journal = Journal(self._folder, self._restore, size=size, quiet=quiet)
        if ready:
            options = Options(mode=self._modes[1], ready=ready, pause=quiet)
            self._prepared = Prepared(self._folder, options, self.sync)

    def close(self) -> None:
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def recover(self) -> None:
        """Brings back what a power cut took. Only while nobody receives."""
        recovery.recover(self._folder, self._restore)
        prepared.recover(self._folder, self._give_back)

    def keep(self, series: str, name: str, parts: Sequence[Buffer]) -> Stored:
        """On stable storage when it returns. The same instance again changes nothing.

        What is there may be in another process's journal only, or its sync have failed.
        """
        folder = f"{self._root}/{series}"
        stored = self._there(folder, name)
        if stored is not None:
            return stored
        try:
            size, made = self.in_folder(folder, lambda: self._appear(series, name, parts))
        except FileExistsError:  # the same instance, on another association at the same time
            stored = self._there(folder, name)
            if stored is None:
                raise
            return stored
        return Stored(folder, name, size, made.hex(), new=True)

    def _there(self, folder: str, name: str) -> Stored | None:
        try:
            fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(fd, "rb", buffering=0) as there:
            os.fsync(fd)
            self.sync(folder)
            return Stored(folder, name, os.fstat(fd).st_size, checksum.of_file(there).hex(), new=False)

    def _appear(self, series: str, name: str, parts: Sequence[Buffer], *, journal: bool = True) -> tuple[int, bytes]:
        folder = f"{self._root}/{series}"
        entry = self._journal.begin(sum(map(len, parts))) if journal and self._journal is not None else None
        berth = self._prepared.take(series, name) if journal and self._prepared is not None and entry is None else None
        if berth is not None:
            return self._in_berth(berth, folder, parts)
        part = f"{folder}/.{secrets.token_hex(8)}{PART}"
        try:
            enter = partial(entry.enter, series, name, parts) if entry is not None else None
            size, made, synced = write_durably(part, parts, self._modes[1], enter)
            os.rename(part, f"{folder}/{name}")
            if synced:
                self.sync(folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        finally:
            if entry is not None:
                entry.close()
        return size, made

    def _in_berth(self, berth: Berth, folder: str, parts: Sequence[Buffer]) -> tuple[int, bytes]:
        """One flush, and it has its real name; that is synced later, together with others."""
        assert self._prepared is not None
        try:
            size, made, _ = write_durably(berth.path, parts, self._modes[1], mark=berth.mark)
            target = f"{folder}/{berth.name}"
            try:
                os.link(berth.path, target)
            except FileNotFoundError:
                self._make(folder)
                os.link(berth.path, target)
        except OSError:
            berth.forget()
            raise
        finally:
            self._prepared.used(berth, folder)
        return size, made

    def _give_back(self, marked: Marked, path: str) -> None:
        """It has its real name, on stable storage.

        One that has it is copied, for a sync of that name may have failed, and not tell it again; and without a journal of the file
        system's the inode may know of one of its two names only.
        """
        try:
            target = self._path(marked.series, marked.name)
        except Refused:  # somebody wrote to the attribute
            return
        if target.exists() and not target.samefile(path):
            self._there(str(target.parent), target.name)
        elif is_whole(path, marked):
            self.in_folder(str(target.parent), lambda: self._named_anew(target, path))

    def _named_anew(self, target: Path, path: str) -> None:
        if target.exists():
            self._appear(target.parent.name, target.name, [Path(path).read_bytes()], journal=False)
        else:
            os.link(path, target)
            self.sync(str(target.parent))

    def _restore(self, record: Record, content: Callable[[], bytes | None], doubtful: bool) -> bool:
        """What the journal tells of is there, and on stable storage."""
        target = self._path(record.series, record.name)
        if not doubtful:
            with contextlib.suppress(FileNotFoundError), target.open("rb", buffering=0) as there:
                if checksum.of_file(there) == record.checksum:
                    return False
        raw = content()
        if raw is None:
            return False
        self.in_folder(str(target.parent), lambda: self._appear(record.series, record.name, [raw], journal=False))
        return True

    def sync(self, folder: str) -> None:
        """The folder's entries, and its own in the root: somebody else may have made it just now and not got so far."""
        inode, changed = sync_folder(folder), self._root.stat().st_mtime_ns
        if self._rooted.get(folder) != inode or self._root_changed != changed:
            sync_folder(self._root)
            if len(self._rooted) >= ROOTED:
                self._rooted.clear()
            self._rooted[folder], self._root_changed = inode, changed

    def in_folder(self, folder: str, write: Callable[[], T]) -> T:
        """Writes into the folder, and makes it where it is not there; again when somebody removed it, still empty, in between."""
        for _ in range(WRITES):
            with contextlib.suppress(FileNotFoundError):
                return write()
            self._make(folder)
        return write()

    def _make(self, folder: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, self._modes[0])  # its entry is synced by `sync`, before anybody is told
