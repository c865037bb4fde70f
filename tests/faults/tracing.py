"""The system calls of a receiver for one instance, by strace(1): what they were, in which order, and any of them made to fail."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.process import program

FILES: Final = (
    "openat", "mkdir", "mkdirat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "fallocate", "ftruncate", "fsync",
    "fdatasync", "sync_file_range", "syncfs", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir",
    "copy_file_range", "sendfile", "splice", "fsetxattr", "truncate",
)  # fmt: skip
SENDS: Final = ("sendto", "sendmsg", "write", "writev")
LINE: Final = re.compile(r"(?P<tid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
RESUMED: Final = re.compile(r"(?P<tid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
RESULT: Final = re.compile(r"\) += (?P<result>-?\d+)(?P<said>.*)$")


@dataclass(frozen=True)
class Call:
    """One call. `begun`, `ended`: lines of the trace. `number`: of the calls of that name by that thread, from 1."""

    tid: int
    name: str
    said: str  # its arguments, descriptors with their paths
    begun: int
    number: int
    ended: int = 0
    result: int = 0
    injected: bool = False

    @property
    def failed(self) -> bool:
        return self.result < 0

    @property
    def on_socket(self) -> bool:
        return self.name in SENDS and re.match(r"\d+<(socket|TCP)", self.said) is not None

    @property
    def paths(self) -> list[str]:
        """Files it is about, as far as they are told: by descriptor or by name."""
        return re.findall(r"\d+<(/[^>]*)>", self.said) + re.findall(r'"(/[^"]*)"', self.said)


@dataclass(frozen=True)
class Fault:
    """The `number`th call `name` of a thread fails with `error`; or ends `delay` seconds late, as a slow disk's does.

    `path`: only calls about this file count, and only they are in the trace.
    """

    name: str
    number: int
    error: str = ""
    delay: float = 0.0
    path: str = ""

    @property
    def argv(self) -> list[str]:
        """strace's options."""
        does = f"error={self.error}" if self.error else f"delay_exit={int(self.delay * 1e6)}"
        about = ["-P", self.path] if self.path else []
        return [*about, "-e", f"inject={self.name}:{does}:when={self.number}"]


class Trace:
    """Attached to a running process while the block lasts; `calls` afterwards."""

    def __init__(self, pid: int, fault: Fault | None = None) -> None:
        self._file = Path(tempfile.mkstemp(prefix="trace-")[1])
        names = ",".join(dict.fromkeys((*FILES, *SENDS)))
        argv = [
            program("strace"),
            "-f",
            "-y",
            "-s",
            "300",
            "-p",
            str(pid),
            "-o",
            str(self._file),
            "-e",
            f"trace={names}",
        ]
        argv += fault.argv if fault else []
        self._process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.calls: list[Call] = []

    def __enter__(self) -> Self:
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert " attached" in line, f"strace cannot attach: {line}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.calls = list(parsed(self._file.read_text().splitlines()))
        self._file.unlink()


def parsed(lines: Sequence[str]) -> Iterator[Call]:
    """In the order in which the calls ended. Of what did not end while we looked, what was being sent: the peer may have it."""
    under_way: dict[int, Call] = {}
    numbers: Counter[tuple[int, str]] = Counter()
    for at, line in enumerate(lines):
        resumed, begun = RESUMED.match(line), LINE.match(line)
        found = resumed or begun
        if not found:
            continue
        tid = int(found["tid"])
        if begun:
            numbers[tid, begun["name"]] += 1
            under_way[tid] = Call(tid, begun["name"], begun["rest"], at, numbers[tid, begun["name"]])
        ended = RESULT.search(found["rest"])
        if ended and tid in under_way:
            call = under_way.pop(tid)
            yield replace(
                call, ended=at, result=int(ended["result"]), injected="(INJECTED)" in ended["said"] or "(DELAYED)" in ended["said"]
            )  # fmt: skip
    yield from (replace(call, ended=len(lines)) for call in under_way.values() if call.on_socket)
