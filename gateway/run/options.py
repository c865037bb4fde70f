"""What several commands take from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

DEFAULT_CONFIG: Final = "/etc/pacs-gateway/gateway.toml"

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PACS_GATEWAY_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
