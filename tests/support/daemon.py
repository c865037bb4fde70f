"""The real daemon as a child process: started with a configuration, watched through its health socket, ended by its pid."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


class Daemon:
    """`folder` holds gateway.toml and gets daemon.log. `pacs-gateway run` in a process group of its own."""

    def __init__(self, folder: Path, *, level: str = "debug", before: Sequence[str] = ()) -> None:
        """`before`: words before the command, such as `ip netns exec NAME`."""
        self.config = folder / "gateway.toml"
        self.health = folder / "health.sock"
        self.log = folder / "daemon.log"
        self._level, self._before = level, before
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*self._before, sys.executable, "-m", "gateway.run.cli", "run", "--config", str(self.config),
                 "--log-level", self._level],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=REPOSITORY,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    def wait_ready(self, deadline: float = 40.0) -> None:
        self.wait_until(lambda: self.get("/readyz")[0] == 200, deadline)

    def wait_until(self, reached: Callable[[], bool], deadline: float) -> None:
        """Polls; fails with the end of the log when the daemon ends or the deadline passes."""
        until = time.monotonic() + deadline
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if reached():
                    return
            assert self._child is not None and self._child.poll() is None, f"the daemon ended:\n{self.tail()}"
            assert time.monotonic() < until, f"not reached in {deadline} s:\n{self.tail()}"
            time.sleep(0.1)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = UnixConnection(self.health)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        code, body = self.get("/status")
        assert code == 200, body
        parsed: dict[str, Any] = json.loads(body)
        return parsed

    def requests(self) -> dict[str, int]:
        """Requests by state, over all projects."""
        total: dict[str, int] = {}
        for states in self.status()["queues"]["requests"].values():
            for state, n in states.items():
                total[state] = total.get(state, 0) + n
        return total

    def stop(self, deadline: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self._child is not None
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(deadline)
        self._child = None
        return code

    def kill_group(self) -> None:
        """SIGKILL to the daemon and its receive processes at once, as a power cut would."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait(10)
        self._child = None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def command(config: Path, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """`pacs-gateway WORDS --config CONFIG`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.run.cli", *words, "--config", str(config)],
        capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY, input=stdin,
    )  # fmt: skip
