"""`key init`, `key check`, `key rotate`: the 32 bytes that open the state. Lost, no pseudonym can be made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from gateway.errors import Fatal
from gateway.keys import KEY_BYTES
from gateway.run import caller, console, rotating
from gateway.run.commands.options import config_option, settings_for
from gateway.run.keyfile import make_key
from gateway.run.rotating import Rotated
from gateway.settings import Settings, project_named, secret_path
from gateway.settings.secret import CREDENTIAL, key_fault

UNLINKED: Final = (
    "from now on {project} makes other pseudonyms, UIDs and shifts of dates. Whoever is in its archive already and comes again is "
    "another person there, for good: nothing links the two but the crosswalk. Patient IDs of a crosswalk's file stay as the file "
    "has them. To do that: --yes"
)


@click.group()
def key() -> None:
    """The pseudonymisation key: make it once, keep a copy in a safe."""


@key.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_option
def init(path: Path | None, config: Path) -> int:
    """Make the key at PATH, else where the configuration says. Never overwrites one."""
    made = path or _configured(settings_for(config))
    make_key(made)
    console.say(
        f"{made}: made, {KEY_BYTES} bytes, mode 0600; keep a copy in a safe: without it no pseudonym comes again"
    )
    return 0


@key.command()
@click.option(
    "--project", metavar="P", help="A new key for this project only: other pseudonyms, UIDs and dates from now on."
)
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH",
              help="The key's file, where key_file is a systemd credential.")  # fmt: skip
@click.option("--yes", is_flag=True, help="With --project: do it.")
@config_option
def rotate(project: str | None, key_file: Path | None, yes: bool, config: Path) -> int:
    """A new key for the state, with every daemon stopped. Pseudonyms, UIDs and dates stay as they are.

    Cut short, it is ended by the same command. The former key stays beside the new one as KEY.old, for old back-ups.
    """
    settings = settings_for(config)
    file = key_file or _configured(settings)
    if project is None:
        _tell(rotating.rotate(settings, file, user=caller.user()))
        return 0
    project_named(settings, project)
    if not yes:
        raise click.UsageError(UNLINKED.format(project=project))
    rotating.renew(settings, file, project=project, user=caller.user())
    console.say(f"{project}: has a new key; what was delivered before keeps its pseudonyms, and can still be looked up")
    return 0


def _tell(done: Rotated) -> None:
    files = done.files
    console.say(
        "ended what had been cut short" if done.rows is None else f"{done.rows} rows are sealed under the new key"
    )
    console.say(f"{files.key} is the new key: a copy into the safe, and onto every other node, before they start")
    if files.former.exists():
        console.say(
            f"{files.former} is the former one: old back-ups need it. Put it away with them, or destroy it with them"
        )


@key.command()
@config_option
def check(config: Path) -> int:
    """Whether the key has its length, its mode and its owner."""
    settings = settings_for(config)
    fault = fault_of(settings)
    if fault:
        raise Fatal("key.check", f"key_file: {fault}")
    console.say(f"the key is well: {KEY_BYTES} bytes, readable by its owner only")
    return 0


def fault_of(settings: Settings) -> str:
    """What is wrong with the configured key, and the mend; "" when it is well."""
    fault = key_fault(settings.key_file)
    if fault:
        return f"{fault.found}; {fault.allowed}"
    return "" if str(settings.key_file).startswith(CREDENTIAL) else _owner_fault(settings)


def _owner_fault(settings: Settings) -> str:
    """Root, this user, or whose the state is: anybody else could exchange it."""
    owner = secret_path(settings.key_file).stat().st_uid
    allowed = {0, os.geteuid()}
    if os.path.isdir(settings.state_dir):  # False also where this user may not look
        allowed.add(settings.state_dir.stat().st_uid)
    return "" if owner in allowed else "it belongs to another user; chown it to the account of the daemon"


def _configured(settings: Settings) -> Path:
    if str(settings.key_file).startswith(CREDENTIAL):
        raise click.UsageError("key_file is a systemd credential: name the PATH of the key to make")
    return secret_path(settings.key_file)
