"""What several commands take from the command line, and how each gets its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from gateway import settings as configuration
from gateway.run.crosswalk import anchored
from gateway.settings import Settings

DEFAULT_CONFIG: Final = "/etc/pacs-gateway/gateway.toml"

config_option = click.option(
    "--config", type=click.Path(path_type=Path), envvar="PACS_GATEWAY_CONFIG", default=DEFAULT_CONFIG, show_default=True,
    show_envvar=True, help="The configuration file.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
project_option = click.option("--project", required=True, metavar="P", help="The project, by its name.")
some_project_option = click.option("--project", metavar="P", help="Of this project only.")


def settings_for(config: Path) -> Settings:
    """The settings of a command that needs not every secret: one that is missing is told where it is needed."""
    return anchored(configuration.load(config, files=False), config.parent)
