"""`profile`: the effective de-identification profile of a project, one row an element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gateway.deidentify.override import BadProfile
from gateway.deidentify.profile import compile_profile
from gateway.errors import BadConfiguration, Mistake
from gateway.run import console, wiring
from gateway.run.commands.options import config_option, json_option, project_option, settings_for


@click.command()
@project_option
@config_option
@json_option
def profile(project: str, config: Path, as_json: bool) -> int:
    """Show the project's effective de-identification profile: tag, keyword, action, the rule it comes from."""
    found = wiring.project(settings_for(config), project)
    with told_of(config, project):
        made = compile_profile(found.deidentify)
    rows = list(made.rows())
    if as_json:
        head = {"project": project, "version": made.version, "edition": made.edition, "patient_id": made.patient_id}
        chosen = {"options": list(made.options.names), "crosswalk": found.deidentify.crosswalk is not None}
        console.emit({**head, **chosen, "rows": [row._asdict() for row in rows]})
    else:
        console.table(f"Profile {made.version} of {project}", ("Tag", "Keyword", "Action", "Rule"), rows)
    return 0


@contextmanager
def told_of(config: Path, project: str) -> Iterator[None]:
    """A profile that cannot be compiled is a mistake in the configuration."""
    try:
        yield
    except BadProfile as err:
        mistake = Mistake(
            str(config), 0, f'project "{project}": deidentify', str(err), "an override that can be applied"
        )
        raise BadConfiguration((mistake,)) from None
