"""What several commands take from the command line, and how each gets its configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from gateway import settings as configuration
from gateway.run import console
from gateway.run.crosswalk import anchored
from gateway.settings import Settings, project_named

DEFAULT_CONFIG: Final = "/etc/pacs-gateway/gateway.toml"

config_option = click.option(
    "--config", type=click.Path(path_type=Path), envvar="PACS_GATEWAY_CONFIG", default=DEFAULT_CONFIG, show_default=True,
    show_envvar=True, help="The configuration file.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
project_option = click.option("--project", required=True, metavar="P", help="The project, by its name.")
some_project_option = click.option("--project", metavar="P", help="Of this project only.")


def sensitive(value: str) -> str:
    """What identifies somebody. `-`: a line of standard input, so that it stands in no shell's history and no list of processes."""
    if value != "-":
        return value
    line = os.fsdecode(sys.stdin.buffer.readline()).strip()  # as the command line itself is decoded
    if not line:
        raise click.UsageError("-: standard input has no further line")
    return line


def one_sensitive(value: str) -> str:
    """The same for a command that answers for one: another line of a pipe would be left unanswered, without a word."""
    found = sensitive(value)
    if value == "-" and not sys.stdin.isatty() and sys.stdin.buffer.read().strip():  # who types ends with the line
        raise click.UsageError("-: standard input has more than one line; run the command once for each")
    return found


def our_key(text: str) -> str:
    """As our keys are written. What no key holds (bytes that are no UTF-8, for one) must not reach the database driver."""
    return console.plain(text).upper()


def settings_for(config: Path, project: str | None = None) -> Settings:
    """The settings of a command that needs not every secret: one that is missing is told where it is needed.

    `project`: one that must be in them. Raises BadConfiguration.
    """
    settings = anchored(configuration.load(config, files=False), config.parent)
    if project is not None:
        project_named(settings, project)
    return settings
