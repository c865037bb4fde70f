"""`audit verify`: whether the audit trail is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.run import broker, caller, console
from gateway.run.commands.options import config_option, json_option, settings_for
from gateway.run.commands.state import opened


@click.group()
def audit() -> None:
    """The audit trail of the honest broker, in the state directory of this node."""


@audit.command()
@config_option
@json_option
def verify(config: Path, as_json: bool) -> int:
    """Whether a line was changed, removed or put elsewhere. 1 when one was; that somebody looked is a line, too."""
    settings = settings_for(config)
    with opened(settings) as here:
        caller.only_owner(settings.state_dir)
        desk = broker.make_desk(settings, here)
        lines, faults = desk.trail.verify(desk.head())
        desk.note("verified", user=caller.user(), lines=lines, outcome="failed" if faults else "well")
    if as_json:
        console.emit({"lines": lines, "faults": [vars(fault) for fault in faults]})
    elif faults:
        console.table("Faults", ("Line", "Fault", "Detail"), [(f.line or "end", f.why, f.detail) for f in faults])
    else:
        console.say(f"the audit trail is well: {lines} lines, {desk.trail.path}")
    return int(bool(faults))
