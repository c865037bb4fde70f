"""Whether one word is provably harmless: of the vocabulary, made of its words, or a form of protocol and measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from gateway.deidentify.ownwords import spellings


class Kind(IntEnum):
    """UNKNOWN goes. LISTED stays. LOOSE (a number, a letter, "C6") stays unless it is part of something that goes.

    SHY is a name as well: it stays as it would not be written as a name, and not beside a word that goes. NAMESAKE is an
    everyday word that is a name as well and written like one: it stays unless it stands beside an unknown word written alike.
    """

    UNKNOWN = 0
    LISTED = 1
    LOOSE = 2
    SHY = 3
    NAMESAKE = 4


PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
RUNS = re.compile(r"[^\W\d_]+|\d+")
B_VALUE = re.compile(r"b\d{1,2}[05]0")
GRID = re.compile(r"(?:64|96|128|192|256|288|320|384|448|512|640|704|768|896|960|1024|1152|1536|2048)")
TARGET = re.compile(r"[cgip]tv[npt]?\d{0,2}")
CENTIGRAYS = re.compile(r"(?!19|20(?!00))[1-8]\d{3}")
"""No year, which would tell by how much dates were shifted."""
B_BEFORE = re.compile(r"[Bb]\d{0,4}")
B_VALUES = re.compile(r"(?:1[0-8]|[2-9]\d)[05]0")
"""Those of four digits but for 1900 and 1950."""
LONGEST = 40


@dataclass(frozen=True)
class Words:
    """The vocabulary by the marks of its entries. `beside`: only with a number ("br#"). `stems`: compounds are made of them.

    `namesakes`, `bodily`: of the listed ones, what is a name as well: an everyday word, a clinical one.
    """

    listed: frozenset[str] = field(repr=False)
    shy: frozenset[str] = field(repr=False)
    loud: frozenset[str] = field(repr=False)
    beside: frozenset[str] = field(repr=False)
    stems: frozenset[str] = field(repr=False)
    units: frozenset[str] = field(repr=False)
    phrases: frozenset[str] = field(repr=False)
    namesakes: frozenset[str] = field(repr=False)
    bodily: frozenset[str] = field(repr=False)


def sort_words(vocabulary: frozenset[str]) -> Words:
    """ "word?" shy, written small; "word!" large; "word#" beside a number; "word+" a stem; "word%" a unit; "two words" a phrase.

    "word~" an everyday word that is a name, "word^" a clinical one.
    """
    by: dict[str, set[str]] = {mark: set() for mark in "?!#+%~^ "}
    plain: set[str] = set()
    for entry in vocabulary:
        mark = " " if " " in entry else entry[-1:]
        by.get(mark, plain).add(entry.rstrip("?!#+%~^"))
    listed = frozenset(form for word in plain | by["%"] for form in spellings(word)) - by["?"] - by["!"]
    stems = frozenset(form for stem in by["+"] for form in spellings(stem))
    return Words(
        listed,
        frozenset(by["?"]),
        frozenset(by["!"]),
        frozenset(by["#"]),
        stems,
        frozenset(by["%"]),
        frozenset(by[" "]),
        frozenset(by["~"]),
        frozenset(by["^"]),
    )


def kind_of(word: str, words: Words) -> Kind:
    """`word`: no separators in it."""
    folded = word.casefold()
    if folded in words.listed:
        return Kind.NAMESAKE if folded in words.namesakes and word != folded else Kind.LISTED
    if folded in words.shy or folded in words.loud:
        return Kind.SHY if _told(word, folded, words) else Kind.UNKNOWN
    if folded.isdigit():
        return Kind.LOOSE if (len(folded) < 4 and folded.isascii()) or GRID.fullmatch(folded) else Kind.UNKNOWN
    if len(folded) == 1:
        return Kind.LOOSE if folded.isascii() and folded.isalpha() else Kind.UNKNOWN
    if len(folded) > LONGEST:
        return Kind.UNKNOWN
    if any(c.isdigit() for c in folded):
        return Kind.LOOSE if _mixed(folded, words) else Kind.UNKNOWN
    return Kind.LISTED if _joined(word, words) or _compound(folded, words.stems) else Kind.UNKNOWN


def is_setting(word: str, before: str, gap: str) -> bool:
    """PTV_6000: targets of a plan are told apart by their dose alone; diffusion images by b=1000, but "b. 2000" may be born."""
    if B_VALUES.fullmatch(word) and B_BEFORE.fullmatch(before):
        return word[0] == "1" or "=" in gap or "_" in gap
    return bool(CENTIGRAYS.fullmatch(word) and TARGET.fullmatch(before.casefold()))


@lru_cache(4096)
def parts_of(word: str) -> tuple[str, ...]:
    """The words that a word with large letters or digits inside is made of, casefolded."""
    return tuple(part.casefold() for run in RUNS.findall(word) for part in (run, *PARTS.findall(run)))


def _told(word: str, folded: str, words: Words) -> bool:
    """Whether it is written as a name would not be: "rose", but "GERD"."""
    return (word == folded and folded in words.shy) or (word.isupper() and folded in words.loud)


def _mixed(folded: str, words: Words) -> bool:
    """Letters and digits: "b1000", "T2w", "C6", "Br40d", "120kV", "512x512"; nothing that could be a number of somebody's."""
    if B_VALUE.fullmatch(folded) and len(folded) < 6:
        return True
    runs = RUNS.findall(folded)
    if "".join(runs) != folded or len(runs) > 6:
        return False
    letters = [run for run in runs if not run[0].isdigit()]
    digits = [run for run in runs if run[0].isdigit()]
    if not all(run.isascii() for run in digits) or not all(_beside(run, words) for run in letters):
        return False
    allowed = 4 if len(runs) == 2 and letters[0] in words.units and runs[0] == digits[0] else 3
    if any(len(run) > allowed and not (GRID.fullmatch(run) and letters == ["x"]) for run in digits):
        return False
    total = sum(map(len, digits))
    if letters == ["x"] or all(len(run) > 1 for run in letters):
        return total < 9 if letters == ["x"] else total < 5
    if sum(len(run) == 1 for run in letters) > 2:
        return False
    return total < 3 or (total == 3 and (letters[0] in "bwlifsmhc" or runs[0].isdigit()))


def _beside(run: str, words: Words) -> bool:
    return len(run) == 1 or run in words.listed or run in words.beside


def _joined(word: str, words: Words) -> bool:
    """AbdomenRoutine: every part a word by itself."""
    parts = PARTS.findall(word)
    if not 1 < len(parts) < 7 or "".join(parts) != word:
        return False
    return all(len(part) > 2 and part.casefold() in words.listed for part in parts)


def _compound(folded: str, stems: frozenset[str]) -> bool:
    """Lungenembolie, hepatosplenomegaly: stems and nothing else, two of them at least."""
    reached = {0: 0}
    for start in range(len(folded)):
        count = reached.get(start)
        if count is None:
            continue
        for end in range(start + 3, min(start + 16, len(folded)) + 1):
            if folded[start:end] in stems:
                reached[end] = max(reached.get(end, 0), count + 1)
    return reached.get(len(folded), 0) > 1
