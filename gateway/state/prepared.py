"""Files that are on stable storage before there is anything to put into them: an instance then costs one flush (ADR 21).

`<journal>/<random>.prepared/`, a folder for each receive process, holds empty files whose names are synced. An instance is
written into one of them, with an extended attribute that says whose it is; one fsync makes content, attribute and size durable,
link(2) gives it its real name, and the sender is told. Many instances later, in the background, the folders with the real names are
synced, the prepared names go, and new files are made. Until then the prepared name stands for the real one: after a power cut
`recover` gives it back. Who removes a file removes the prepared name first (`void`).

Where the file system has no such attributes or links, nothing is prepared, and everything is synced as ever.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.state.checksum import SIZE
from gateway.state.mark import Marked, read_mark, write_mark
from gateway.state.writing import sync_folder

READY: Final = 64  # files made at once
PAUSE: Final = 2.0  # seconds after which what was used is settled at the latest
AGAIN: Final = 10.0  # seconds until what failed is tried again
SUFFIX: Final = ".prepared"
LOCK: Final = "lock"
UNABLE: Final = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


GiveBack = Callable[[Marked, str], None]
"""Of a file under its prepared name: it has its real one, on stable storage, unless it is not whole."""


@dataclass(frozen=True)
class Berth:
    """A prepared file that somebody has taken. `mark` is called with its descriptor and the checksum, before it is synced."""

    path: str
    series: str
    name: str

    def mark(self, fd: int, checksum: bytes) -> None:
        write_mark(fd, Marked(checksum, self.series, self.name))

    def forget(self) -> None:
        """It failed: nobody's any more, and takes no room until it goes."""
        with contextlib.suppress(OSError):
            os.truncate(self.path, 0)


@dataclass(frozen=True)
class Options:
    """`mode`: of the files. `ready`: how many are made. `pause`: seconds after which what was used is settled at the latest."""

    mode: int
    ready: int = READY
    pause: float = PAUSE


class Prepared:
    """Of one receive process; thread-safe. `sync(folder)`: its entries, and its own, are on stable storage. Raises OSError."""

    def __init__(self, journal: Path, options: Options, sync: Callable[[str], None]) -> None:
        """`journal`: a folder that is there, in the file system of the outbox."""
        self._journal, self._options, self._sync = journal, options, sync
        self._folder, self._fd = "", -1
        self._ready: deque[str] = deque()
        self._used: list[tuple[str, str]] = []  # prepared name, folder of the real one
        self._failed: set[str] = set()  # folders whose sync failed
        self._lock, self._wake, self._over = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._settle_for_ever, daemon=True, name="prepared")
        self._thread.start()

    def take(self, series: str, name: str) -> Berth | None:
        """One for the file of this name, or None when none is ready."""
        try:
            path = self._ready.popleft()
        except IndexError:
            return None
        if len(self._ready) <= self._options.ready // 2:
            self._wake.set()
        return Berth(path, series, name)

    def used(self, berth: Berth, folder: str) -> None:
        """It has its real name, in that folder, or never will."""
        with self._lock:
            self._used.append((berth.path, folder))

    def close(self) -> None:
        """Everything is synced, and nothing of it is left. What cannot be synced stays for `recover`."""
        self._over = True
        self._wake.set()
        self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)

    # ---- the thread that settles and prepares

    def _settle_for_ever(self) -> None:
        pause = 0.0
        while not self._over:
            try:
                if not self._folder:
                    self._begin()
                self._settle(self._options.ready)
                pause = self._options.pause
            except OSError as err:
                if not self._folder and err.errno in UNABLE:
                    return
                tell(err)
                pause = AGAIN
            self._wake.wait(pause)
            self._wake.clear()
        if self._folder:
            with contextlib.suppress(OSError):  # what is in there is for `recover`
                self._settle(0)
                with alone(self._journal):
                    os.rmdir(self._folder)
                    sync_folder(self._journal)

    def _begin(self) -> None:
        """A folder of our own, tried out. What dead processes left is for the next start: their names are in use meanwhile."""
        folder = f"{self._journal}/{secrets.token_hex(8)}{SUFFIX}"
        with alone(self._journal):
            os.mkdir(folder, 0o700)
            self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            _try_out(f"{folder}/{secrets.token_hex(8)}")
            sync_folder(self._journal)
            sync_folder(self._journal.parent)
        except OSError:
            os.close(self._fd)
            self._fd = -1
            os.rmdir(folder)
            raise
        self._folder = folder

    def _settle(self, ready: int) -> None:
        """Real names are synced, then prepared ones go, and new files are made.

        What is in a folder that could not be synced stays for `recover`: a second sync would tell nothing.
        """
        with self._lock:
            used, self._used = self._used, []
        self._sync_all({folder for _, folder in used} - self._failed)
        over = [path for path, folder in used if folder not in self._failed]
        made = [f"{self._folder}/{secrets.token_hex(8)}" for _ in range(ready - len(self._ready))]
        while not ready and (berth := self.take("", "")):
            over.append(berth.path)
        if not over and not made:
            return
        with alone(self._journal):
            for path in over:
                _unlink(path)
            try:
                for path in made:
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._options.mode))
                os.fsync(self._fd)
            except OSError:
                for path in made:
                    _unlink(path)
                raise
        self._ready.extend(made)

    def _sync_all(self, folders: Iterable[str]) -> None:
        for folder in folders:
            try:
                self._sync(folder)
            except FileNotFoundError:  # all of it was removed on purpose
                continue
            except OSError as err:
                tell(err)
                self._failed.add(folder)


def void(journal: Path, series: str, names: frozenset[str] | None = None) -> None:
    """Those files of the series (None: all) are not given back, durably. Only while `alone`. Raises OSError."""
    for folder in journal.glob(f"*{SUFFIX}"):
        for path, marked in _marked(folder):
            if marked and marked.series == series and (names is None or marked.name in names):
                _unlink(path)
        with contextlib.suppress(FileNotFoundError):  # its process has ended just now, and synced it
            sync_folder(folder)  # also where nothing was found: a sync before this one may have failed


def recover(journal: Path, give_back: GiveBack) -> None:
    """What processes left that are no more: files get their real names, and the prepared ones go. Raises OSError.

    Only while nobody looks for files: a name that is there is made anew.
    """
    if not journal.exists():
        return
    with alone(journal):
        for folder in list(journal.glob(f"*{SUFFIX}")):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path, marked in _marked(folder):
                    if marked:
                        give_back(marked, path)
                    _unlink(path)
                os.fsync(fd)
                os.rmdir(folder)
            except BlockingIOError:  # it has survived its daemon for a moment
                continue
            finally:
                os.close(fd)


@contextlib.contextmanager
def alone(journal: Path) -> Iterator[None]:
    """No other process settles, begins or voids meanwhile."""
    fd = os.open(journal / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _marked(folder: Path) -> list[tuple[str, Marked | None]]:
    """None: nothing was written to it, or not all."""
    found: list[tuple[str, Marked | None]] = []
    for path in _listed(folder):
        try:
            found.append((path, read_mark(path)))
        except FileNotFoundError:
            continue
    return found


def _listed(folder: Path) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder)]
    except FileNotFoundError:  # its process has ended just now
        return []


def _try_out(path: str) -> None:
    """Raises OSError where attributes or links are not to be had."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        write_mark(path, Marked(bytes(SIZE), "", ""))
        os.link(path, f"{path}.link")
        os.unlink(f"{path}.link")
    finally:
        os.unlink(path)


def tell(err: OSError) -> None:
    structlog.get_logger().error("journal.failed", reason=f"disk.errno-{err.errno or 0}")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
