"""Secrets, read where they are used: from a file that others cannot read, or from a systemd credential (`credential:NAME`).

Nothing here repeats a reference in a message: people put the secret itself where its file's name belongs.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import Fatal
from gateway.keys import KEY_BYTES
from gateway.settings.finding import Finding, Raw, texts
from gateway.settings.schema import Settings

CREDENTIAL: Final = "credential:"
DIRECTORY: Final = "CREDENTIALS_DIRECTORY"  # set by systemd for LoadCredential=
MAX_SECRET: Final = 64 * 1024  # bytes
NO_TEXT: Final = frozenset("\0\ufffd")  # UTF-16 read byte by byte, and what stands for bytes that are no UTF-8

ANYBODY_ELSE: Final = stat.S_IRWXG | stat.S_IRWXO
WORLD: Final = stat.S_IRWXO


class Fault(NamedTuple):
    """Why a secret cannot be used, and the mend."""

    found: str
    allowed: str


def secret_path(reference: str | Path) -> Path:
    """The file of a path or `credential:NAME`. Raises Fatal("secret.credential") when systemd gave us no credentials."""
    text = str(reference)
    if not text.startswith(CREDENTIAL):
        return Path(text)
    folder = os.environ.get(DIRECTORY)
    if not folder:
        raise Fatal(
            "secret.credential", f"{DIRECTORY} is not set; start as the systemd unit does, with LoadCredential="
        )
    return Path(folder) / Path(text.removeprefix(CREDENTIAL)).name


def secret(reference: str | Path) -> bytes:
    """The content of a secret's file. Raises Fatal("secret.unreadable") when it cannot be read."""
    try:
        with secret_path(reference).open("rb") as file:
            return file.read(MAX_SECRET)
    except OSError as err:
        raise Fatal("secret.unreadable", f"a file named for a secret cannot be read ({err.strerror})") from None


def read_key(settings: Settings) -> bytes:
    """The 32 bytes that all pseudonyms and sealed columns come from. Raises Fatal("key.file") with the mend."""
    fault = key_fault(settings.key_file)
    if fault:
        raise Fatal("key.file", f"key_file: {fault.found}; {fault.allowed}")
    return secret(settings.key_file)


def read_password(reference: str | Path) -> str:
    """The first line of a password's file. Raises Fatal("password.file") with the mend."""
    fault = password_fault(reference)
    if fault:
        raise Fatal("password.file", f"{fault.found}; {fault.allowed}")
    return _first_line(reference)


def key_fault(reference: str | Path) -> Fault | None:
    """Why the key cannot be used, None when it can."""
    fault = _file_fault(reference, ANYBODY_ELSE, "make a key with: pacs-gateway key init")
    if fault is None and len(secret(reference)) != KEY_BYTES:
        return Fault(f"the file does not hold {KEY_BYTES} bytes", "a key as made by: pacs-gateway key init")
    return fault


def password_fault(reference: str | Path) -> Fault | None:
    """Why the password cannot be used, None when it can. The group may read it: root:pacs-gateway 0640."""
    fault = private_fault(reference, "a file of mode 0600 with the password in its first line")
    if fault:
        return fault
    password = _first_line(reference)
    if NO_TEXT & {*password}:
        return Fault("the file's first line is not UTF-8 text", "a file saved as UTF-8")
    return None if password.strip() else Fault("the file's first line is empty", "the password in the first line")


def private_fault(reference: str | Path, mend: str) -> Fault | None:
    """Why a file cannot be used that others must not read; the group may."""
    return _file_fault(reference, WORLD, mend)


def missing_secrets(raw: Raw) -> Iterator[Finding]:
    """A finding for each secret that the configuration names and that cannot be used."""
    key = next((v for _, v in texts(raw, "key_file")), None)
    fault = key_fault(key or Settings.model_fields["key_file"].default)
    if fault:
        found = fault.found if key else f"{fault.found} ({Settings.model_fields['key_file'].default}, the default)"
        yield Finding(("key_file",), found, fault.allowed)
    for place, reference in (*texts(raw, "database_password_file"), *texts(raw, "ris.*.password_file")):
        fault = password_fault(reference)
        if fault:
            yield Finding(place, *fault)


def account(uid: int) -> str:
    """Its name, or its number where it has none: chown takes either."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _first_line(reference: str | Path) -> str:
    """Without the mark that editors put before UTF-8: it is no part of a password."""
    return secret(reference).partition(b"\n")[0].rstrip(b"\r").decode("utf-8-sig", "replace")


def _file_fault(reference: str | Path, forbidden: int, mend: str) -> Fault | None:
    try:
        path = secret_path(reference)
        about = path.stat()
    except Fatal as err:
        return Fault(err.detail, "a file, or a credential of the systemd unit")
    except PermissionError:
        return Fault("its folder is closed to this user", "a folder that the account of the daemon may enter")
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return Fault("there is no such file", mend)
    if not stat.S_ISREG(about.st_mode):
        return Fault("not a file that this user can read", mend)
    if not os.access(path, os.R_OK):
        return _unreadable(about.st_uid)
    if about.st_mode & forbidden and not str(reference).startswith(CREDENTIAL):  # systemd itself guards credentials
        return Fault(f"its mode {stat.S_IMODE(about.st_mode):04o} lets others read it", "mode 0600: chmod 600")
    return None


def _unreadable(owner: int) -> Fault:
    """There is a file, made by another account: most often by root, who wrote it for the daemon."""
    us = os.geteuid()
    if owner == us:
        return Fault("its own user cannot read it", "mode 0600: chmod 600")
    found = f"it belongs to {account(owner)}, and {account(us)} may not read it"
    return Fault(found, f"as root, where {account(us)} is the account of the daemon: chown {account(us)}: FILE")
