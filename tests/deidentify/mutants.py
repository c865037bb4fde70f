"""Rules of the profile switched off one by one, and whether anybody would notice.

The answer key is made here from the text of Table E.1-1 and from the stated defaults, not from the profile's rules; the walk is the
real one. For speed each mutant walks a small data set that holds its own tag and a few more, at the top and in a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.actions import PERSONAL, Action, Rule
from gateway.deidentify.defaults import (
    CLASS_UIDS,
    HARMLESS_BYTES,
    HARMLESS_TEXT,
    ICC_PROFILE,
    PATIENT_GROUP,
    REMOVED,
    RETIRED_NUMBERS,
    TYPED,
)
from gateway.deidentify.options import FULL_DATES
from gateway.deidentify.places import Special
from gateway.deidentify.profile import compile_profile
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.route import Route, make_route
from gateway.deidentify.subject import Subject
from gateway.deidentify.text import TextCleaner
from gateway.deidentify.types import Types
from gateway.deidentify.vocabulary import load_vocabulary
from gateway.deidentify.walk import Walk
from gateway.deidentify.walker import Walker
from gateway.settings import Deidentify
from tests.deidentify.nested import CLEANED, DOZEN, Options, rows
from tests.deidentify.writer import Element, Layout, write

STAYS, GONE, HALF = "stays", "gone", "at the top only"
CHUNK = 12
INNER = 0x00180022  # Scan Options, CS: kept, so that it shows whether its item stayed
AROUND = 0x00082218  # Anatomic Region Sequence: its items are cleaned under every option
CODE_MEANING = 0x00080104
MARKS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
LAYOUT = Layout()
KEY = bytes(range(32))


@dataclass(frozen=True)
class Mutant:
    """`tag` with `rule` in place of the right one."""

    tag: int
    options: Options
    right: Rule
    rule: Rule
    expected: str = field(default=STAYS)


def disabled(right: Rule, vr: bytes) -> Rule:
    """What a rule becomes: nothing is done where something was, and the other way round."""
    if right.action is Action.KEEP or right.action is Action.ITEMS:
        return Rule(Action.REMOVE, "mutant")
    return Rule(Action.ITEMS if vr == b"SQ" else Action.KEEP, "mutant")


def expected(tag: int, vr: str, options: Options) -> str:
    """Whether the value that `element_of` plants may be seen as it came; for a sequence, whether that in its item may."""
    if tag in PIXELS:
        return HALF
    if tag in MARKS or tag >> 16 < 8:
        return GONE
    row = rows().get(tag)
    return _by_row(row, tag, vr, options) if row else _by_default(tag, vr, options)


def _by_row(row: Mapping[str, str], tag: int, vr: str, options: Options) -> str:
    cells = {row[option] for option in options if row.get(option)}
    if vr == "SQ":
        return STAYS if cells or (row["basic"][-1] in "DU*" and tag not in PERSONAL) else GONE
    if vr == "AS":
        return GONE
    return STAYS if cells == {"K"} or (cells == {"K", "C"} and vr not in CLEANED) else GONE


def _by_default(tag: int, vr: str, options: Options) -> str:
    """As `defaults` says in words."""
    if (
        (DicomDictionary[tag][3] and tag not in RETIRED_NUMBERS)
        or tag in REMOVED
        or tag >> 16 == 0x4010
        or (tag >> 16 == 0x10 and tag not in PATIENT_GROUP)
    ):
        return GONE
    if vr in ("DA", "DT", "TM"):
        return STAYS if FULL_DATES in options else GONE
    if tag in CLASS_UIDS | HARMLESS_BYTES or (tag in HARMLESS_TEXT and vr not in CLEANED):
        return STAYS
    if tag == CODE_MEANING and "clean-descriptors" in options:
        return GONE
    if (
        tag in TYPED | HARMLESS_TEXT
        or tag == ICC_PROFILE
        or vr in ("PN", "AS", "ST", "LT", "UT", "UC", "UR", "OB", "UN")
    ):
        return GONE
    return STAYS if vr != "UI" or "retain-uids" in options else GONE


def element_of(tag: int, vr: str) -> Element:
    """A value that any cleaning changes and that no other tag has."""
    text = b"S%08X" % tag
    fixed = {
        "UI": b"1.2.826.0.1.3680043.9.%d.7" % tag, "DA": b"19310302", "DT": b"19310302101530", "TM": b"10:15:30", "DS": b"7.25",
        "IS": b"7254", "AS": b"093Y", "UR": b"urn:" + text, "OB": text + b"\0", "OW": text + b"\0", "UN": text + b"\0",
    }  # fmt: skip
    if vr == "SQ":
        return Element(tag, vr, ((Element(INNER, "CS", text),),))
    if vr in fixed:
        return Element(tag, vr, fixed[vr])
    return Element(tag, vr, b"\1" * DOZEN[vr] if vr in DOZEN else b"\1\1" if vr in ("US", "SS") else text)


class Bench:
    """A profile of which single rules are taken out. `seen`: what of one tag may be seen in the output."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.profile = compile_profile(Deidentify(options=options))
        self.subject = Subject(
            Pseudonyms(KEY, "{pseudonym}"), TextCleaner(load_vocabulary()), -40, b"20240301", b"", False, frozenset()
        )

    def walked(self, tags: list[int], rules: Mapping[int, Rule], sop_class: bytes = b"1.2.3") -> bytes:
        """The output for a data set with `tags` at the top and in a sequence. `rules`: in place of the profile's."""
        used = {tag: self.profile.rules[tag] for tag in (*tags, AROUND, INNER)} | dict(rules)
        special = Special(used, {}, self.profile.vrs, Types("", {}))
        route = make_route(replace(self.profile, rules=used, special=special), ())
        return walked(route, self.subject, self.data(tags), sop_class)

    def data(self, tags: list[int]) -> bytes:
        vrs = self.profile.vrs
        planted = sorted((element_of(tag, vrs[tag].decode()) for tag in tags), key=lambda e: e.tag)
        return write([*(e for e in planted if e.tag != AROUND), Element(AROUND, "SQ", (tuple(planted),))], "explicit")

    def outcome(self, tag: int, output: bytes) -> str:
        """STAYS where the planted value stands at the top and below, as it came; GONE where at neither."""
        element = element_of(tag, self.profile.vrs[tag].decode())
        trace = b"S%08X" % tag if isinstance(element.value, tuple) else LAYOUT.element(element)
        found = output.count(trace)
        places = 1 if tag == AROUND else 2
        return STAYS if found >= places else HALF if found else GONE

    def mutants(self, *, other_than: Bench | None = None) -> Iterator[Mutant]:
        """Of every rule; of an option, of those that it changes."""
        for tag, right in self.profile.rules.items():
            if tag == INNER or (other_than and other_than.profile.rules[tag].action is right.action):
                continue
            vr = self.profile.vrs[tag]
            yield Mutant(tag, self.options, right, disabled(right, vr), expected(tag, vr.decode(), self.options))


def walked(route: Route, subject: Subject, data: bytes, sop_class: bytes) -> bytes:
    """Nothing is remembered from one call to the next: what is kept of elements is one mutant's."""
    walker = Walker(replace(route, made={}, strides={}), Walk(replace(subject, _repeats={}), sop_class, b""))
    return b"".join(walker.walk(data, route.profile.codecs.little_explicit, ()))


def survivors(bench: Bench, mutants: list[Mutant]) -> tuple[list[str], list[str]]:
    """Mutants that nobody notices, and rules whose outcome is not the expected one to begin with; each by tag and reason."""
    unnoticed, wrong = [], []
    for start in range(0, len(mutants), CHUNK):
        chunk = mutants[start : start + CHUNK]
        tags = [mutant.tag for mutant in chunk]
        sound = bench.walked(tags, {})
        for mutant in chunk:
            if bench.outcome(mutant.tag, sound) != mutant.expected:
                wrong.append(f"{mutant.tag:08X} {mutant.right.action.name} {bench.outcome(mutant.tag, sound)}")
            told = bench.outcome(mutant.tag, bench.walked(tags, {mutant.tag: mutant.rule}))
            if told == mutant.expected:
                unnoticed.append(
                    f"{mutant.tag:08X} {bench.profile.vrs[mutant.tag].decode()} {mutant.right.action.name}: {told}"
                )
    return unnoticed, wrong
