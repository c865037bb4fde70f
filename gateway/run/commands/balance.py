"""`balance`: what was asked for, and what became of all of it. Nothing in it names anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.run import console
from gateway.run.commands.options import config_option, json_option, settings_for, some_project_option
from gateway.run.commands.state import opened
from gateway.state.balance import PARTS, Balance


@click.command()
@some_project_option
@config_option
@json_option
def balance(project: str | None, config: Path, as_json: bool) -> int:
    """Show what was asked for, and what became of all of it, without identifiers. 1 when it does not add up."""
    with opened(settings_for(config), project=project) as here:
        found = [sheet for sheet in here.views.balances() if project in (None, sheet.project)]
    if as_json:
        console.emit([document(sheet) for sheet in found])
    else:
        for sheet in found:
            _show(sheet)
    for sheet in found:
        if not sheet.adds_up:
            console.warn(
                f"{sheet.project}: does not add up, {console.counted(sheet.unaccounted) or 'requests are missing'}"
            )
    return 0 if all(sheet.adds_up for sheet in found) else 1


def document(sheet: Balance) -> dict[str, Any]:
    """JSON-able: numbers by part and reason."""
    parts = {
        part.replace(" ", "_"): {"total": sheet.total(part), "reasons": sheet.parts.get(part, {})} for part in PARTS
    }
    return {
        "project": sheet.project, "asked": sheet.asked, **parts, "unaccounted": sheet.unaccounted, "adds_up": sheet.adds_up,
        "set_aside": sheet.set_aside, "series": sheet.series, "instances": sheet.instances,
    }  # fmt: skip


def _show(sheet: Balance) -> None:
    console.table(f"{sheet.project}: {sheet.asked} asked for", ("Requests", "Reason", "Number"), _rows(sheet))
    for reason, number in sorted(sheet.set_aside.items()):
        console.say(f"set aside, not asked for: {reason} {number}")
    console.say(f"instances: {console.counted(sheet.instances) or 'none'}")


def _rows(sheet: Balance) -> Iterator[tuple[object, ...]]:
    for part in PARTS:
        for reason, number in sorted(sheet.parts.get(part, {}).items()):
            yield part, reason, number
    yield "sum", "" if sheet.adds_up else "does not add up", sum(map(sheet.total, PARTS))
