"""`status`: what the daemon says of itself over its health socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.errors import Fatal
from gateway.run import console
from gateway.run.commands.options import config_option, json_option, settings_for

PATIENCE: Final = 10.0  # seconds for connecting, and for each read

Told = Mapping[str, Any]


class Health(http.client.HTTPConnection):
    """HTTP over the health socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


@click.command()
@config_option
@json_option
def status(config: Path, as_json: bool) -> int:
    """Show the daemon's life: queues, PACS and archives up or down, throughput, what is left. 1 when it is not ready."""
    path = settings_for(config).health.socket
    ready, readiness = ask(path, "/readyz")
    answered, told = ask(path, "/status")
    if not answered or "queues" not in told:
        raise Fatal("daemon.unwell", "the daemon answers, but cannot tell its state just now")
    document = {"ready": ready, "checks": readiness.get("checks", {}), **told}
    if as_json:
        console.emit(document)
    else:
        _show(document)
    return 0 if ready else 1


def ask(path: Path, what: str) -> tuple[bool, Told]:
    """Whether it answered 200, and the document. Raises Fatal("daemon.unreachable")."""
    status, body = _answer(path, what)
    return status == http.HTTPStatus.OK, _document(body)


def fetch(path: Path, what: str) -> bytes:
    """The answer as it is, whatever its status. Raises Fatal("daemon.unreachable")."""
    return _answer(path, what)[1]


def _answer(path: Path, what: str) -> tuple[int, bytes]:
    connection = Health(path)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as err:
        why = getattr(err, "strerror", None) or type(err).__name__
        raise Fatal("daemon.unreachable", f"no daemon answers on {path} ({why}): is it running?") from None
    finally:
        connection.close()


def _document(body: bytes) -> Told:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _show(told: Told) -> None:
    rate = told["throughput"]
    console.facts("Daemon", {
        "ready": "yes" if told["ready"] else "no: " + ", ".join(k for k, ok in told["checks"].items() if not ok),
        "version": told["version"], "node": told["node"], "up for": duration(told["uptime_s"]),
        "receiving": "paused: " + ", ".join(told["paused"]) if told["paused"] else "yes",
        "free disk": size(told["disk_free_bytes"]), "outbox": size(told["outbox_bytes"]),
        "held": console.counted(told["held"]) or "nothing",
        "throughput": f"{rate['instances_per_minute']:g} instances, {size(rate['bytes_per_minute'])} a minute",
        "backlog done in": "unknown" if told["eta_s"] is None else duration(told["eta_s"]),
        **{f"last {what}": at or "never" for what, at in told["last"].items()},
    })  # fmt: skip
    rows = [
        (what, project, state, n)
        for what, queues in told["queues"].items()
        for project, states in queues.items()
        for state, n in states.items()
    ]
    console.table("Queues", ("What", "Project", "State", "Number"), rows)
    console.table("Peers", ("Kind", "Name", "State", "Since", "Last error"), _peers(told))
    heads = ("PACS", "Window", "Until", "Moves", "Breaker", "Series to come", "Done in")
    console.table("Retrieval", heads, [(name, *_retrieval(of)) for name, of in told["moves"].items()])


def _peers(told: Told) -> list[tuple[object, ...]]:
    state = {True: "up", False: "down", None: "not tried"}
    return [
        (kind, name, state[peer["up"]], peer["since"], peer["error"])
        for kind in ("pacs", "ris", "sinks")
        for name, peer in told[kind].items()
    ]


def _retrieval(of: Told) -> tuple[object, ...]:
    """Moves: under way, of how many that the PACS bears now and may have at most."""
    return (
        "open" if of["window_open"] else "closed", of["window_changes"] or "always",
        f"{of['moves']} of {of['moves_allowed']}, at most {of['max_moves']}", of["breaker"], of["series"],
        "unknown" if of["eta_s"] is None else duration(of["eta_s"]),
    )  # fmt: skip


def duration(seconds: float) -> str:
    """`2d 3h 12m 5s`, the parts that are not zero."""
    left, parts = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def size(number: float) -> str:
    """`1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"
