"""A person's decision about what is held: release or discard, written to the history of its series before it is carried out.

As the screening does, one file at a time under its lock, and then the series is settled; so a decision may be cut short anywhere,
and is taken again by the same words.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.cstore.screening import DEAD, mapped, settle
from gateway.run.opening import State
from gateway.state import evidence
from gateway.state import holding as held
from gateway.state.holding import Holding

STUDIES: Final = ("C-", "R-")
SAID: Final = {"release": "accepted", "discard": "rejected"}
"""What is said of a study -> what it means."""

BUSY = "held.busy"
OVER = "held.series-over"
GONE = "held.gone"
UNKNOWN = "held.unknown"


@dataclass(frozen=True)
class Decision:
    """`word`: "release" or "discard". `by`: who decided. `reason`: a slug, or ""."""

    word: str
    by: str
    reason: str = ""

    def line(self, holding: Holding) -> str:
        """As the history tells it: our own keys, the profile that made the file, who, and why."""
        return f"{holding.key} profile={holding.line.profile} {self.told}"

    @property
    def told(self) -> str:
        """Who, and why."""
        return f"by={self.by}" + (f" reason={self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Decided:
    """What became of one key: `why` is "" when it was done."""

    key: str
    why: str = ""


def decide(state: State, keys: Sequence[str], decision: Decision) -> list[Decided]:
    """`keys`: of held instances (H-...), or of series (S-...): all that is held of it; of studies that may be an examination
    (C-...), or of requests (R-...): all its studies that nobody decided about. What is unknown is told as such."""
    studies = [key for key in dict.fromkeys(keys) if key.startswith(STUDIES)]
    files = [key for key in keys if key not in studies]
    return _decide_files(state, files, decision) + _decide_studies(state, studies, decision)


def _decide_studies(state: State, keys: Sequence[str], decision: Decision) -> list[Decided]:
    told = evidence.Decision(SAID[decision.word], decision.told)
    done = state.store.decide(keys, told, now=time.time())
    decided = [Decided(one) for key in keys for one in done.get(key, ())]
    return decided + [Decided(key, UNKNOWN) for key in keys if key not in done]


def _decide_files(state: State, keys: Sequence[str], decision: Decision) -> list[Decided]:
    wanted = dict.fromkeys(keys)
    found = [h for h in held.holdings(state.outbox) if h.key in wanted or h.series in wanted]
    done = [Decided(h.key, _decide(state, h, decision)) for h in found]
    for series in sorted({h.series for h in found}):
        settle(state.store, state.outbox, series, now=time.time())
    known = {key for h in found for key in (h.key, h.series)}
    return done + [Decided(key, UNKNOWN) for key in wanted if key not in known]


def _decide(state: State, holding: Holding, decision: Decision) -> str:
    """Why not, or ""."""
    series = state.views.series_of([holding.series]).get(holding.series)
    if series is None or series.state in DEAD:
        return OVER
    with held.locked(holding) as mine:
        if not mine:
            return BUSY if holding.path.exists() else GONE
        state.store.tell(holding.series, f"{decision.word}-ordered", reason=decision.line(holding), now=time.time())
        if decision.word == "release":
            held.release(state.outbox, holding, [memoryview(mapped(holding.path))], held.RELEASED)
        else:
            held.discard(state.outbox, holding)
    return ""


def listed(state: State, project: str | None = None) -> Iterator[tuple[Holding, str, str]]:
    """(holding, project, modality) of all that is held, of one project's."""
    all_held = list(held.holdings(state.outbox))
    known = state.views.series_of(sorted({h.series for h in all_held}))
    for holding in all_held:
        series = known.get(holding.series)
        if series is not None and project in (None, series.project):
            yield holding, series.project, series.modality


def count(state: State) -> Counter[str]:
    """Held instances by project."""
    return Counter(project for _, project, _ in listed(state))
