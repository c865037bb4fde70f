"""The words that may stay in a text, as data: the files of `words/`, each with its source, licence and edition in its head.

One entry is one word, casefolded. A mark behind it says more (`wordlike.sort_words`): `rose?` is a name as well and stays only
written small, `gerd!` only written large, `br#` only beside a number, `hepato+` is a stem of compounds, `mm%` a unit, `gray_matter`
a phrase, whose underscore is a blank.
Which files are made by `packaging/make_vocabulary.py` and which by hand is told in docs/adr/0007-vocabulary.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files


@cache
def load_vocabulary() -> frozenset[str]:
    """All entries of all files."""
    folder = files("gateway.deidentify").joinpath("words")
    names = (file for file in folder.iterdir() if file.name.endswith(".txt"))
    return frozenset(entry for file in names for entry in parse_words(file.read_text(encoding="utf-8")))


def parse_words(text: str) -> Iterator[str]:
    """`text`: lines of entries with blanks between them; a line that begins with # is a comment."""
    for line in text.splitlines():
        if not line.startswith("#"):
            yield from (entry.replace("_", " ") for entry in line.casefold().split())
