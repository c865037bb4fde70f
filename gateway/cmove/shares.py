"""Whose series comes next: the project that had the least of a PACS lately, by its share. Pure.

Counted in instances, at least one for each series, so that neither large series nor failing ones are a way to more. What is ten
minutes old counts half: who had nothing to fetch for a day gets no day of its own afterwards, only its turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

HALF_LIFE: Final = 600.0  # seconds


@dataclass(frozen=True)
class Shares:
    """`weights`: by project, 1 where it is not named. `had`: instances by project, as of `at`, monotonic seconds."""

    weights: Mapping[str, float] = field(default_factory=dict)
    had: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0

    def turns(self, projects: Iterable[str]) -> list[str]:
        """All of them, the next one first; of equals the one that is named first."""
        return sorted(projects, key=lambda p: self.had.get(p, 0.0) / self.weights.get(p, 1.0))

    def served(self, projects: Iterable[str], instances: int, now: float) -> Shares:
        """One retrieval, for all of these."""
        served = tuple(projects)
        fades = 0.5 ** (max(0.0, now - self.at) / HALF_LIFE)
        had = {p: n * fades for p, n in self.had.items()}
        for project in served:
            had[project] = had.get(project, 0.0) + max(1, instances) / len(served)
        return Shares(self.weights, had, now)
