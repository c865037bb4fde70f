"""Compares one output with the key of its file: what leaked, and which of the things owed to its elements are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from tests.corpus.expect import DATES, Owed, owed
from tests.corpus.key import Entry, Fact, Kind, Planted
from tests.corpus.reader import Content, Unreadable, Value, read
from tests.corpus.search import Haystack
from tests.corpus.text import CHARACTER_VRS, decode
from tests.deidentify.writer import SYNTAXES

PADDING = b" \0"
WORDS = re.compile(r"[^\W\d_]+")
DAY = re.compile(rb"(\d{4})(\d\d)(\d\d)")
REMOVED_MARK = "00120062"
SOP_INSTANCE, META_INSTANCE = "00080018", 0x00020003


@dataclass(frozen=True)
class Check:
    """One thing that was owed. `category`: of `score.CATEGORIES`."""

    category: str
    trap: str
    place: str
    passed: bool


@dataclass(frozen=True)
class Judged:
    """One file. `outcome`: kept, held, or the reason why there is none. `leaks`: of the planted ones that were searched for."""

    entry: Entry
    outcome: str
    searched: tuple[Planted, ...] = field(repr=False)
    leaks: tuple[Planted, ...] = field(repr=False)
    checks: tuple[Check, ...] = field(repr=False)


@dataclass
class Registry:
    """What the files of one run have in common: new UIDs, patient IDs and numbers by the old ones, days by patient."""

    uids: dict[bytes, bytes] = field(default_factory=dict)
    owners: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[tuple[int, str], bytes] = field(default_factory=dict)
    days: dict[int, int] = field(default_factory=dict)

    def same_uid(self, old: bytes, new: bytes) -> bool:
        """Whether `new` stands for `old` wherever it was seen, and for nothing else."""
        return self.uids.setdefault(old, new) == new and self.owners.setdefault(new, old) == old

    def same_name(self, tag: int, old: str, new: bytes) -> bool:
        return self.names.setdefault((tag, old), new) == new

    def same_days(self, patient: int, days: int) -> bool:
        return days != 0 and self.days.setdefault(patient, days) == days


@dataclass(frozen=True)
class Pair:
    """One element before and after. `was`, `now`: None where it is not there."""

    fact: Fact
    was: Value
    now: Value | None
    charsets: tuple[str, str]
    patient: int
    registry: Registry

    def texts(self) -> tuple[str, str]:
        raw = self.now.raw if self.now else b""
        return decode(self.was.raw, self.charsets[0]).strip(" \0"), decode(raw, self.charsets[1]).strip(" \0")

    def values(self) -> tuple[list[bytes], list[bytes]]:
        raw = self.now.raw if self.now else b""
        return [v.strip(PADDING) for v in self.was.raw.split(b"\\")], [v.strip(PADDING) for v in raw.split(b"\\")]


def judge(entry: Entry, output: bytes | None, outcome: str, options: frozenset[str], registry: Registry) -> Judged:
    """`output`: the whole file, None where none was written."""
    given = read(entry.raw, SYNTAXES[entry.syntax])
    try:
        found = read(output, SYNTAXES[entry.syntax]) if output is not None else Content()
    except Unreadable:
        outcome, found = f"{outcome}, unreadable", Content(whole=output or b"")
    pairs = [
        Pair(
            fact,
            given.values[fact.path],
            found.values.get(fact.path),
            (entry.charset, found.charset),
            entry.patient,
            registry,
        )
        for fact in entry.facts
        if fact.path in given.values
    ]
    checks = [check for pair in pairs for check in _checked(pair, owed(pair.fact, options))]
    checks += _whole(entry, found)
    searched = _searched(entry, options)
    leaks = Haystack(found.whole, found.charset or entry.charset, _moved(pairs)).leaks(searched, options)
    return Judged(entry, outcome, searched, tuple(leaks), tuple(checks))


def _searched(entry: Entry, options: frozenset[str]) -> tuple[Planted, ...]:
    """What must not be there: not what an option frees anywhere in the file, since it may stand there."""
    freed = {one.text for one in entry.planted if one.freed & options}
    return tuple(one for one in entry.planted if one.text not in freed)


def _checked(pair: Pair, claim: Owed) -> Iterator[Check]:
    fact, now = pair.fact, pair.now
    if claim is Owed.NOTHING or (claim in (Owed.MAPPED_IF_THERE, Owed.OTHER) and now is None):
        return
    if claim is Owed.WORDS:
        there = set(WORDS.findall(pair.texts()[1].casefold()))
        yield from (Check("words", fact.trap, fact.path, word.casefold() in there) for word in fact.words)
        return
    category, test = _TESTS[claim]
    yield Check(_category(fact, category), fact.trap, fact.path, now is not None and test(pair))


def _category(fact: Fact, category: str) -> str:
    if fact.kind is Kind.SAFE:
        return "safe"
    return "references" if category == "uids" and fact.parents else category


def _equal(pair: Pair) -> bool:
    if pair.fact.vr in CHARACTER_VRS:
        was, now = pair.texts()
        return was == now
    return pair.now is not None and pair.was.raw.strip(PADDING) == pair.now.raw.strip(PADDING)


def _mapped(pair: Pair) -> bool:
    was, now = pair.values()
    if len(was) != len(now):
        return False
    return all(
        _is_uid(new) and old != new and pair.registry.same_uid(old, new) for old, new in zip(was, now, strict=True)
    )


def _is_uid(uid: bytes) -> bool:
    return len(uid) <= 64 and re.fullmatch(rb"[0-2](\.(0|[1-9]\d*))+", uid) is not None


def _other(pair: Pair) -> bool:
    """Another value; of the patient's ID the same one everywhere, of numbers the same where there is one."""
    fact, (was, now) = pair.fact, pair.texts()
    if was == now:
        return False
    if fact.kind is Kind.PATIENT:
        return bool(now) and pair.registry.same_name(fact.tag, was, now.encode())
    return fact.kind is not Kind.NUMBER or not now or pair.registry.same_name(fact.tag, was, now.encode())


def _shifted(pair: Pair) -> bool:
    was, now = pair.values()
    if pair.fact.vr == "TM":
        return was == now
    if len(was) != len(now):
        return False
    return all(_moved_alike(old, new, pair) for old, new in zip(was, now, strict=True))


def _moved_alike(old: bytes, new: bytes, pair: Pair) -> bool:
    first, second = _day(old), _day(new)
    if first is None or second is None:
        return False
    return old[8:] == new[8:] and pair.registry.same_days(pair.patient, (second - first).days)


def _classed(pair: Pair) -> bool:
    was, now = pair.texts()
    return now == ("090Y" if was > "089Y" and was.endswith("Y") else was)


_TESTS: Mapping[Owed, tuple[str, Callable[[Pair], bool]]] = {
    Owed.EQUAL: ("kept", _equal),
    Owed.MAPPED: ("uids", _mapped),
    Owed.MAPPED_IF_THERE: ("uids", _mapped),
    Owed.SHIFTED: ("dates", _shifted),
    Owed.OTHER: ("changed", _other),
    Owed.CLASSED: ("ages", _classed),
}


def _day(raw: bytes) -> date | None:
    match = DAY.match(raw)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def _moved(pairs: list[Pair]) -> Iterator[str]:
    """Days that belong into the output, moved as they are: one of them may be the same as a planted one."""
    for pair in pairs:
        days = pair.registry.days.get(pair.patient)
        if days is not None and pair.fact.vr in DATES - {"TM"}:
            for old in map(_day, pair.values()[0]):
                if old is not None:
                    yield f"{old + timedelta(days):%Y%m%d}"


def _whole(entry: Entry, found: Content) -> Iterator[Check]:
    """What is owed to the file as a whole."""
    mark = found.values.get(REMOVED_MARK)
    yield Check("marks", "", REMOVED_MARK, mark is not None and mark.raw.strip(PADDING) == b"YES")
    instance = found.values.get(SOP_INSTANCE)
    told = found.meta.get(META_INSTANCE, b"").strip(PADDING)
    yield Check("marks", "", "file meta", instance is not None and told == instance.raw.strip(PADDING))
    if entry.pixels is not None:
        same = found.pixels is not None and found.pixels.rstrip(b"\0") == entry.pixels.rstrip(b"\0")
        yield Check("pixels", _pixel_trap(entry), "7FE00010", same)


def _pixel_trap(entry: Entry) -> str:
    return next((trap for trap in entry.traps if trap in ("jpeg-comments", "overlay-bits")), "")
