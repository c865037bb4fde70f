"""`run`: the daemon in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.run import daemon, wiring
from gateway.run.options import config_option


@click.command()
@config_option
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="What the log tells.",
)  # fmt: skip
def run(config: Path, log_level: str) -> int:
    """Run the gateway in the foreground: SIGTERM drains and ends it, SIGHUP reads the configuration again."""
    return daemon.run(wiring.load_settings(config), config, level=log_level)
