"""The outbox: clean files that wait for delivery, and the ledger of what arrived.

`root/<series key>/<pseudonymous SOPInstanceUID>.dcm` and `root/<series key>/ledger`. A file appears by rename after fsync, so
a visible file is whole; a second arrival of the same instance finds it and changes nothing. Nothing in here identifies anyone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import Refused
from gateway.model import Buffer, LedgerLine, Outcome

LEDGER = "ledger"
SUFFIX = ".dcm"
PART = ".part"
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,127}", re.ASCII)
IOV = 512  # buffers a writev takes here; the kernel's limit is 1024


@dataclass(frozen=True)
class Stored:
    """A clean file on stable storage. `new`: False when it was there already."""

    path: Path
    size: int
    sha256: str
    new: bool


class Outbox:
    """Used by several receive processes at once and by the courier. OSError (ENOSPC, EIO) is the caller's to answer."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def keep(self, series: str, SOPInstanceUID: str, parts: Sequence[Buffer]) -> Stored:
        """Writes, syncs, renames, syncs the folder; only then returns. The same instance again is a no-op."""
        folder = self._folder(series)
        target = folder / f"{_checked(SOPInstanceUID)}{SUFFIX}"
        if target.exists():
            return Stored(target, target.stat().st_size, _digest([target.read_bytes()]), new=False)
        self._make(folder)
        part = folder / f".{secrets.token_hex(8)}{PART}"
        try:
            size = _write_synced(part, parts)
            part.rename(target)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        sync_folder(folder)
        return Stored(target, size, _digest(parts), new=True)

    def note(self, series: str, line: LedgerLine) -> None:
        """Appends one ledger line. Synced unless KEPT: there the file itself is the fact.

        Each line begins with a newline, so that a line torn by a crash spoils nothing but itself.
        """
        folder = self._folder(series)
        self._make(folder)
        raw = ("\n" + json.dumps(asdict(line), separators=(",", ":"))).encode()
        fd = os.open(folder / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            if os.write(fd, raw) != len(raw):
                raise OSError(28, "short write to the ledger")
            if line.outcome is not Outcome.KEPT:
                os.fdatasync(fd)
        finally:
            os.close(fd)

    def ledger(self, series: str) -> dict[str, LedgerLine]:
        """What arrived, by keyed instance hash; the last line of an instance counts, but KEPT is never unsaid."""
        found: dict[str, LedgerLine] = {}
        for line in self._lines(series):
            before = found.get(line.instance)
            if before is None or before.outcome is not Outcome.KEPT:
                found[line.instance] = line
        return found

    def _lines(self, series: str) -> Iterator[LedgerLine]:
        folder = self._folder(series)
        try:
            text = (folder / LEDGER).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for raw in text.split("\n"):
            line = _parsed(raw)
            if line and (line.outcome is not Outcome.KEPT or (folder / line.file).exists()):
                yield line

    def files(self, series: str) -> list[Path]:
        """The clean files of a series, sorted by name."""
        return sorted(self._folder(series).glob(f"*{SUFFIX}"))

    def remove(self, series: str, files: Sequence[Path]) -> bool:
        """Removes what was confirmed. False: something arrived meanwhile and still waits.

        The folder goes by rmdir, which fails when a file appeared in it: nothing acknowledged is ever swept along.
        """
        folder = self._folder(series)
        for path in (*files, folder / LEDGER):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone already
            folder.rmdir()
        return not self.files(series)

    def clear(self, series: str) -> None:
        """Forgets a series that failed or is excluded: files, ledger and folder. It is retrieved anew when asked again."""
        shutil.rmtree(self._folder(series), ignore_errors=True)

    def series(self) -> list[str]:
        """Keys of the series that have a folder."""
        return sorted(p.name for p in self._root.iterdir() if p.is_dir())

    def sweep(self) -> int:
        """Removes what a crash left half-written; only at start, before anything is received. Returns how many."""
        parts = list(self._root.glob(f"*/.*{PART}"))
        for path in parts:
            path.unlink(missing_ok=True)
        return len(parts)

    def size(self) -> int:
        """Bytes of clean files that wait."""
        total = 0
        for path in self._root.glob(f"*/*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def _folder(self, series: str) -> Path:
        return self._root / _checked(series)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o750, exist_ok=True)
            sync_folder(self._root)


def sync_folder(folder: Path) -> None:
    """fsync of a directory: a rename in it is durable afterwards."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_synced(path: Path, parts: Sequence[Buffer]) -> int:
    size = sum(len(p) for p in parts)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        for some in (parts[i : i + IOV] for i in range(0, len(parts), IOV)):
            _write_all(fd, some)
        os.fsync(fd)
    finally:
        os.close(fd)
    return size


def _write_all(fd: int, parts: Sequence[Buffer]) -> None:
    """writev may write less than asked (disk nearly full, signal): the rest goes out by itself, or raises ENOSPC."""
    want = sum(len(p) for p in parts)
    done = os.writev(fd, parts)
    if done < want:
        rest = memoryview(b"".join(parts))[done:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def _digest(parts: Sequence[Buffer]) -> str:
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.hexdigest()


def _checked(name: str) -> str:
    if not NAME.fullmatch(name) or ".." in name:
        raise Refused("outbox.name", "not a name for a file in the outbox")
    return name


def _parsed(raw: str) -> LedgerLine | None:
    try:
        record = json.loads(raw)
        return LedgerLine(**{**record, "outcome": Outcome(record["outcome"])})
    except (ValueError, TypeError, KeyError):
        return None  # empty, or torn by a crash
