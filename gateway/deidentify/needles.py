"""What is searched for the values of one patient, and how strictly it must match. The false-positive policy stands here.

1. A name is searched as a whole, word by word (components, component groups, hyphens) and in other orders, but for titles. Words
   of fewer than three letters (two where a character is a syllable) and words that are `ORDINARY` are not searched alone:
   "Long", "Head" or "CT" would cost honest objects. A short one of the vocabulary ("Stone") counts in text only, not in codes.
2. Six characters or more with a letter among them: anywhere in the bytes, upper or lower case (`ANYWHERE`); but not as part of a
   longer word that is ordinary: "Corona" is not found in "coronal".
3. Shorter ones: as a whole word of an element's text (`WORD`): "Ann" is not found in "Annotation".
4. Digits only, with or without leading zeros: not inside longer numbers, UIDs or decimal fractions (`NUMBER`), fewer than six only
   in text, where no letter stands beside them; a patient ID "12345" is not found in "0.012345". Under four digits: not searched.
5. Dates (`DATE`): all spellings, but not in elements that hold dates and times: a shifted date may be another one's by chance.
   Only the birth date's own element must not hold it.
6. Institutions, departments, addresses: as a whole, and the words that are neither ordinary nor of the vocabulary; a cost centre
   or postcode as a number. Devices: as a whole, with a digit or six letters. What is kept on purpose in one element is no leak of
   staff, place or device in another.
7. UIDs: equal as a whole. Not those that stand in an element whose value the project keeps.

Each is searched in the declared character set, UTF-8, Latin-1, GB18030, UTF-16, and transliterated; `views` adds what is encoded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from gateway.deidentify.harvest import Own
from gateway.deidentify.ordinary import ORDINARY, PLACE_WORDS
from gateway.deidentify.searched import BIRTH_DATES, ORDERS, How, keyword, searched
from gateway.deidentify.spelling import (
    as_german,
    components,
    date_forms,
    decoded,
    encoded,
    is_ideographic,
    is_unspaced,
    orders,
    short_date_forms,
    spellings,
    words,
)
from gateway.deidentify.vocabulary import load_vocabulary

SHORTEST = 3
SURE = 6
DUMMY_DATES = frozenset((b"19000101", b"00010101"))
LETTER = rb"[a-z\x80-\xff]"
ALNUM = rb"[0-9a-z\x80-\xff]"
NO_NUMBER_BEFORE = rb"(?<![0-9])(?<![0-9]\.)"
"""A dot is a decimal point or a UID's only between digits: that of "No.20261234" or "MRN 7654321." is none."""
NO_NUMBER_AFTER = rb"(?!\.?[0-9])"
NO_FRACTION_AFTER = rb"(?![0-9])(?!\.[0.]*+[1-9])"
"""7654321.0 is the number itself."""


class Match(Enum):
    ANYWHERE = "anywhere"
    WORD = "word"
    NUMBER = "number"
    DATE = "date"


class Needle(NamedTuple):
    """`text`: lower-case bytes that are there if the value is; `tag`: of the element that it came from, 0 for the request.

    `weak`: counts in text only. `date`: of `date_forms`, where `text` is the year alone.
    """

    text: bytes
    match: Match
    tag: int
    weak: bool = False
    date: str = ""

    @property
    def kind(self) -> str:
        return keyword(self.tag)


class Form(NamedTuple):
    """One way to write a value, before it is encoded."""

    text: str
    match: Match
    weak: bool = False


@lru_cache(128)
def needles_of(own: Own, character_set: str) -> tuple[Needle, ...]:
    """All needles for one value, always in the same order; `character_set` as declared (0008,0005).

    Of many values not all are searched alike (`sought.MOST`): in no process may it be others.
    """
    how = searched().get(own.tag, How.ID)
    if how is How.DATE:
        return tuple(_dates(own))
    text = decoded(own.text, character_set).strip().lower()
    if is_technical(own.tag, text):
        return ()
    found = [needle for form in _forms(how, text) for needle in _encoded(form, own.tag, character_set)]
    made: dict[bytes, Needle] = {}
    for needle in sorted(found, key=laxity):
        made.setdefault(needle.text, needle)
    if how is How.NAME and not own.text.isascii():
        made |= {raw: Needle(raw, Match.ANYWHERE, own.tag) for raw in _raw(own.text) if raw not in made}
    return tuple(made.values())


def is_technical(tag: int, text: str) -> bool:
    """Whether what should be an order's number is made of everybody's words alone, and so tells of nobody.

    4-7-1-1 and Klein J do: digits that are searched, and nothing but what is a name as well. Thorax 2 does not.
    """
    if tag not in ORDERS or sum(map(str.isdigit, text)) > SHORTEST:
        return False
    told, known = words(text.lower()), load_vocabulary()
    long = [word for word in told if len(word) > 1]
    return all(map(_known, told)) and (not long or any(f"{word}~" not in known for word in long))


def laxity(needle: Needle) -> tuple[bool, bool]:
    """The same bytes may be a long word, and another spelling of a short one: found anywhere as Boehme, by itself as Böhme."""
    return needle.match is not Match.ANYWHERE, needle.weak


def _forms(how: How, text: str) -> Iterable[Form]:
    compact = "".join(c for c in text if c.isalnum())
    if how is How.NAME:
        return _name(text)
    if how in (How.PLACE, How.WHOLE) and compact.isdigit():
        return _identifier(text)
    if how is How.PLACE:
        return _place(text)
    if how is How.DEVICE:
        return _device(text)
    if how is How.WHOLE:
        return (Form(text, Match.ANYWHERE),) if len(text) >= SURE and not _ordinary(text) else ()
    return (*_identifier(text), *(_name(text) if "^" in text else ()))


def _name(text: str) -> Iterator[Form]:
    if len(text) >= SURE and "^" in text.rstrip("^= "):
        yield Form(text.rstrip("^= "), Match.ANYWHERE)
    for parts in components(text):
        alone = [word for part in parts for word in {*words(part), "".join(words(part))}]
        told = {spelt for word in alone for spelt in (*spellings(word), *as_german(word)) if _searchable(spelt)}
        yield from map(_word, sorted(told))
        if len(parts) > 1 and not any(_stands_alone(word) for word in alone):
            yield from _together(parts[0], parts[1], glued=bool(told))


def _together(family: str, given: str, *, glued: bool) -> Iterator[Form]:
    """Family and given name side by side, where neither is enough alone. `glued`: only where they are one word."""
    both = _ordinary(family) and _ordinary(given)  # "head neck" is no name
    if len(family + given) < (2 if is_ideographic(family + given) else 4):
        return
    for form in (family + given, given + family) if glued else orders(family, given):
        if not both or "^" in form:
            letters = len(family + given)
            sure = letters >= SURE or is_ideographic(form)
            yield Form(form, Match.ANYWHERE if sure else Match.WORD, weak=letters < SURE)


def _word(word: str) -> Form:
    weak = len(word) < SURE and word in load_vocabulary()
    if is_ideographic(word):
        return Form(word, Match.ANYWHERE, weak=_syllables(word) < SHORTEST)
    if word.isdigit():
        return Form(word, Match.NUMBER, weak=len(word) < SURE)
    if is_unspaced(word) and len(word) > SHORTEST:
        return Form(word, Match.ANYWHERE, weak=len(word) < SURE)
    return Form(word, Match.ANYWHERE if len(word) >= SURE else Match.WORD, weak)


def _searchable(word: str) -> bool:
    """Whether a word of a name is searched at all."""
    if word.isdigit():
        return len(word) >= 4
    return (_syllables(word) > 1 if is_ideographic(word) else len(word) >= SHORTEST) and not _ordinary(word)


def _syllables(word: str) -> int:
    """A voiced kana of half width is two characters."""
    return len(unicodedata.normalize("NFKC", word))


def _stands_alone(word: str) -> bool:
    return len(word) >= SURE and _searchable(word)


def _ordinary(text: str) -> bool:
    """Whether a text is nothing but words of everybody's, and single characters that are no syllables."""
    return all(
        (len(word) < 2 and not is_ideographic(word)) or (word.isascii() and word.encode() in ORDINARY)
        for word in words(text)
    )


def is_ordinary(word: bytes) -> bool:
    """Whether a word, lower case, is everybody's."""
    return word in ORDINARY or word in PLACE_WORDS or word.decode("latin-1") in load_vocabulary()


def _known(word: str) -> bool:
    return _ordinary(word) or word in load_vocabulary() or (word.isascii() and word.encode() in PLACE_WORDS)


def _identifier(text: str) -> Iterator[Form]:
    """As a whole, without separators, and the number in it."""
    compact = "".join(c for c in text if c.isalnum())
    if compact.isdigit():
        yield from _number(compact)
        if text != compact and len(compact) >= 4:
            yield Form(text, Match.NUMBER)
        return
    if len(compact) < 4 or _ordinary(text) or (compact.isalpha() and compact in load_vocabulary()):
        return
    for form in sorted({text, compact}):
        yield Form(form, Match.ANYWHERE if len(form) >= SURE else Match.WORD)
    for run in re.findall(r"[0-9]{6,}", compact):
        if not re.fullmatch(r"(19|20)[0-9]{2}(0[1-9]|1[0-2])[0-3][0-9]", run):
            yield from _number(run)


def _number(digits: str) -> Iterator[Form]:
    core = digits.lstrip("0")
    if len(core) >= 4 and len(set(core)) > 1:
        yield Form(core, Match.NUMBER, weak=len(core) < SURE)


def _device(text: str) -> Iterator[Form]:
    """With five characters and a digit, or six letters that are no word."""
    compact = "".join(c for c in text if c.isalnum())
    if compact.isdigit():
        yield from (form for form in _number(compact) if len(form.text) > 4)
        return
    mixed = any(c.isdigit() for c in compact) and len(compact) > 4 and not _ordinary(text)
    if mixed or (len(compact) >= SURE and not all(map(_known, words(text)))):
        yield Form(text, Match.WORD)


def _place(text: str) -> Iterator[Form]:
    told = [word for word in words(text) if not _known(word)]
    if not told:
        return
    if len(text) >= 4:
        yield Form(text, Match.WORD if len(text) < 2 * SURE else Match.ANYWHERE)
    rare = [word for word in told if len(word) >= SURE and not any(c.isdigit() for c in word)]
    yield from (Form(spelt, Match.WORD) for word in rare for spelt in sorted(spellings(word)))


def _encoded(form: Form, tag: int, character_set: str) -> Iterator[Needle]:
    """A word too short in bytes for its match is one that counts in text only."""
    for spelt in sorted({form.text, *(spellings(form.text) if not form.text.isascii() else ())}):
        for text in sorted(encoded(spelt, character_set)):
            if len(text) >= SHORTEST:
                weak = form.weak or (form.match is Match.ANYWHERE and len(text) < SURE)
                yield Needle(text, form.match, tag, weak)


def _raw(text: bytes) -> Iterator[bytes]:
    """The bytes as they came, component by component: what was declared may be wrong. Escape sequences stay."""
    for part in re.split(rb"[\^=]", text.lower()):
        stripped = part.strip(b" \0")
        if len(stripped) >= SURE and not stripped.isascii():
            yield stripped


def _dates(own: Own) -> Iterator[Needle]:
    match = re.fullmatch(rb"([0-9]{4})[.\-/]?(0[1-9]|1[0-2])[.\-/]?(0[1-9]|[12][0-9]|3[01])", own.text)
    if not match or own.text in DUMMY_DATES:
        return
    year, month, day = (part.decode() for part in match.groups())
    yield Needle(year.encode(), Match.DATE, own.tag, date=date_forms(year, month, day))
    if own.tag in BIRTH_DATES:
        for form in short_date_forms(year, month, day):
            yield Needle(form.encode(), Match.NUMBER, own.tag)


@lru_cache(2048)
def pattern_of(needle: Needle) -> re.Pattern[bytes]:
    """Where the needle stands by itself, in lower-case bytes. The literal comes first, which makes the search fast."""
    text = re.escape(needle.text)
    if needle.match is Match.DATE:
        named = needle.date.encode("utf-8").replace(rb"[^\W\d_]", LETTER)
        return re.compile(NO_NUMBER_BEFORE + b"(?:" + named + b")(?:[0-9]{4}|[0-9]{6})?(?![0-9])")
    if needle.match is Match.NUMBER:
        if needle.weak:
            return re.compile(rb"(?<!" + ALNUM + rb")(?<![0-9]\.)0*" + text + rb"(?!" + ALNUM + rb")" + NO_NUMBER_AFTER)
        return re.compile(NO_NUMBER_BEFORE + rb"0*" + text + NO_FRACTION_AFTER)
    if needle.match is Match.ANYWHERE:
        return re.compile(text)
    edge = ALNUM if len(needle.text) < 5 else LETTER
    return re.compile(text + rb"(?<!" + edge + text + rb")(?!" + edge + rb")")
