"""What is on stable storage, told from system calls alone, as POSIX promises it and not as one file system happens to do it.

What was written is there after a successful fsync of the file, its name after one of the folder, begun when the write or rename
had ended. After a failed fsync data is not: the kernel may have dropped the pages and call them clean the next time, so they have
to be written anew. A name may be synced again: names go by the journal, and after a failed commit of that no sync succeeds.

What a thread enters into the journal, and flushes, stands for the file that it has written last, and for its name and folder. A
prepared name, which was synced before, stands for the real one that the file is given, if the attribute was synced with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.faults.tracing import Call

WRITES: Final = (
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "copy_file_range",
    "sendfile",
    "fallocate",
    "ftruncate",
)
RENAMES: Final = ("rename", "renameat", "renameat2", "link", "linkat")
SYNCS: Final = ("fsync", "fdatasync")
JOURNAL: Final = "/.journal/"
PREPARED: Final = ".prepared/"
KEPT: Final = '\\"outcome\\":\\"kept\\"'
"""A ledger line that need not be synced: there the file itself is the fact."""


@dataclass(frozen=True)
class Owed:
    """Something that is not on stable storage yet, since line `at` of a trace. `lost`: a sync of it failed."""

    at: int
    what: str
    lost: bool = False


class Storage:
    """`fresh`: what was not there before, and whose name is owed too. Files without a name (`#...`) owe nothing."""

    def __init__(self, root: Path, fresh: Sequence[Path] = ()) -> None:
        self._root, self._fresh = str(root), {str(p) for p in fresh}
        self._data: dict[str, Owed] = {}
        self._names: dict[tuple[str, str], Owed] = {}
        self._last: dict[int, str] = {}  # the file that a thread has written last
        self._entering: dict[int, int] = {}  # when a thread had written to the journal
        self._entered: set[str] = set()
        self._marked: set[str] = set()  # prepared files that say whose they are
        self._standing: dict[str, tuple[str, int]] = {}  # prepared name -> the real one, and since when
        self._seen = 0
        self.faults: list[str] = []

    def see(self, calls: Sequence[Call]) -> list[str]:
        """What was still owed when the response left; nothing: []. Then goes on with what came after it."""
        response = next((call for call in calls if answers(call)), None)
        if response is None:
            return ["no response was sent"]
        self._go_on([call for call in calls if call.ended < response.begun])
        owed = [*self.faults, *(o.what for o in (*self._data.values(), *self._names.values()))]
        self._go_on([call for call in calls if call.ended >= response.begun])
        self._seen += 1 + max(call.ended for call in calls)
        return owed

    def _go_on(self, calls: Sequence[Call]) -> None:
        for call in calls:
            if not call.failed:
                self._done(call, self._seen)
            elif call.name in SYNCS:
                self._failed(call)

    def _done(self, call: Call, base: int) -> None:
        paths, at = [p for p in call.paths if p.startswith(self._root) and "/#" not in p], base + call.ended
        if not paths:
            return
        if PREPARED in paths[0]:
            self._prepared(call, paths, base)
        elif JOURNAL in paths[0]:
            self._journal(call, base)
        elif call.name == "openat" and "O_EXCL" in call.said:
            self._name(paths[0], at, "created")
        elif call.name in WRITES and KEPT not in call.said:
            self._last[call.tid] = paths[0]
            self._entered.discard(paths[0])
            self._written(paths[0], at)
        elif call.name in SYNCS:
            self._synced(paths[0], base + call.begun)
        elif call.name in ("mkdir", "mkdirat"):
            self._name(paths[0], at, "made")
        elif call.name in RENAMES:
            self._renamed(paths[0], paths[-1], at)
        elif call.name in ("unlink", "unlinkat", "rmdir"):
            self._forget(paths[0])

    def _journal(self, call: Call, base: int) -> None:
        if call.name in WRITES:
            self._entering[call.tid] = base + call.ended
        elif call.name in SYNCS and self._entering.pop(call.tid, base + call.begun) < base + call.begun:
            path = self._last.get(call.tid, "")
            self._data.pop(path, None)
            self._entered.add(path)

    def _prepared(self, call: Call, paths: Sequence[str], base: int) -> None:
        path, at = paths[0], base + call.ended
        if call.name in WRITES or call.name == "fsetxattr":
            self._written(path, at)
            if call.name == "fsetxattr":
                self._marked.add(path)
        elif call.name in SYNCS:
            self._synced(path, base + call.begun)
        elif call.name in RENAMES:
            if path in self._data or path not in self._marked:
                self.faults.append("linked before it was synced")
            self._standing[path] = paths[-1], at
        elif call.name in ("unlink", "unlinkat", "truncate"):
            self._forget(path)
            if path in self._standing:
                name, since = self._standing.pop(path)
                self._name(name, since, "linked")

    def _written(self, path: str, at: int) -> None:
        """A line of a ledger is a fact of its own, and says anew what an earlier one said."""
        line = path.endswith("/ledger")
        lost = not line and self._data.get(path, Owed(0, "")).lost
        self._data[path] = Owed(at, f"written: {_role(path)}", lost)
        if line and path in self._fresh:
            self._fresh.remove(path)
            self._name(path, at, "created")

    def _name(self, path: str, at: int, done: str) -> None:
        self._names[str(Path(path).parent), path] = Owed(at, f"{done}: {_role(path)}")

    def _synced(self, path: str, begun: int) -> None:
        owed = self._data.get(path)
        if owed and owed.at < begun and not owed.lost:
            del self._data[path]
        for prepared, (real, since) in list(self._standing.items()):
            if str(Path(real).parent) == path and since < begun:
                del self._standing[prepared]
        for key, name in list(self._names.items()):
            if key[0] == path and name.at < begun:
                del self._names[key]

    def _failed(self, call: Call) -> None:
        for path in call.paths:
            if path in self._data:
                self._data[path] = replace(self._data[path], lost=True, what="trusted after a failed fsync")

    def _renamed(self, old: str, new: str, at: int) -> None:
        if old in self._data:
            self.faults.append("renamed before it was synced")
        self._forget(old)
        if old in self._entered:
            self._forget(str(Path(new).parent))
        else:
            self._name(new, at, "renamed")

    def _forget(self, path: str) -> None:
        """Removed on purpose, or under another name."""
        self._standing = {prepared: real for prepared, real in self._standing.items() if real[0] != path}
        self._data.pop(path, None)
        self._names.pop((str(Path(path).parent), path), None)


def answers(call: Call) -> bool:
    """The C-STORE response leaves: a P-DATA-TF on a socket."""
    return call.on_socket and '"\\4\\0' in call.said


def _role(path: str) -> str:
    """A path without its random and pseudonymous parts."""
    name = Path(path).name
    return (
        "part"
        if name.endswith(".part")
        else "file"
        if name.endswith(".dcm")
        else name
        if name == "ledger"
        else "folder"
    )
