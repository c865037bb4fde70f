"""A folder as an archive. A visible file is whole and on stable storage; nothing visible is ever changed.

put: copy to `.<random>.part` in the destination folder, fsync, link(2) to the real name (which refuses to overwrite),
unlink the part, fsync the folder. A killed put leaves a part, hidden; the redelivery that follows sweeps its folder. A
part is locked while it is written and the kernel drops the lock of the dead, so that a living writer's part is left
alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.deliver import copy, header
from gateway.deliver.layout import Layout
from gateway.deliver.manifest import Manifests, encoders
from gateway.deliver.remove import remove_files
from gateway.deliver.sink import WRITABLE, Receipt, digest
from gateway.errors import Refused, Retry
from gateway.settings import DirectorySink as Settings
from gateway.state.writing import sync_folder

PART: Final = ".part"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP})
NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
MAX_PREPARED: Final = 10_000  # folders remembered


class DirectorySink:
    """`path` must exist; it is never made, for it may be a volume that is not mounted. One thread puts, any confirm.

    `alive` is called with each piece of what is copied or read, and may raise.
    """

    def __init__(self, settings: Settings, alive: Callable[[], None] = lambda: None) -> None:
        self._name, self._alive = f"directory:{settings.path}", alive
        self._root = settings.path
        self._layout = Layout(settings.layout)
        self._manifests = Manifests(self._root, self._layout, encoders(settings.manifests))
        self._prepared: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return 1

    def put(self, file: Path) -> Receipt:
        """Raises Retry sink.full, sink.unwritable (uncharged) or outbox.unreadable; Refused deliver.conflict, .path."""
        place = self._layout.place(header.read(file, self._layout.keywords))
        target = f"{self._root}/{place}"
        folder = os.path.dirname(target)
        try:
            self._prepare(folder)
            new = not _there(target) and self._write(file, folder, target)
        except OSError as err:
            self._prepared.discard(folder)
            raise self._trouble(err) from None
        if not new and not self._same(file, target):
            raise Refused("deliver.conflict", f"{self._name} holds another file under this name")
        return Receipt(place, new)

    def confirm(self, *files: Path) -> bool:
        """Raises Retry("sink.unreadable", uncharged)."""
        places = ((f, self._layout.place(header.read(f, self._layout.keywords))) for f in files)
        return all(self._same(file, f"{self._root}/{place}") for file, place in places)

    def close(self) -> None:
        """Nothing stays open."""

    def probe(self) -> str:
        """Raises Retry sink.full or sink.unwritable."""
        part = _part_in(str(self._root))
        try:
            _sweep(self._root)
            with copy.locked(part) as fd:
                os.write(fd, b"pacs-gateway write probe\n")
                os.fsync(fd)
        except OSError as err:
            raise self._trouble(err) from None
        finally:
            _drop(part)
        return WRITABLE

    def remove(self, PatientID: str) -> int:
        """As `remove.Removes` says. Raises Retry("sink.unwritable", uncharged)."""
        self._prepared.clear()
        return remove_files(self._root, self._layout, self._manifests, PatientID)

    def _write(self, file: Path, folder: str, target: str) -> bool:
        """False when somebody else put a file there first."""
        part = _part_in(folder)
        try:
            with copy.locked(part) as fd:
                copy.contents(file, fd, self._alive)
                os.fsync(fd)
                new = _publish(part, target)
        finally:
            _drop(part)
        sync_folder(folder)
        return new

    def _prepare(self, name: str) -> None:
        """Once per folder and life: makes it, makes its names durable up to the root, sweeps what a crash left."""
        if name in self._prepared:
            return
        folder = Path(name)
        if not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the archive's root is missing")
        folder.mkdir(parents=True, exist_ok=True)
        for made in (folder, *folder.parents):
            sync_folder(made)  # also those found: an earlier life may have died between mkdir and fsync
            if made == self._root:
                break
        _sweep(folder)
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        self._prepared.add(name)

    def _same(self, file: Path, target: str) -> bool:
        """Size, then checksum, of what the archive gives when it is opened afresh, past the page cache."""
        size = _size(file)
        try:
            held = _held(target, size, self._alive)
        except OSError as err:
            if err.errno in (errno.ENOENT, *IN_THE_WAY):
                return False
            raise Retry("sink.unreadable", f"{self._name} cannot be read ({err.strerror})", charge=False) from None
        return held is not None and held == digest(file)

    def _trouble(self, err: OSError) -> Retry | Refused:
        if err.errno in IN_THE_WAY and self._root.is_dir():
            return Refused("deliver.conflict", f"something in {self._name} stands in the way of a folder or file")
        reason = "sink.full" if err.errno in FULL else "sink.unwritable"
        return Retry(reason, f"{self._name} cannot be written ({err.strerror})", charge=False)


def _held(target: str, size: int, alive: Callable[[], None]) -> str | None:
    """SHA-256 of what stands there; None when it is no file of that size. O_NONBLOCK: it might be a pipe."""
    fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return None
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        held = hashlib.sha256()
        while piece := os.read(fd, copy.CHUNK):
            held.update(piece)
            alive()
        return held.hexdigest()
    finally:
        os.close(fd)


def _publish(part: str, target: str) -> bool:
    """The part under its real name, unless that is taken. Where there are no hard links: look, then rename."""
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as err:
        if err.errno not in NO_LINKS:
            raise
        if _there(target):
            return False
        os.rename(part, target)
    return True


def _sweep(folder: Path) -> None:
    for entry in folder.glob(f".*{PART}"):
        if copy.abandoned(entry):
            _drop(entry)


def _part_in(folder: str) -> str:
    """No Path: its parts are interned, and this one is never seen again."""
    return f"{folder}/.{secrets.token_hex(8)}{PART}"


def _drop(part: Path | str) -> None:
    with contextlib.suppress(OSError):  # hidden, and swept by the next life
        os.unlink(part)


def _there(target: str) -> bool:
    return os.path.lexists(target)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
