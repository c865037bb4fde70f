"""What is cut: the daemon as it runs in a hospital, or receive processes alone, which start a hundred times as fast."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from gateway.run.receivers import BACKLOG
from gateway.state.outbox import OWN, Outbox
from tests.faults.site import Site
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.process import HOST

PROCESSES: Final = 2


class Receivers(Protocol):
    @property
    def port(self) -> int: ...
    def start(self) -> None:
        """Until they are ready."""

    def cut(self) -> None:
        """SIGKILL to the whole process group."""

    def close(self) -> None: ...


class Running:
    """`pacs-gateway run`."""

    def __init__(self, site: Site) -> None:
        self.daemon, self.port = Daemon(site.folder, level="error"), site.port

    def start(self) -> None:
        self.daemon.start()
        self.daemon.wait_ready()

    def cut(self) -> None:
        self.daemon.kill_group()

    def close(self) -> None:
        self.daemon.kill_group()


class Warm:
    """Receive processes of `tests.faults.warm`. `prefix`: the words of a program that starts it."""

    def __init__(self, site: Site, processes: int = PROCESSES, *, prefix: Sequence[str] = ()) -> None:
        self._state, self._group, self._processes = site.folder / "state", 0, processes
        self._listener = socket.create_server((HOST, 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.faults.warm", str(site.folder / "gateway.toml"), str(self._listener.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[self._listener.fileno()], cwd=REPOSITORY,
        )  # fmt: skip
        assert self._told() == "warm"

    def start(self) -> None:
        """Sweeps first, as the daemon does."""
        swept(self._state).sweep()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._processes}\n")
        self._process.stdin.flush()
        self._group = int(self._told())

    @property
    def group(self) -> int:
        return self._group

    def cut(self) -> None:
        """Whoever waits in the listener's queue is sent away too: it is ours, and lives on."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()

    def close(self) -> None:
        if self._group:
            self.cut()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._listener.close()

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def swept(state: Path) -> Outbox:
    return Outbox(state / "outbox", Outbox(state / "held", modes=OWN))


def emptied(site: Site) -> None:
    """Everything is forgotten."""
    shutil.rmtree(site.folder / "state", ignore_errors=True)
