"""`key init`, `key check`: the 32 bytes that every pseudonym comes from. Lost, no pseudonym can be made again."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import click

from gateway.errors import Fatal
from gateway.keys import KEY_BYTES
from gateway.run import console
from gateway.run.commands.options import config_option, settings_for
from gateway.settings import Settings, secret_path
from gateway.settings.secret import CREDENTIAL, key_fault

MODE: Final = 0o600


@click.group()
def key() -> None:
    """The pseudonymisation key: make it once, keep a copy in a safe."""


@key.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_option
def init(path: Path | None, config: Path) -> int:
    """Make the key at PATH, else where the configuration says. Never overwrites one."""
    made = path or _configured(settings_for(config))
    _write(made, secrets.token_bytes(KEY_BYTES))
    console.say(
        f"{made}: made, {KEY_BYTES} bytes, mode 0600; keep a copy in a safe: without it no pseudonym comes again"
    )
    return 0


@key.command()
@config_option
def check(config: Path) -> int:
    """Whether the key has its length, its mode and its owner."""
    settings = settings_for(config)
    fault = fault_of(settings)
    if fault:
        raise Fatal("key.check", fault)
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
    if settings.state_dir.is_dir():
        allowed.add(settings.state_dir.stat().st_uid)
    return "" if owner in allowed else "it belongs to another user; chown it to the account of the daemon"


def _configured(settings: Settings) -> Path:
    if str(settings.key_file).startswith(CREDENTIAL):
        raise click.UsageError("key_file is a systemd credential: name the PATH of the key to make")
    return secret_path(settings.key_file)


def _write(path: Path, content: bytes) -> None:
    """Whole and on stable storage, or not at all."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    except FileExistsError:
        raise Fatal("key.exists", f"{path} is there already and stays: another key gives other pseudonyms") from None
    except OSError as err:
        raise Fatal("key.unwritable", f"{path} cannot be made ({err.strerror})") from None
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, MODE)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(fd)
        _sync(path.absolute().parent)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise Fatal("key.unwritable", f"{path} cannot be written ({err.strerror})") from None


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
