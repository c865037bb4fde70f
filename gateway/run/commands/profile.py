"""`profile`: the effective de-identification profile of a project, one row an element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydicom._uid_dict import UID_dictionary

from gateway.deidentify.override import BadProfile
from gateway.deidentify.profile import Profile, ProfileRow, compile_profile
from gateway.errors import BadConfiguration, Mistake
from gateway.run import console
from gateway.run.commands.options import config_option, json_option, project_option, settings_for
from gateway.settings import project_named


@click.command()
@project_option
@click.option(
    "--sop-class", metavar="CLASS", help="As in instances of this class (UID or keyword), at their top level."
)
@config_option
@json_option
def profile(project: str, sop_class: str | None, config: Path, as_json: bool) -> int:
    """Show the project's effective de-identification profile: tag, keyword, action, the rule it comes from."""
    found = project_named(settings_for(config), project)
    with told_of(config, project):
        made = compile_profile(found.deidentify)
    rows = list(_rows_of(made, sop_class))
    if as_json:
        head = {"project": project, "version": made.version, "edition": made.edition, "patient_id": made.patient_id}
        chosen = {"options": list(made.options.names), "crosswalk": found.deidentify.crosswalk is not None}
        console.emit({**head, **chosen, "rows": [row._asdict() for row in rows]})
    else:
        console.table(f"Profile {made.version} of {project}", ("Tag", "Keyword", "Action", "Rule"), rows)
    return 0


def _rows_of(made: Profile, sop_class: str | None) -> Iterator[ProfileRow]:
    """In any IOD, or in that of a class: there the types of its attributes decide."""
    special = {} if sop_class is None else made.rules_at(_class(sop_class).encode(), 0)
    own = {f"({tag >> 16:04X},{tag & 0xFFFF:04X})": rule for tag, rule in special.items()}
    for row in made.rows():
        rule = own.get(row.tag)
        yield row._replace(action=rule.action.value, rule=rule.source) if rule else row


def _class(text: str) -> str:
    """The UID of a storage SOP class."""
    known = {
        name: uid
        for uid, (_, kind, _, _, keyword) in UID_dictionary.items()
        if kind == "SOP Class"
        for name in (uid, keyword)
    }
    uid = known.get(text)
    if uid is None:
        raise click.UsageError("--sop-class: no SOP class of the standard, such as CTImageStorage")
    return uid


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
