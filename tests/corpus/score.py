"""The corpus against the engine, as a table by trap and category.

`python -m tests.corpus.score [--options a,b | --every] [--seed N] [--failures N]`
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.options import CODES, FULL_DATES, MODIFIED_DATES
from gateway.model import Dropped, Held
from gateway.settings import Deidentify
from tests.corpus.generate import corpus
from tests.corpus.judge import Judged, Registry, judge
from tests.corpus.key import Entry
from tests.deidentify.writer import SYNTAXES

KEY = bytes(32)
RECOMMENDED = (
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
    MODIFIED_DATES,
    "retain-patient-characteristics",
    "retain-safe-private",
)
IDENTITY = ("retain-uids", "retain-device-identity", "retain-institution-identity")
OPTION_SETS: dict[str, tuple[str, ...]] = {
    "basic": (),
    "recommended": RECOMMENDED,
    **{name: (name,) for name in CODES},
    "recommended + clean-pixel-data": (*RECOMMENDED, "clean-pixel-data"),
    **{f"recommended + {name}": (*RECOMMENDED, name) for name in IDENTITY},
    "recommended, full dates": (*(name for name in RECOMMENDED if name != MODIFIED_DATES), FULL_DATES),
    "everything": (*(name for name in CODES if name != FULL_DATES),),
}
"""Name -> options: the Basic Profile, what is recommended, each option alone, and the combinations that disclose most."""
CATEGORIES = ("kept", "words", "uids", "references", "dates", "ages", "safe", "pixels", "marks", "changed")


@dataclass
class Tally:
    """Passed and all, by category; planted and leaks."""

    planted: int = 0
    leaks: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def retention(self) -> float:
        """Share of what had to be there and right, in percent."""
        return 100.0 * self.passed.total() / (self.asked.total() or 1)


@dataclass
class Score:
    """One run. `refused`: reason -> files."""

    total: Tally = field(default_factory=Tally)
    traps: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    outcomes: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        self.outcomes[judged.outcome] += 1
        where = f"{judged.entry.name} {judged.entry.syntax}"
        for planted in judged.searched:
            for tally in (self.total, self.traps[planted.trap or judged.entry.kind]):
                tally.planted += 1
        for planted in judged.leaks:
            self.leaks.append(f"{where} {planted.trap or judged.entry.kind} {planted.place} {planted.kind}")
            for tally in (self.total, self.traps[planted.trap or judged.entry.kind]):
                tally.leaks += 1
        for check in judged.checks:
            for tally in (self.total, self.traps[check.trap or judged.entry.kind]):
                tally.asked[check.category] += 1
                tally.passed[check.category] += check.passed
            if not check.passed:
                self.failures.append(f"{where} {check.trap or judged.entry.kind} {check.place} {check.category}")


def cleaner_of(options: Sequence[str]) -> Cleaner:
    return make_cleaner(project="corpus", deidentify=Deidentify(options=tuple(options)), instance_rule=None, key=KEY)


@cache
def cleaned(options: tuple[str, ...], seed: int = 0) -> dict[int, bytes]:
    """The place in the corpus of every file that comes out, and what came out; held ones too."""
    cleaner, found = cleaner_of(options), {}
    for number, entry in enumerate(corpus(seed)):
        done = cleaner.clean(entry.dataset, SYNTAXES[entry.syntax], frozenset())
        if not isinstance(done, Dropped):
            found[number] = b"".join(done.parts)
    return found


def run(entries: Iterable[Entry], options: Sequence[str]) -> Score:
    """Cleans and judges every file under one set of options."""
    cleaner = cleaner_of(options)
    score, registry, applied = Score(), Registry(), frozenset(options)
    for entry in entries:
        done = cleaner.clean(entry.dataset, SYNTAXES[entry.syntax], frozenset())
        output = None if isinstance(done, Dropped) else b"".join(done.parts)
        outcome = done.reason if isinstance(done, Dropped) else "held" if isinstance(done, Held) else "kept"
        score.add(judge(entry, output, outcome, applied, registry))
    return score


def control(entries: Iterable[Entry], *, empty: bool) -> Score:
    """What a scorer must say of unchanged files, and of empty ones."""
    score, registry = Score(), Registry()
    for entry in entries:
        score.add(judge(entry, b"" if empty else entry.raw, "control", frozenset(), registry))
    return score


def table(score: Score) -> str:
    """One line a trap, the sum last."""
    lines = [f"{'trap':22s}{'planted':>9s}{'leaks':>7s}" + "".join(f"{name:>13s}" for name in CATEGORIES)]
    for name, tally in [*sorted(score.traps.items()), ("TOTAL", score.total)]:
        cells = "".join(f"{f'{tally.passed[c]}/{tally.asked[c]}' if tally.asked[c] else '-':>13s}" for c in CATEGORIES)
        lines.append(f"{name:22s}{tally.planted:9d}{tally.leaks:7d}{cells}")
    told = ", ".join(f"{outcome} {number}" for outcome, number in score.outcomes.most_common())
    return "\n".join([*lines, f"files: {told}", f"retention {score.total.retention:.2f} %"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores the engine on the corpus.")
    parser.add_argument("--options", default=",".join(RECOMMENDED), help="comma-separated, or 'none'")
    parser.add_argument("--every", action="store_true", help="one line for every set of options")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=int, default=0, help="how many places to name")
    told = parser.parse_args()
    entries = corpus(told.seed)
    if told.every:
        for name, options in OPTION_SETS.items():
            score = run(entries, options)
            print(f"{name:46s} planted {score.total.planted} leaks {score.total.leaks} {line(score)}", flush=True)
        return
    score = run(entries, tuple(filter(None, told.options.replace("none", "").split(","))))
    print(table(score))
    print("\n".join([*score.leaks, *score.failures][: told.failures]))


def line(score: Score) -> str:
    """The sums of one run in a line."""
    cells = [f"{c} {score.total.passed[c]}/{score.total.asked[c]}" for c in CATEGORIES if score.total.asked[c]]
    outcomes = ", ".join(f"{outcome} {number}" for outcome, number in score.outcomes.most_common())
    return f"retention {score.total.retention:.2f} % ({', '.join(cells)}); files: {outcomes}"


if __name__ == "__main__":
    main()
