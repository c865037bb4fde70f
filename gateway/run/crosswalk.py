"""A project's crosswalk, from its file: patient IDs, so the file must be as private as a password; and its pseudonyms."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.deidentify.aliases import as_encoded, read_aliases
from gateway.deidentify.crosswalk import read_crosswalk
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.errors import BadConfiguration, Mistake
from gateway.keys import Keys
from gateway.settings import Deidentify, Project, Settings

T = TypeVar("T")
MAX_SIZE = 256 * 1024 * 1024
"""Bytes: some ten million patients."""


def load_crosswalk(path: Path | None) -> dict[bytes, bytes] | None:
    """Patient ID as encoded -> pseudonym; None where no crosswalk is named. Raises BadConfiguration."""
    return None if path is None else _read(path, "crosswalk", "pseudonym", read_crosswalk)


def load_aliases(path: Path | None) -> dict[str, str]:
    """Patient ID -> the one it was merged into; none where no file is named. Raises BadConfiguration."""
    return {} if path is None else _read(path, "aliases", "survivor", read_aliases)


def _read(path: Path, setting: str, column: str, parsed: Callable[[str, bytes], T]) -> T:
    """`column`: the second one."""
    try:
        found = _fault(path.stat())
        if not found:
            return parsed(str(path), path.read_bytes())
    except OSError as err:
        found = f"cannot be read ({err.strerror})"
    allowed = f"a CSV file of mode 0640 or stricter, patient_id,{column} in its first line"
    raise BadConfiguration((Mistake(str(path), 0, setting, found, allowed),))


@dataclass(frozen=True)
class Names:
    """Pseudonyms of one project: which a patient ID gets there, and, where there is a crosswalk, whose one is."""

    pseudonyms: Pseudonyms = field(repr=False)
    crosswalk: Mapping[bytes, bytes] = field(repr=False)
    template: str = "{pseudonym}"
    former: tuple[Pseudonyms, ...] = field(default=(), repr=False)  # under keys that the project had before

    def of(self, patient: str) -> frozenset[str]:
        """In whichever encoding the ID stands in a data set, under every key that the project ever had; none for an empty ID."""
        text = patient.strip(" \0")
        forms = {text.encode(code) for code in ("utf-8", "latin-1") if text and _fits(text, code)}
        every = (self.pseudonyms, *self.former)
        return frozenset(made.patient_id(form, b"").decode("ascii", "replace") for form in forms for made in every)

    def formerly(self, patient: str, study: str) -> frozenset[str]:
        """Which a data set's patient got under keys that the project had before. Its ID as Latin-1 of its bytes, and its study."""
        told = patient.encode("latin-1"), study.encode("latin-1", "replace")
        return frozenset(made.patient_id(*told).decode("ascii", "replace") for made in self.former)

    def is_one(self, text: str) -> bool:
        """Whether it may be a pseudonym of this project: in the crosswalk's file, or made by the template."""
        if self.crosswalk:
            return text.encode("utf-8", "replace") in self.crosswalk.values()
        head, _, tail = self.template.partition("{pseudonym}")
        return re.fullmatch(f"{re.escape(head)}[A-Z2-7]{{16}}{re.escape(tail)}", text) is not None

    def behind(self, pseudonym: str) -> frozenset[str]:
        """The patient IDs that the crosswalk's file has for it."""
        wanted = pseudonym.encode("utf-8", "replace")
        return frozenset(patient.decode("latin-1") for patient, made in self.crosswalk.items() if made == wanted)


def make_names(project: Project, keys: Keys) -> Names:
    """As its cleaner makes them. Raises BadConfiguration."""
    crosswalk = load_crosswalk(project.deidentify.crosswalk)
    aliases = as_encoded(load_aliases(project.deidentify.aliases))
    template = project.deidentify.patient_id
    every = (keys.project(project.name), *keys.former(project.name))
    made, *former = (Pseudonyms(key, template, crosswalk, aliases) for key in every)
    return Names(made, crosswalk or {}, template, tuple(former))


def _fits(text: str, code: str) -> bool:
    try:
        return bool(text.encode(code))
    except UnicodeEncodeError:
        return False


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
    mistakes = [m for project in settings.project for m in _mistakes(project.deidentify)]
    if mistakes:
        raise BadConfiguration(tuple(dict.fromkeys(mistakes)))
    return settings


def _anchored(project: Project, folder: Path) -> Project:
    told = project.deidentify
    files = {"crosswalk": told.crosswalk, "aliases": told.aliases}
    deidentify = told.model_copy(update={name: path and folder / path for name, path in files.items()})
    return project.model_copy(update={"deidentify": deidentify})


def _mistakes(told: Deidentify) -> tuple[Mistake, ...]:
    try:
        load_aliases(told.aliases)
        load_crosswalk(told.crosswalk)
    except BadConfiguration as err:
        return err.mistakes
    return ()
