"""What is searched for one value of the patient's, and how strictly it must match. The false-positive policy stands here.

1. A name is searched as a whole and word by word (components, component groups, hyphens), but for the titles (the last two
   components). Words of fewer than three bytes, or that are common terms of the standard (`COMMON`), are not searched alone:
   "Long", "Head" or "CT" would refuse honest objects. Every other value is searched as a whole.
2. Six characters or more with a letter among them: anywhere in the bytes, upper or lower case (`ANYWHERE`).
3. Shorter ones: as a whole word of an element's text (`WORD`): "Ann" is not found in "Annotation".
4. Digits only: not inside longer numbers, UIDs or decimal fractions (`NUMBER`), with fewer than six digits not in numeric
   elements either: a patient ID "12345" is not found in "0.012345", "512" not in Rows. Under three digits: not searched.
5. The birth date: YYYYMMDD, also with a time behind it, and as day, month, year with the usual separators.
6. UIDs: equal as a whole.

Each is searched as raw bytes, in UTF-8, in Latin-1, and with NUL bytes taken out, which finds UTF-16.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from pydicom.charset import python_encoding

from gateway.deidentify.harvest import DATES, KINDS, NAMES, Own

SHORTEST = 3
SURE = 6
DUMMY_DATE = b"19000101"

COMMON = frozenset(
    b"abdomen adult angio anon ant anterior arm axial bone brain breast cardiac cerebral chest child contrast coronal day deep "
    b"derived dual elbow enter fast feet female field first flow foot frame free full general hand head heart here high hip "
    b"image inferior knee last late lateral left leg long low lung lungs major male manual mask max may mean medium min minor "
    b"mono name neck new none normal operator original other part patient pelvis perfusion phase philips plain post posterior "
    b"primary prone right round sagittal secondary seg short siemens single skull slice small soft spine standard stand std "
    b"still stroke superior supine test text thorax toshiba unknown unspecified upper vent view volume white wide yes young".split()
)
"""Words that code strings, protocol names and makers are made of, lower case; as a name they prove nothing alone."""


class Match(Enum):
    ANYWHERE = "anywhere"
    WORD = "word"
    NUMBER = "number"
    DATE = "date"


class Needle(NamedTuple):
    """`text`: lower-case bytes. `kind`: keyword of the element it came from, or "request"."""

    text: bytes
    match: Match
    kind: str


@lru_cache(4096)
def needles_of(own: Own, character_set: str) -> tuple[Needle, ...]:
    """All needles for one value; `character_set` as declared (0008,0005)."""
    kind = KINDS.get(own.tag, "request")
    if own.tag in DATES:
        return tuple(Needle(form, Match.DATE, kind) for form in _date_forms(own.text))
    texts = _words(own.text) if own.tag in NAMES else [own.text]
    forms = {form.lower() for text in texts for form in _encodings(text, character_set)}
    return tuple(Needle(form, _match(form), kind) for form in sorted(forms) if _searchable(form))


def _words(name: bytes) -> list[bytes]:
    """The whole name, and its words, without prefix and suffix of each component group (PS3.5 6.2.1)."""
    components = [c for group in name.split(b"=") for c in group.split(b"^")[:3]]
    return [name, *(word for c in components for word in re.split(rb"[\s,.;\-'\x00]+", c))]


def _encodings(text: bytes, character_set: str) -> set[bytes]:
    """Small and large too where it is not ASCII, which is all that bytes.lower() folds."""
    if text.isascii():
        return {text}
    codec = python_encoding.get(character_set, "utf-8")
    try:
        decoded = text.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return {text}
    cases = (decoded, decoded.lower(), decoded.upper())
    return {text} | {case.encode(c, "ignore") for case in cases for c in (codec, "utf-8", "latin-1")}


def _searchable(form: bytes) -> bool:
    return len(form) >= SHORTEST and form not in COMMON


def _match(form: bytes) -> Match:
    if form.isdigit():
        return Match.NUMBER
    return Match.ANYWHERE if len(form) >= SURE else Match.WORD


def _date_forms(text: bytes) -> list[bytes]:
    if not re.fullmatch(rb"[0-9]{8}", text) or text == DUMMY_DATE:
        return []
    y, m, d = text[:4], text[4:6], text[6:]
    orders = ((y, m, d), (d, m, y), (m, d, y))
    return [text, *(sep.join(order) for order in orders for sep in (b"-", b".", b"/"))]
