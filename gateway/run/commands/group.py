"""The commands under their name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

import click

from gateway import __version__

MODULES: Final[Mapping[str, str]] = {
    "run": "life", "check": "check", "demo": "life", "status": "status", "requests": "requests", "balance": "balance",
    "explain": "explain", "find": "find", "held": "held", "deid": "deid", "profile": "profile", "reidentify": "broker",
    "withdraw": "broker", "audit": "audit", "key": "key", "migrate": "life", "support-bundle": "bundle",
}  # fmt: skip
"""Command -> the module here that has it."""


class OnDemand(click.Group):
    """Imports the module of the command that is asked for: all of them take a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        found = getattr(
            importlib.import_module(f"gateway.run.commands.{MODULES[cmd_name]}"), cmd_name.replace("-", "_")
        )
        assert isinstance(found, click.Command)
        return found


@click.group(cls=OnDemand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pacs-gateway")
def pacs_gateway() -> None:
    """Fills a research archive from a hospital PACS, de-identified before it is stored.

    Exit codes: 0 done; 1 the thing asked about is not well; 2 wrong usage or configuration; 3 the daemon or a peer cannot
    be reached.
    """
