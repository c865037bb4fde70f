"""The corpus of tests/corpus against the engine, under every set of options that matters; the two controls of the scorer itself.

`python -m tests.corpus.score --every` is the long form; here the Basic Profile and what is recommended see every file, each other
set of options a part of them.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.corpus.generate import corpus, kinds, traps
from tests.corpus.masking import burned, ink_left
from tests.corpus.score import OPTION_SETS, Score, control, run

WHOLE = ("basic", "recommended")
PART = 15
"""Of the other sets of options, every so many files."""
KEPT = 99.0
"""Percent of what must be kept."""


@cache
def scored(name: str) -> Score:
    place = list(OPTION_SETS).index(name)
    entries = corpus() if name in WHOLE else corpus()[place % PART :: PART]
    return run(entries, OPTION_SETS[name])


def test_the_corpus_is_large_and_every_trap_is_set() -> None:
    entries = corpus()
    counted = Counter(trap for entry in entries for trap in entry.traps)
    assert len(entries) >= 300
    assert {entry.kind for entry in entries} == set(kinds())
    assert sorted(trap for trap in traps() if counted[trap] < 3) == []
    assert sum(len(entry.planted) for entry in entries) > 40_000


def test_unchanged_files_leak_everything() -> None:
    score = control(corpus(), empty=False)
    assert score.total.planted == score.total.leaks > 40_000


def test_empty_files_leak_nothing_and_keep_nothing() -> None:
    score = control(corpus(), empty=True)
    assert score.total.leaks == 0
    assert score.total.passed.total() == 0 < score.total.asked.total()


@pytest.mark.parametrize("name", OPTION_SETS)
def test_nothing_planted_is_left(name: str) -> None:
    assert scored(name).leaks == []


@pytest.mark.parametrize("name", OPTION_SETS)
def test_what_must_be_kept_is_kept(name: str) -> None:
    score = scored(name)
    assert score.total.retention >= KEPT, Counter(failure.split(" ", 2)[2] for failure in score.failures).most_common(
        20
    )


@pytest.mark.parametrize("options", [(), ("clean-pixel-data",)], ids=["basic", "clean-pixel-data"])
def test_pixels_that_may_show_a_name_are_never_kept_unseen(options: tuple[str, ...]) -> None:
    """Flagged ones and those of kinds at risk under any options; projections, flagged or not, where pixels are to be cleaned."""
    entries = [entry for entry in corpus() if entry.risky or (entry.burned and options)]
    assert len(entries) > 40
    assert run(entries, options).outcomes["kept"] == 0


@pytest.mark.parametrize("place", burned()[::3])
def test_text_in_pixels_is_masked_or_the_file_stays_held(place: int) -> None:
    assert not ink_left(corpus()[place])
