"""The answer key: what was planted in a file, and what a cleaner owes to each of its elements."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tests.corpus.people import Minted

NEVER: frozenset[str] = frozenset()


class Kind(StrEnum):
    """What an element holds, as far as anything is owed to it."""

    PLAIN = "plain"  # to be kept, where the table lets it
    TEXT = "text"  # words, some to be kept
    UID = "uid"
    PATIENT = "patient"  # the patient's ID: another one, the same in every file
    NUMBER = "identifier"  # accession number, study ID: if anything, then the same in every file
    DATE = "date"  # DA or DT
    TIME = "time"
    AGE = "age"
    SAFE = "safe private"


@dataclass(frozen=True)
class Fact:
    """One element. `path`: "0040A730[0].0040A160", private ones `0029"CREATOR"10`. `parents`: tags of the sequences around it.

    `value`: text decoded, else raw. `words`: to be found again once the text was cleaned. `note`: of the script. `dirty`: something
    was planted in it, so that it cannot stay as it is.
    """

    path: str
    tag: int
    parents: tuple[int, ...]
    vr: str
    kind: Kind
    value: str | bytes = field(repr=False)
    words: tuple[str, ...] = ()
    note: str = ""
    trap: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class Planted:
    """Something that must not be found anywhere in the output. `freed`: options under each of which it may stay.

    `whole`: an everyday word, a leak only where it stands as a word of its own.
    """

    text: str = field(repr=False)
    kind: str
    place: str
    freed: frozenset[str] = NEVER
    whole: bool = False
    trap: str = ""


@dataclass
class Answers:
    """The key of one file while it is being made. `trap`: what is being made."""

    trap: str = ""

    facts: list[Fact] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)

    def plant(self, minted: Minted, place: str, freed: frozenset[str] = NEVER, *, whole: bool = False) -> None:
        self.planted += (Planted(needle, minted.kind, place, freed, whole, self.trap) for needle in minted.needles)


@dataclass(frozen=True)
class Entry:
    """One file of the corpus. `name`: harmless. `raw`: all of it; `dataset`: what a C-STORE would bring. `patient`: number.

    `traps`: what is hidden in it. `risky`: pixels that only a look can clear, so it may be held. `burned`: text stands in them.
    `pixels`: the pixel data as it may come out, None where there is none, or only some of it is known.
    """

    name: str
    raw: bytes = field(repr=False)
    dataset: bytes = field(repr=False)
    kind: str
    syntax: str
    charset: str
    patient: int
    traps: tuple[str, ...]
    facts: tuple[Fact, ...] = field(repr=False)
    planted: tuple[Planted, ...] = field(repr=False)
    risky: bool = False
    burned: bool = False
    pixels: bytes | None = field(default=None, repr=False)
