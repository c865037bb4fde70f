"""All that is searched for one patient's values, put together once and ready for many results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from gateway.deidentify.harvest import Harvest, Own
from gateway.deidentify.needles import Match, Needle, laxity, needles_of, pattern_of
from gateway.deidentify.searched import BIRTH_DATES

MOST = 400
"""Needles that are searched one by one; what is beyond is looked up among the words of the result, which costs the same for any
number. So a report that names thousands of persons is read as fast as another."""
CROWD = 64
"""Values of one element, such as a list of other IDs, which must not take the places of all else: they come last."""
PATIENT_GROUPS = frozenset((0x0000, 0x0010, 0x0038))
"""Whose values are the patient's own, whatever else is kept; 0: the request's."""
WINDOW = 40
"""Bytes around a year in which the rest of a date stands."""


class Sought(NamedTuple):
    """`plain`: needles by their bytes, the patient's first, long lists last. `dates`: by their year. `rest`: whole words only."""

    plain: tuple[tuple[bytes, Needle], ...]
    dates: tuple[tuple[bytes, Needle], ...]
    rest: Mapping[bytes, Needle]


def sought_for(original: Harvest, own: Iterable[str], kept: frozenset[int]) -> Sought:
    """`own`: the request's values. `kept`: tags whose values the project keeps."""
    return _sought(original.values, original.others, frozenset(own), kept, original.character_set)


@lru_cache(64)
def _sought(
    values: frozenset[Own], others: frozenset[Own], own: frozenset[str], kept: frozenset[int], character_set: str
) -> Sought:
    request = {Own(0, value.strip().encode()) for value in own}
    told = [o for o in (*values, *others, *request) if o.tag not in kept]
    many = Counter(o.tag for o in told)
    owns = sorted(told, key=lambda o: (many[o.tag] > CROWD, not _personal(o.tag), o.tag, o.text))
    spared = b"\0".join(o.text for o in (*values, *others) if o.tag in kept).lower()
    needles: dict[tuple[bytes, str], Needle] = {}
    for each in owns:
        for needle in needles_of(each, character_set):
            if _personal(each.tag) or needle.text not in spared:
                known = needles.setdefault((needle.text, needle.date), needle)
                # Who is called as the house is called is looked for as a name.
                if known is not needle and laxity(needle) < laxity(known):
                    needles[needle.text, needle.date] = needle
    dates = [needle for needle in needles.values() if needle.match is Match.DATE]
    plain = list(_least([needle for needle in needles.values() if needle.match is not Match.DATE]))
    return Sought(
        tuple((needle.text, needle) for needle in plain[:MOST]),
        tuple((needle.text, needle) for needle in dates[:MOST]),
        {needle.text: needle for needle in plain[MOST:]},
    )


def _personal(tag: int) -> bool:
    return tag >> 16 in PATIENT_GROUPS or tag in BIRTH_DATES


def _least(needles: list[Needle]) -> Iterator[Needle]:
    """Without those that can only be where a shorter one is, which is found anywhere. Of thousands only the first are worth it."""
    sure = [needle.text for needle in needles[:MOST] if needle.match is Match.ANYWHERE and not needle.weak]
    for needle in needles[: 4 * MOST]:
        if not any(text in needle.text and text != needle.text for text in sure):
            yield needle
    yield from needles[4 * MOST :]


def suspects(sought: Sought, text: bytes) -> list[Needle]:
    """Needles whose bytes stand in lower-case text; dates, where all of the date is near its year."""
    found = [needle for each, needle in sought.plain if each in text]
    found += [needle for year, needle in sought.dates if year in text and _near(year, needle, text)]
    if sought.rest:
        found += among(sought.rest, text)
    return found


def among(needles: Mapping[bytes, Needle], text: bytes) -> list[Needle]:
    """Those that are words of a text, which takes the same for any number."""
    return [needles[word] for word in set(text.translate(_SPLIT).split()) & needles.keys()]


def _near(year: bytes, needle: Needle, text: bytes) -> bool:
    search, pos = pattern_of(needle).search, text.find(year)
    for _ in range(MOST):
        if pos < 0:
            return False
        if search(text, max(0, pos - WINDOW), pos + WINDOW):
            return True
        pos = text.find(year, pos + len(year))
    return search(text, max(0, pos)) is not None


_SPLIT = bytes(code if chr(code).isalnum() or code >= 0x80 else 0x20 for code in range(256))
