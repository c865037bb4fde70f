"""Programs the tests start: found, run in a process group of their own, probed until ready, ended by their process id."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

HOST: Final = "127.0.0.1"
START_DEADLINE: Final = 30.0
STOP_DEADLINE: Final = 10.0
# The virtual environment has pynetdicom's storescu in front; the peers are fed with DCMTK's.
PROGRAM_PATH: Final = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin"
# Without it DCMTK leaves Nagle's algorithm on, and every C-STORE waits 88 ms for delayed acknowledgements (measured).
ENVIRONMENT: Final = {"TCP_NODELAY": "1"}
GIVEN: Final[set[int]] = set()
"""Ports handed out so far: the kernel may offer one again, and two parts of one configuration must not share it."""


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago; never the same one twice in a process.

    Of those that the kernel gives to no connection by itself, and of several that test at once each has its own share.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % number
    while True:
        port = number * secrets.randbelow(12_000 // number) + 20_000 + mine
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port


def listening(port: int, host: str = HOST) -> bool:
    """True when somebody accepts TCP connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def program(name: str, *folders: Path) -> str:
    """The path of a system program; where it is absent the test is skipped, or failed under CI=true."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), PROGRAM_PATH]))
    if found is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(f"{name} is not installed")
    return found


def run(argv: Sequence[str], *, user: str | None = None, timeout: float = 60.0) -> None:
    """Runs a short program; its output is shown only when it fails."""
    done = subprocess.run(
        argv, user=user, group=user, extra_groups=[] if user else None, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=timeout, cwd="/", check=False,
        env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def owner(name: str) -> str | None:
    """The system user a database server must run as: `name` when we are root (they refuse root), else ourselves."""
    return name if os.geteuid() == 0 else None


def new_folder(prefix: str, user: str | None = None) -> Path:
    """A temporary folder, removed when Python exits."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if user:
        shutil.chown(folder, user, user)
    return folder


class Process:
    """One server program in a process group of its own."""

    def __init__(
        self, argv: Sequence[str], *, folder: Path, ready: Callable[[], bool], user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:  # fmt: skip
        self.argv, self.log, self.ready, self.user, self.stop_signal = argv, folder / "log", ready, user, stop_signal
        self.child: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        assert self.child is not None, "not started"
        return self.child.pid

    def start(self) -> None:
        """Starts it and waits until it answers. Raises RuntimeError with the end of its log."""
        assert self.child is None, "already started"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.argv, user=self.user, group=self.user, extra_groups=[] if self.user else None, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **ENVIRONMENT},
            )  # fmt: skip
        deadline = time.monotonic() + START_DEADLINE
        while not self.ready():
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.argv[0]} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to it and its children: dcmqrscp forks, PostgreSQL's children even leave the process group."""
        children: list[int] = []
        with contextlib.suppress(OSError):
            children = [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    def stop(self) -> None:
        """Ends it politely, after a deadline with SIGKILL; nothing to do when it has ended."""
        if self.child is None:
            return
        self.signal(signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(STOP_DEADLINE)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.child is not None:
            self.signal(signal.SIGKILL)
            self.child.wait(STOP_DEADLINE)
            self.child = None
