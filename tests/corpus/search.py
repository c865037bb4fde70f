"""Looks for what was planted in all bytes of an output, in nine encodings: as it was written (the declared character set), UTF-8,
Latin-1, UTF-16 in both orders, base64 in its three alignments, hexadecimal. Upper and lower case are one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache

from tests.corpus.key import Planted
from tests.corpus.text import bare

SHORTEST = 3
"""Bytes of a form that is looked for: two bytes stand everywhere."""
SHAPES = {
    "da": "%Y%m%d",
    "dmy": "%d.%m.%Y",
    "iso": "%Y-%m-%d",
    "us": "%m/%d/%Y",
    "long": "%d %B %Y",
    "short": "%d-%b-%Y",
    "old": "%Y.%m.%d",
    "bad": "%Y/%m/%d x",
}
"""Forms in which dates are planted, and looked for, whichever it was."""
OURS = re.compile(rb"2\.25\.[0-9]+")
"""UIDs of the cleaner's own making, whose digits are chance."""


class Haystack:
    """One output, made ready. `shifted`: dates that belong in it, as moved dates may fall on planted ones."""

    def __init__(self, whole: bytes, charset: str, shifted: Iterable[str] = ()) -> None:
        self._exact = OURS.sub(b"", whole)
        self._folded = self._exact.lower()
        self._charset = charset
        self._shifted = frozenset(shifted)

    def leaks(self, planted: Iterable[Planted], options: frozenset[str]) -> Iterator[Planted]:
        """What is there and is not freed by an option."""
        seen: dict[tuple[str, bool], bool] = {}
        for one in planted:
            if one.freed & options or one.text in self._shifted:
                continue
            key = (one.text, one.whole)
            if key not in seen:
                texts = _dated(one.text) if one.kind == "date" else (one.text,)
                seen[key] = any(self.holds(text, one.whole) for text in texts)
            if seen[key]:
                yield one

    def holds(self, text: str, whole: bool = False) -> bool:
        """`whole`: only as a word of its own."""
        if whole:
            return any(re.search(pattern, self._folded) for pattern in _patterns(text))
        folded, exact = _forms(text, self._charset)
        return any(form in self._folded for form in folded) or any(form in self._exact for form in exact)


@lru_cache(4096)
def _dated(text: str) -> tuple[str, ...]:
    """YYYYMMDD in all shapes."""
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return tuple(day.strftime(shape).removesuffix(" x") for shape in SHAPES.values())


@lru_cache(1 << 16)
def _forms(text: str, charset: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Forms in which case does not matter, lower, and those in which it does."""
    plain = {text.encode("utf-8"), text.encode("latin-1", "ignore"), bare(text, charset)}
    plain |= {
        text.lower().encode("utf-8"),
        text.upper().encode("utf-8"),
        bare(text.lower(), charset),
        bare(text.upper(), charset),
    }
    plain = {form for form in plain if len(form) >= SHORTEST and (len(form) > SHORTEST or text.isascii())}
    wide = {text.encode("utf-16-le"), text.encode("utf-16-be")}
    hexed = {form.hex().encode() for form in plain}
    folded = {form.lower() for form in plain | wide | hexed}
    return tuple(folded), tuple(form for one in plain for form in _base64(one))


def _base64(raw: bytes) -> Iterator[bytes]:
    """The characters that are sure, wherever the text begins in the groups of three."""
    for lead in range(3):
        padded = bytes(lead) + raw
        whole = base64.b64encode(padded + bytes(-len(padded) % 3))
        first, last = (lead * 8 + 5) // 6, len(padded) * 8 // 6
        if last - first >= 4:
            yield whole[first:last]


@lru_cache(256)
def _patterns(text: str) -> tuple[re.Pattern[bytes], ...]:
    """The word by itself, in one byte a character and in two."""
    word = re.escape(text.lower().encode("utf-8"))
    wide = re.escape(text.lower().encode("utf-16-le"))
    return (
        re.compile(rb"(?<![a-z0-9])" + word + rb"(?![a-z0-9])"),
        re.compile(rb"(?<![a-z0-9]\0)" + wide + rb"(?![a-z0-9]\0)"),
    )
