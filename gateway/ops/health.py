"""Who is up, since when, and what last went well: the board that every room writes and the health socket shows.

Names are the names in the configuration, errors are reason slugs; nothing here comes from a peer or a patient. The
socket is read-only: what changes state is a command, not a request.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.ops.httpd import BACKLOG, PLAIN, Answer, Server

JSON: Final = "application/json"
KINDS: Final = {"pacs": "pacs", "sink": "sinks", "ris": "ris"}  # kind -> its word in the snapshot
MEND: Final = (
    "`socket` of [health] names a file of its own, in a folder that is there and open to this user; systemd makes one"
)
ACTIVITIES: Final = ("poll", "find", "move", "delivery")


@dataclass(frozen=True)
class Standing:
    """`up` None = not tried since the start. `since`: epoch seconds of the last change. `error`: the last slug."""

    up: bool | None = None
    since: float | None = None
    error: str = ""


class Board:
    """Thread-safe. `known`: (kind, name) of every peer of the configuration, so that untried ones are shown too."""

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._lock = threading.Lock()
        self._standing: dict[tuple[str, str], Standing] = {_peer(kind, name): Standing() for kind, name in known}
        self._success: dict[str, float] = {}

    def up(self, kind: str, name: str, *, now: float) -> None:
        self._put(kind, name, up=True, error=None, now=now)

    def down(self, kind: str, name: str, error: str, *, now: float) -> None:
        """`error`: a reason slug such as `find.timeout`."""
        self._put(kind, name, up=False, error=error, now=now)

    def unknown(self, kind: str, name: str) -> None:
        """As before the first try: somebody else asks it now."""
        with self._lock:
            self._standing[_peer(kind, name)] = Standing()

    def success(self, what: str, *, now: float) -> None:
        """`what`: poll, find, move or delivery."""
        if what not in ACTIVITIES:
            raise ValueError(f"no activity {what!r}")
        with self._lock:
            self._success[what] = max(now, self._success.get(what, now))

    def states(self, kind: str) -> dict[str, bool]:
        """name -> up, of those that were tried."""
        with self._lock:
            return {n: s.up for (k, n), s in self._standing.items() if k == kind and s.up is not None}

    def names(self, kind: str) -> list[str]:
        """Those of the configuration, tried or not."""
        with self._lock:
            return sorted(name for k, name in self._standing if k == kind)

    def snapshot(self) -> dict[str, object]:
        """`{"pacs": {name: {up, since, error}}, "sinks": ..., "ris": ..., "last": {"poll": ISO time or None, ...}}`."""
        with self._lock:
            shown: dict[str, dict[str, object]] = {word: {} for word in KINDS.values()}
            for (kind, name), standing in sorted(self._standing.items()):
                since = iso(standing.since)
                shown[KINDS[kind]][name] = {"up": standing.up, "since": since, "error": standing.error or None}
            last = {what: iso(self._success.get(what)) for what in ACTIVITIES}
        return {**shown, "last": last}

    def _put(self, kind: str, name: str, *, up: bool, error: str | None, now: float) -> None:
        peer = _peer(kind, name)
        with self._lock:
            was = self._standing.get(peer, Standing())
            since = was.since if was.up is up else now
            self._standing[peer] = Standing(up, since, was.error if error is None else error)


def _peer(kind: str, name: str) -> tuple[str, str]:
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}")
    return kind, name


def iso(at: float | None) -> str | None:
    """Epoch seconds as `2026-11-23T06:35:00Z`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Vitals:
    """What the health socket tells. `metrics`: `Metrics.answer`. A GatewayError or OSError in one of them is a 503."""

    healthz: Callable[[], bool]  # the process lives and every role progresses
    readyz: Callable[[], Mapping[str, bool]]  # check -> passed: receiver, database
    status: Callable[[], Mapping[str, object]]  # the document of interface.md, JSON-able
    metrics: Callable[[], Answer]


class HealthSocket:
    """HTTP on a Unix socket, mode 0660, until `close`, which also removes the file.

    Raises Fatal("health.socket") when the path cannot be had: another daemon listens there, or it is no socket.
    """

    def __init__(self, path: Path, vitals: Vitals) -> None:
        self._path = path
        listener = _listen_unix(path)
        self._inode = path.stat().st_ino
        routes = {
            "/healthz": lambda: _alive(vitals.healthz()),
            "/readyz": lambda: _checks(vitals.readyz()),
            "/status": lambda: _json(HTTPStatus.OK, vitals.status()),
            "/metrics": vitals.metrics,
        }
        self._server = Server(listener, routes, name="health")

    def close(self) -> None:
        self._server.close()
        with contextlib.suppress(OSError):  # never the socket of a successor
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def try_path(path: Path) -> None:
    """Whether a `HealthSocket` could be there; nothing is left behind. Raises Fatal("health.socket")."""
    _listen_unix(path).close()
    path.unlink(missing_ok=True)


def _alive(lives: bool) -> Answer:
    return Answer(HTTPStatus.OK, PLAIN, b"ok\n") if lives else Answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, b"stuck\n")


def _checks(checks: Mapping[str, bool]) -> Answer:
    ready = all(checks.values())
    return _json(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready, "checks": dict(checks)})


def _json(status: HTTPStatus, document: Mapping[str, object]) -> Answer:
    return Answer(status, JSON, json.dumps(document, indent=2).encode() + b"\n")


def _listen_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear_stale(path)
        # Before bind: the file is at no moment open to more (unix(7), less the umask).
        os.fchmod(listener.fileno(), 0o660)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(BACKLOG)
    except OSError as err:
        listener.close()
        raise Fatal("health.socket", f"cannot listen on {path} ({err.strerror or err}); {MEND}") from None
    except Fatal:
        listener.close()
        raise
    return listener


def _clear_stale(path: Path) -> None:
    """Removes a socket file that a crash left: only when nobody answers on it, and only when it is a socket."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise Fatal("health.socket", f"{path} is there already and is no socket; {MEND}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise Fatal("health.socket", f"another process listens on {path}; {MEND}")
