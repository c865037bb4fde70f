"""`run`, `demo`, `migrate`: the daemon in the foreground, the daemon with a hospital of its own, and its state."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.ops.core import keep_tables
from gateway.run import console, daemon, migration, wiring
from gateway.run.commands.options import config_option, settings_for
from gateway.run.commands.state import opened
from gateway.state.db import SCHEMA_VERSION


@click.command()
@config_option
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="What the log tells.",
)  # fmt: skip
def run(config: Path, log_level: str) -> int:
    """Run the gateway in the foreground.

    SIGTERM drains and ends it with 0, SIGHUP reads the configuration again, a second SIGTERM stops at once.
    """
    keep_tables()
    return daemon.run(wiring.load_settings(config), config, level=log_level)


@click.command()
@config_option
@click.option(
    "--keep-dir", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Where the demo works, and leaves all of it.  [default: demo]",
)  # fmt: skip
def demo(config: Path, folder: Path | None) -> int:  # `config`: every command takes it; the demo writes its own
    """Run the whole way on this machine: an embedded PACS and RIS, the real daemon, a filled archive, a summary."""
    from gateway.run.demo import demo as play  # an embedded PACS: of no use to any other command

    return play(folder, console=console.out())


@click.command()
@config_option
@click.option(
    "--from-sqlite", is_flag=True,
    help="Move the state from SQLite into the PostgreSQL database of the configuration. The daemon must be stopped.",
)  # fmt: skip
def migrate(config: Path, from_sqlite: bool) -> int:
    """Bring the state database to the schema of this version, or make it."""
    settings = settings_for(config)
    if from_sqlite:
        rows = migration.from_sqlite(settings)
        console.say(f"{rows} rows are in the new database; {settings.state_dir / migration.MOVED} is what was left")
    with opened(settings, create=True):
        console.say(f"the schema is current: version {SCHEMA_VERSION}")
    return 0
