"""The patient's own values as words that no text may keep: whole, in parts, in other spellings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from gateway.deidentify.vocabulary import load_vocabulary

WORD = re.compile(r"[^\W_]+")
SQUEEZE = re.compile(r"[\W_]+")
SURE = 6
"""Characters from which on a word is looked for inside of others too, as `needles` does; shorter ones only by themselves."""
FEW = 1024
"""Words of the patient's own; of more, which are thousands of persons', as little as may be is remembered."""
DEEPEST = 64
"""Branches of a word: Python's own limit is further."""

PARTICLES = frozenset(
    ["de", "la", "le", "di", "da", "du", "el", "al", "st", "dr", "mr", "ms", "md", "ii", "iv", "jr", "sr", "do"]
)
TITLES = frozenset(
    ["dr", "prof", "mr", "mrs", "ms", "md", "phd", "jr", "sr", "ii", "iii", "iv", "med", "dres", "mph", "frcr"]
)
_SPELT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ø": "oe",
        "å": "aa",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ß": "ss",
        "đ": "d",
        "ł": "l",
    }
)
_BARE = str.maketrans({"ø": "o", "å": "a", "æ": "ae", "œ": "oe", "ß": "ss", "đ": "d", "ð": "d", "ł": "l", "ı": "i"})


def own_words(values: Iterable[str]) -> frozenset[str]:
    """`values`: names (PN with all its groups), IDs, addresses. Casefolded; words of one letter are left out, they tell nothing."""
    return frozenset(form for value in values for word in _words(value) for form in spellings(word) if len(form) > 1)


@lru_cache(256)
def spellings(word: str) -> frozenset[str]:
    """Casefolded, and as it is written where there are no accents: ü as ue and u."""
    folded = unicodedata.normalize("NFC", word).casefold()
    if folded.isascii():
        return frozenset((folded,))
    return frozenset((folded, bare(folded.translate(_SPELT)), bare(folded)))


def bare(folded: str) -> str:
    """Without accents. `folded`: casefolded."""
    split = unicodedata.normalize("NFD", folded.translate(_BARE))
    return "".join(c for c in split if not unicodedata.combining(c))


def squeezed(text: str) -> str:
    """Letters and digits alone, casefolded, so that no separator hides a word."""
    return SQUEEZE.sub("", text.casefold())


def any_of(words: Sequence[str]) -> re.Pattern[str]:
    """What holds one of `words`. `re` would remember the last five hundred patterns, of whatever size."""
    pattern = re.compile(beginning(words))
    if len(words) > FEW:
        re.purge()
    return pattern


def beginning(words: Iterable[str], deep: int = DEEPEST) -> str:
    """A pattern of what begins with one of `words`: a tree, as alternatives are tried one by one wherever a text may match."""
    told = sorted(words)
    first, last = told[0], told[-1]
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))
    if same == len(first):
        return re.escape(first)
    ends = [word[same:] for word in told]
    branches = [beginning(b, deep - 1) for _, b in groupby(ends, itemgetter(0))] if deep else map(re.escape, ends)
    return f"{re.escape(first[:same])}(?:{'|'.join(branches)})"


def _words(value: str) -> Iterator[str]:
    value = unicodedata.normalize("NFC", value).strip(" \0")
    if re.search(r"\d", value):
        return _identifier(value)
    return _name(value)


def _name(value: str) -> Iterator[str]:
    """Prefix and suffix are titles (PS3.5 6.2.1), unless somebody put a name there."""
    for group in value.split("="):
        for place, component in enumerate(group.split("^")):
            words = WORD.findall(component)
            told = TITLES if place > 2 else PARTICLES
            yield from (word for word in words if word.casefold() not in told)
            if len(words) > 1:
                yield "".join(words)


def _identifier(value: str) -> Iterator[str]:
    """An ID whole, without its separators, prefix letters and leading zeros; of an address the words."""
    pieces = WORD.findall(value)
    yield "".join(pieces)
    for piece in pieces:
        digits = re.findall(r"\d+", piece)
        if not digits:
            if len(piece) > 2 and piece.casefold() not in load_vocabulary():
                yield piece
            continue
        yield piece
        for run in digits:
            yield from (form for form in (run, run.lstrip("0")) if len(form) > 2)
