"""The commands under their name."""

from __future__ import annotations

import click

from gateway import __version__
from gateway.run.commands.audit import audit
from gateway.run.commands.balance import balance
from gateway.run.commands.broker import reidentify, withdraw
from gateway.run.commands.bundle import support_bundle
from gateway.run.commands.check import check
from gateway.run.commands.deid import deid
from gateway.run.commands.explain import explain
from gateway.run.commands.find import find
from gateway.run.commands.held import held
from gateway.run.commands.key import key
from gateway.run.commands.life import demo, migrate, run
from gateway.run.commands.profile import profile
from gateway.run.commands.requests import requests
from gateway.run.commands.status import status
from gateway.run.commands.trace import trace


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pacs-gateway")
def pacs_gateway() -> None:
    """Fills a research archive from a hospital PACS, de-identified before it is stored.

    Exit codes: 0 done; 1 the thing asked about is not well; 2 wrong usage or configuration; 3 the daemon or a peer cannot
    be reached.
    """


for command in (
    run, check, demo, status, requests, balance, explain, find, held, deid, profile, reidentify, withdraw, audit, key,
    migrate, support_bundle,
):  # fmt: skip
    pacs_gateway.add_command(command)
requests.add_command(trace)
