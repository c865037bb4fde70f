"""Placeholder until the text helper's file is here: every text goes."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.deidentify.charset import Charset


class TextCleaner:
    def __init__(self, vocabulary: frozenset[str]) -> None:
        self._vocabulary = vocabulary

    def clean(self, vr: bytes, raw: bytes, charset: Charset, own: frozenset[str]) -> bytes:
        return b""


def own_words(values: Iterable[str]) -> frozenset[str]:
    return frozenset(word for value in values for word in value.casefold().replace("^", " ").split())
