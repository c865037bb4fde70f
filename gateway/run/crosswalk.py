"""A project's crosswalk, from its file: patient IDs, so the file must be as private as a password."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gateway.deidentify.crosswalk import read_crosswalk
from gateway.errors import BadConfiguration, Mistake
from gateway.settings import Project, Settings

MAX_SIZE = 256 * 1024 * 1024
"""Bytes: some ten million patients."""


def load_crosswalk(path: Path | None) -> dict[bytes, bytes] | None:
    """Patient ID as encoded -> pseudonym; None where no crosswalk is named. Raises BadConfiguration."""
    if path is None:
        return None
    try:
        found = _fault(path.stat())
        if not found:
            return read_crosswalk(str(path), path.read_bytes())
    except OSError as err:
        found = f"cannot be read ({err.strerror})"
    allowed = "a CSV file of mode 0640 or stricter, patient_id,pseudonym in its first line"
    raise BadConfiguration((Mistake(str(path), 0, "crosswalk", found, allowed),))


def _fault(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "no file"
    if status.st_mode & stat.S_IRWXO:
        return f"its mode {stat.S_IMODE(status.st_mode):04o} lets others read it"
    return f"more than {MAX_SIZE} bytes" if status.st_size > MAX_SIZE else ""


def anchored(settings: Settings, folder: Path) -> Settings:
    """The same settings, with crosswalks that are named by a relative path standing in `folder`, where the configuration is."""
    return settings.model_copy(update={"project": tuple(_anchored(p, folder.absolute()) for p in settings.project)})


def checked(settings: Settings) -> Settings:
    """The same settings, each crosswalk read once: a mistake in one is told at start, and on reload before anything is stopped.

    Raises BadConfiguration with the mistakes of all.
    """
    mistakes = [m for project in settings.project for m in _mistakes(project.deidentify.crosswalk)]
    if mistakes:
        raise BadConfiguration(tuple(dict.fromkeys(mistakes)))
    return settings


def _anchored(project: Project, folder: Path) -> Project:
    if project.deidentify.crosswalk is None:
        return project
    deidentify = project.deidentify.model_copy(update={"crosswalk": folder / project.deidentify.crosswalk})
    return project.model_copy(update={"deidentify": deidentify})


def _mistakes(path: Path | None) -> tuple[Mistake, ...]:
    try:
        load_crosswalk(path)
    except BadConfiguration as err:
        return err.mistakes
    return ()
