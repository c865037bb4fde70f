#!/usr/bin/env python3
"""Makes gateway/deidentify/meanings.txt: code meanings of the standard in which a word is a name as well.

    python packaging/make_meanings.py > gateway/deidentify/meanings.txt

From pydicom's dictionaries of the context groups (PS3.16; MIT), whatever of them cleaning as text would mutilate: eponyms, colours,
formulas. What it would take whole is left out, as "Miller" alone may be anybody, and so are breeds of animals. To be made anew when
pydicom or the vocabulary changes (tests/deidentify/test_meanings.py); no network, no part of the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom import __version__ as pydicom_version
from pydicom.sr._concepts_dict import concepts

from gateway.deidentify.charset import Charset
from gateway.deidentify.text import LIMITS, TextCleaner
from gateway.deidentify.vocabulary import load_vocabulary

HEAD = (
    f"# Code meanings of the context groups in PS3.16: dictionaries of pydicom {pydicom_version} (MIT)",
    "# Made by packaging/make_meanings.py.",
)
OTHERS = frozenset(("breed", "superbreed", "organism"))
LATIN = Charset(("latin-1",))


def meanings() -> Iterator[str]:
    """Every one that LO holds, in ASCII."""
    schemes: Any = concepts  # scheme -> keyword -> value -> (meaning, context groups)
    told: set[str] = {
        value[0] for keywords in schemes.values() for codes in keywords.values() for value in codes.values()
    }
    yield from (text for text in told if text.isascii() and len(text) <= LIMITS[b"LO"] and "\\" not in text)


def mutilated() -> list[str]:
    cleaner = TextCleaner(load_vocabulary())
    found = ((text, cleaner.clean(b"LO", text.encode(), LATIN, frozenset())) for text in meanings())
    return sorted(text for text, left in found if left.strip() and left != text.encode() and not _is_animal(text))


def _is_animal(text: str) -> bool:
    return not OTHERS.isdisjoint(text.replace("(", " ").replace(")", " ").split())


def main() -> None:
    print(*HEAD, *mutilated(), sep="\n")


if __name__ == "__main__":
    main()
