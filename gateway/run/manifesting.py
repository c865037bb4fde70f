"""Manifests of the directories that ask for them: written when every archive has confirmed a series, before its clean files go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.deidentify.marks import version_in
from gateway.deliver import header
from gateway.deliver.layout import Layout
from gateway.deliver.manifest import Delivered, Manifests, encoders
from gateway.errors import Retry
from gateway.model import LedgerLine, Outcome
from gateway.settings import DirectorySink, Project
from gateway.state.outbox import Outbox

EVERY = "1m"


@dataclass(frozen=True)
class Manifested:
    """A project's outbox as its couriers see it. A manifest that cannot be written keeps the files: they are confirmed again."""

    outbox: Outbox
    manifests: Sequence[Manifests]
    clock: Callable[[], float] = time.time

    def files(self, series: str) -> list[Path]:
        return self.outbox.files(series)

    def checksums(self, series: str) -> dict[str, set[str]]:
        return self.outbox.checksums(series)

    def damaged(self, series: str) -> list[str]:
        return self.outbox.damaged(series)

    def set_aside(self, series: str, name: str) -> None:
        self.outbox.set_aside(series, name)

    def remove(self, series: str, files: Sequence[Path]) -> bool:
        """Raises OSError."""
        day = time.strftime("%Y%m%d", time.gmtime(self.clock()))
        delivered = _delivered(self.outbox.ledger(series), files)
        for one in self.manifests:
            patients = one.add(delivered, day=day)
            # Withdrawn just now: the outbox is cleared before the archives are.
            if not all(file.exists() for file in files):
                for patient in patients:
                    one.forget(patient)
        return self.outbox.remove(series, files)


@dataclass(frozen=True)
class Days:
    """The manifests of days, made anew where something came."""

    manifests: Sequence[Manifests]

    def step(self) -> bool:
        """Raises Retry("sink.unwritable")."""
        try:
            return sum(one.bring_up() for one in self.manifests) > 0
        except OSError as err:
            raise Retry("sink.unwritable", f"a manifest cannot be written ({err.strerror})", charge=False) from None


def make_days(project: Project) -> Days | None:
    """None where no directory asks for manifests."""
    manifests = make_manifests(project)
    return Days(manifests) if manifests else None


def make_manifests(project: Project) -> list[Manifests]:
    """Of its directories that ask for them. Raises Fatal("deliver.missing")."""
    return [
        Manifests(one.path, Layout(one.layout), encoders(one.manifests))
        for one in project.deliver
        if isinstance(one, DirectorySink) and one.manifests
    ]


def _delivered(ledger: Mapping[str, LedgerLine], files: Sequence[Path]) -> list[Delivered]:
    """With the profile that the ledger says."""
    profiles = {line.file: line.profile for line in ledger.values() if line.outcome is Outcome.KEPT}
    return [Delivered(file, profiles.get(file.name) or _profile(file)) for file in files]


def _profile(file: Path) -> str:
    """By the file itself: its line is not synced, a power cut may have taken it. Raises Refused, Retry as `header.read` does."""
    return version_in(header.read(file, ["DeidentificationMethod"])["DeidentificationMethod"])
