"""The daemon as a child process: started with a configuration, asked over its health socket, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.run.demo.site import Site
from gateway.run.health import ask

STOP_SECONDS: Final = 60.0
KILL_SECONDS: Final = 10.0

Queues = Mapping[str, Mapping[str, int]]
"""requests or series -> state -> rows, over all projects."""


class Daemon:
    """A running `pacs-gateway run`. Ctrl-C does not reach it: it has a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes], health: Path) -> None:
        self._process = process
        self._health = health

    def pause(self, seconds: float) -> None:
        """Returns after `seconds`. Raises Fatal("demo.daemon") as soon as the daemon has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(seconds)
            raise Fatal("demo.daemon", f"the daemon ended by itself, with exit code {code}")

    def queues(self) -> Queues:
        """Empty while the daemon does not answer yet."""
        try:
            _, told = ask(self._health, "/status")
        except Fatal:
            return {}
        return {what: _summed(projects) for what, projects in told.get("queues", {}).items()}

    def stop(self) -> int:
        """SIGTERM, and SIGKILL to its whole group when it does not end in time, or when we are interrupted. The exit code."""
        try:
            self._process.terminate()
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(KILL_SECONDS)


@contextlib.contextmanager
def running(site: Site) -> Iterator[Daemon]:
    """The daemon on that site, ended on leaving."""
    argv = [sys.executable, "-m", "gateway.run.cli", "run", "--config", str(site.config), "--log-level", "info"]
    with site.log.open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    daemon = Daemon(process, site.health)
    try:
        yield daemon
    finally:
        daemon.stop()


def _summed(projects: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for states in projects.values():
        for state, n in states.items():
            total[state] = total.get(state, 0) + n
    return total
