"""Whose instance is in hand, as far as new values depend on it: the shift of dates, the words that must not stay in a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.deidentify.charset import Charset, read_charset
from gateway.deidentify.dates import bygone_at, over_89
from gateway.deidentify.encoding import Codec
from gateway.deidentify.harvest import DATES, NAMES, Harvest, Own
from gateway.deidentify.needles import is_technical
from gateway.deidentify.output import Parts
from gateway.deidentify.ownwords import any_of, own_words, squeezed
from gateway.deidentify.preview import BIRTH_DATE, PATIENT_AGE, PATIENT_ID, STUDY_DATE, STUDY_INSTANCE
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.text import TextCleaner
from gateway.deidentify.vocabulary import load_vocabulary

SUBJECTS, REPEATS = 16, 2048
"""Studies that are remembered, and elements of each."""
Repeats = dict[tuple[Codec, int, int, bool, bytes], Parts | None]
"""Encoding, depth, enclosing sequence, whether its text is scrubbed, an element's bytes -> what takes its place; None: it stays."""
PLACES = frozenset({0x00080080, 0x00080081, 0x00080092, 0x00101040})
"""Institution name and addresses: made of words that everybody uses, too. Those of the vocabulary prove nothing alone."""


@dataclass(frozen=True)
class Subject:
    """`days`: added to every date. `study_date`: as it came. `bygone`: of `bygone_at`. `aged`: over 89 at the study.

    `own`: words of the patient's own.
    """

    pseudonyms: Pseudonyms = field(repr=False)
    text: TextCleaner = field(repr=False)
    days: int = field(repr=False)
    study_date: bytes = field(repr=False)
    bygone: bytes = field(repr=False)
    aged: bool
    own: frozenset[str] = field(repr=False)
    _repeats: dict[tuple[bytes, bytes], Repeats] = field(default_factory=dict, repr=False, compare=False)

    def repeats(self, sop_class: bytes, charset: bytes) -> Repeats:
        """What became of elements in this patient's instances of a class, bounded."""
        found = self._repeats.setdefault((sop_class, charset), {})
        if len(found) >= REPEATS:
            found.clear()
        return found

    def is_named_in(self, raw: bytes, charset: Charset) -> bool:
        """Whether a word of the patient's own stands in a value, with or without separators, whatever is around it."""
        return bool(self.own) and known_within(self.own).search(squeezed(charset.decode(raw))) is not None


class Subjects:
    """Of one cleaner: the same subject for all instances of a study, as long as it is remembered."""

    def __init__(self, pseudonyms: Pseudonyms, text: TextCleaner) -> None:
        self._pseudonyms = pseudonyms
        self._text = text
        self._made = lru_cache(SUBJECTS)(self._make)

    def of(self, first: Mapping[int, bytes], own: frozenset[str]) -> Subject:
        """`first`: what `preview` found. `own`: of `words_of`."""
        told = (PATIENT_ID, STUDY_INSTANCE, STUDY_DATE, BIRTH_DATE, PATIENT_AGE)
        return self._made(tuple(first.get(tag, b"") for tag in told), own)

    def _make(self, told: tuple[bytes, ...], own: frozenset[str]) -> Subject:
        patient, study, studied, born, aged = told
        days = self._pseudonyms.days(patient, study)
        return Subject(
            self._pseudonyms, self._text, days, studied, bygone_at(studied), over_89(born, studied, aged), own
        )


@lru_cache(64)
def known_within(own: frozenset[str]) -> re.Pattern[str]:
    return any_of([*map(squeezed, own)])


def words_of(original: Harvest, own: frozenset[str], kept: frozenset[int]) -> frozenset[str]:
    """The words of the patient's own values and of the request's (`own`), but for tags whose values stay (`kept`)."""
    return _words(original.values, read_charset(original.character_set.encode("latin-1", "replace")), own, kept)


@lru_cache(64)
def _words(values: frozenset[Own], charset: Charset, own: frozenset[str], kept: frozenset[int]) -> frozenset[str]:
    told = [o for o in values if not (o.tag in kept or o.tag in DATES or is_technical(o.tag, _text(o, charset)))]
    places = own_words(_text(o, charset) for o in told if o.tag in PLACES) - load_vocabulary()
    return own_words(own) | own_words(_text(o, charset) for o in told if o.tag not in PLACES) | places


def _text(own: Own, charset: Charset) -> str:
    """Names may use code extensions; IDs are what they are in any character set."""
    return charset.decode(own.text) if own.tag in NAMES or not own.text.isascii() else own.text.decode("ascii")
