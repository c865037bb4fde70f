"""`status`: what the daemon says of itself over its health socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.errors import Fatal
from gateway.run import console
from gateway.run.commands.options import config_option, json_option, settings_for
from gateway.run.health import ask

Told = Mapping[str, Any]


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


def _show(told: Told) -> None:
    rate = told["throughput"]
    console.facts("Daemon", {
        "ready": "yes" if told["ready"] else "no: " + ", ".join(k for k, ok in told["checks"].items() if not ok),
        "version": told["version"], "node": told["node"], "up for": console.duration(told["uptime_s"]),
        "receiving": "paused: " + ", ".join(told["paused"]) if told["paused"] else "yes",
        "free disk": console.size(told["disk_free_bytes"]), "outbox": console.size(told["outbox_bytes"]),
        "held": console.counted(told["held"]) or "nothing",
        "throughput": f"{rate['instances_per_minute']:g} instances, {console.size(rate['bytes_per_minute'])} a minute",
        "backlog done in": "unknown" if told["eta_s"] is None else console.duration(told["eta_s"]),
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
        "unknown" if of["eta_s"] is None else console.duration(of["eta_s"]),
    )  # fmt: skip
