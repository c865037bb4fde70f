"""Script and person -> elements, and the answer key beside them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from datetime import date, timedelta

from tests.corpus.expect import TEXTS, freed, rows
from tests.corpus.key import Answers, Fact, Kind
from tests.corpus.payloads import make as make_payload
from tests.corpus.people import Mint, Minted, Patient, Study, name_parts, uid
from tests.corpus.script import Line
from tests.corpus.search import SHAPES
from tests.corpus.text import CHARACTER_VRS, encode
from tests.deidentify.writer import Element

PLACE = re.compile(r"\{([^}]*)\}")
WORD = re.compile(r"(?<![\w_])[^\W\d_]{2,}(?!\w)")
MAY_GO = re.compile(r"(?<!\S)_\S+")
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "AT": "HH"}
UNITS = {"OW": "H", "OF": "f", "OD": "d", "OL": "I"}
CHARACTER_SET = 0x00080005
TEMPORAL = {"DA": Kind.DATE, "DT": Kind.DATE, "TM": Kind.TIME}
NUMBERED = {0x00100020: Kind.PATIENT, 0x00080050: Kind.NUMBER, 0x00200010: Kind.NUMBER}


@dataclass(frozen=True)
class Subject:
    """Whose instance it is, and which: numbers of study, series and instance."""

    patient: Patient
    study: int
    series: int
    instance: int

    @property
    def examination(self) -> Study:
        return self.patient.studies[self.study - 1]


@dataclass
class Maker:
    """Makes the elements of one file. `order`: "<" or ">", of numbers. `constants`: what the generator puts in: class, modality."""

    subject: Subject
    mint: Mint
    order: str = "<"
    constants: dict[str, str] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    charset: str = field(init=False)
    known: dict[str, Minted] = field(init=False)
    own: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.charset = self.subject.patient.charset
        self.known = _own_values(self.subject.patient, self.subject.examination)
        self.own = frozenset(part.casefold() for part in self.subject.patient.parts)

    def make(
        self, lines: tuple[Line, ...], path: str = "", parents: tuple[int, ...] = (), order: str = ""
    ) -> list[Element]:
        """The elements of one data set or item; `path` ends with a full stop."""
        creators: dict[int, str] = {}
        made = []
        for line in lines:
            if not path:
                self.answers.trap = line.trap
            here = path + _step(line.tag, creators)
            if line.items is not None:
                made.append(self._sequence(line, here, parents, order or self.order))
            else:
                made.append(self._leaf(line, here, parents, order or self.order))
            if line.tag >> 16 & 1 and 0x10 <= line.tag & 0xFFFF <= 0xFF:
                creators[line.tag] = str(line.value)
        return made

    def _sequence(self, line: Line, path: str, parents: tuple[int, ...], order: str) -> Element:
        inner = "<" if line.vr == "UN" else order
        items = line.items or ()
        made = [self._item(item, f"{path}[{i}].", (*parents, line.tag), inner) for i, item in enumerate(items)]
        return Element(line.tag, line.vr, tuple(map(tuple, made)), undefined=line.open)

    def _item(self, lines: tuple[Line, ...], path: str, parents: tuple[int, ...], order: str) -> list[Element]:
        """An item's elements, in its own character set where it says so."""
        outer = self.charset
        self.charset = next((line.value for line in lines if line.tag == CHARACTER_SET), outer)
        made = self.make(lines, path, parents, order)
        self.charset = outer
        return made

    def _leaf(self, line: Line, path: str, parents: tuple[int, ...], order: str) -> Element:
        minted: list[Minted] = []

        def put(match: re.Match[str]) -> str:
            known = self.constants.get(match[1])
            if known is not None:
                return known
            minted.append(self._minted(match[1]))
            return minted[-1].text

        text = PLACE.sub(put, line.value)
        value = self._encoded(MAY_GO.sub(lambda m: m[0][1:], text), line.vr, order)
        allowed = freed(line.tag, line.vr, parents)
        for one in minted:
            self.answers.plant(one, path, allowed, whole=one.kind == "common")
        self._state(line, path, parents, _Held(MAY_GO.sub(lambda m: m[0][1:], text), value, minted))
        return Element(line.tag, line.vr, value, odd=line.odd)

    def _encoded(self, text: str, vr: str, order: str) -> bytes:
        if vr in NUMBERS:
            layout = struct.Struct(order + NUMBERS[vr])
            number = float if vr in ("FL", "FD") else lambda t: int(t, 0)
            return b"".join(layout.pack(*map(number, part.split(","))) for part in text.split("\\") if part)
        form, _, rest = text.partition(" ")
        special = make_payload(form, rest) if rest else None
        if special is not None:
            return special
        if vr in UNITS and form == "numbers":
            return b"".join(
                struct.pack(order + UNITS[vr], float(n) if vr in ("OF", "OD") else int(n)) for n in rest.split()
            )
        return encode(text, self.charset, vr)

    def _state(self, line: Line, path: str, parents: tuple[int, ...], held: _Held) -> None:
        """Writes down what is owed to the element; nothing to private ones that are not said to be safe."""
        if line.note == "free" or (line.tag >> 16 & 1 and line.note != "safe") or not held.value:
            return
        kind = _kind(line, held.minted)
        if kind is None:
            return
        template = MAY_GO.sub(" ", PLACE.sub("0", line.value))
        words = tuple(w for w in WORD.findall(template) if kind is Kind.TEXT and w.casefold() not in self.own)
        value = held.text if line.vr in CHARACTER_VRS else held.value
        dirty = bool(held.minted)
        self.answers.facts.append(
            Fact(path, line.tag, parents, line.vr, kind, value, words, line.note, self.answers.trap, dirty)
        )

    def _minted(self, name: str) -> Minted:
        """What a placeholder stands for."""
        what, _, more = name.partition(":")
        if what == "uid":
            text = self.uid(more)
            return Minted(text, "uid", (text,))
        stamp = re.fullmatch(r"(date|datetime|time)(?:\.(\w+))?([+-]\d+)?(?: (\S+))?", name)
        if stamp:
            return self._moment(stamp[1], stamp[2] or "da", int(stamp[3] or 0), stamp[4] or "")
        if name in self.known:
            return self.known[name]
        made: Minted = getattr(self.mint, name)()
        return made

    def _moment(self, what: str, shape: str, days: int, clock: str) -> Minted:
        """A day counted from the study's, a time of day (that of the study where none is given), or both."""
        day, clock = self.subject.examination.day + timedelta(days), clock or self.subject.examination.time
        if what == "time":
            return Minted(clock, "time", (clock,) if "." in clock else ())
        if what == "datetime":
            return Minted(f"{day:%Y%m%d}{clock}", "date", (f"{day:%Y%m%d}",))
        return Minted(day.strftime(SHAPES[shape]), "date", (f"{day:%Y%m%d}",))

    def uid(self, name: str) -> str:
        """`study`, `series`, `this`, `new`, t1s2i3 (parts left out: this one's), or a word: one a study, p.word: one a patient."""
        s = self.subject
        other = re.fullmatch(r"(?:t(\d))?(?:s(\d+))?(?:i(\d+))?", name)
        if name == "study" or (other and name and not (other[2] or other[3])):
            return uid(s.patient.number, int(other[1]) if other and other[1] else s.study)
        if name == "series" or (other and name and not other[3]):
            return uid(s.patient.number, *self._place(other)[:2])
        if name == "this" or (other and name):
            return uid(s.patient.number, *self._place(other))
        if name == "new":
            return uid("new", self.mint.next())
        return uid(s.patient.number, name) if name.startswith("p.") else uid(s.patient.number, s.study, name)

    def _place(self, other: re.Match[str] | None) -> tuple[int, int, int]:
        own = (self.subject.study, self.subject.series, self.subject.instance)
        if other is None:
            return own
        study, series, instance = (
            int(given) if given else mine for given, mine in zip(other.groups(), own, strict=True)
        )
        return study, series, instance


@dataclass(frozen=True)
class _Held:
    """An element's text and bytes, and what was planted in it."""

    text: str
    value: bytes
    minted: list[Minted]


def _step(tag: int, creators: dict[int, str]) -> str:
    """One step of a path; a private element by its creator, since blocks may move."""
    group, element = tag >> 16, tag & 0xFFFF
    creator = creators.get(group << 16 | element >> 8) if group & 1 and element > 0xFF else None
    return f'{group:04X}"{creator}"{element & 0xFF:02X}' if creator else f"{tag:08X}"


def _kind(line: Line, minted: list[Minted]) -> Kind | None:
    """What an element holds; None where nothing can be owed to it, as it is planted through and through."""
    kinds = {one.kind for one in minted}
    if line.note == "safe":
        return Kind.SAFE
    if line.vr == "UI":
        return Kind.UID if "uid" in kinds else Kind.PLAIN
    if line.vr in TEMPORAL:
        return TEMPORAL[line.vr]
    if line.vr == "AS":
        return Kind.AGE
    if line.tag in NUMBERED:
        return NUMBERED[line.tag]
    if not minted:
        return Kind.TEXT if line.vr in TEXTS and WORD.search(line.value) else Kind.PLAIN
    if PLACE.sub("", line.value).strip(" ^=\\"):
        return Kind.TEXT
    return Kind.PLAIN if line.tag in rows() else None


def _own_values(patient: Patient, study: Study) -> dict[str, Minted]:
    """What is the patient's or the study's own, by the name of its place holder."""
    kind = "common" if patient.common else "name"
    family = re.split(r"[-\^=]", patient.name)[0]
    aged = f"{_years(patient.birth, study.day):03d}Y"
    return {
        "patient": Minted(patient.name, kind, patient.parts),
        "family": Minted(family, kind, (family,)),
        "natural": Minted(_natural(patient.name), kind, patient.parts),
        "upper": Minted(_natural(patient.name).upper(), kind, patient.parts),
        "id.bare": Minted(re.sub(r"[^\w]", "", patient.id), "id", (re.sub(r"[^\w]", "", patient.id),)),
        "birth.long": Minted(f"{patient.birth:%d %B %Y}", "date", (f"{patient.birth:%Y%m%d}",)),
        "birth.us": Minted(f"{patient.birth:%m/%d/%Y}", "date", (f"{patient.birth:%Y%m%d}",)),
        "patient_id": Minted(patient.id, "id", (patient.id,)),
        "street": Minted(patient.street, "address", (patient.street.split()[1],)),
        "tel": Minted(patient.phone, "phone", (patient.phone[-8:],)),
        "accession": Minted(study.accession, "accession", (study.accession,)),
        "study_id": Minted(study.study_id, "id", (study.study_id,)),
        "house": Minted(study.house, "place", (study.house,)),
        "referring": Minted(study.referring, "name", name_parts(study.referring)),
        "birth": Minted(f"{patient.birth:%Y%m%d}", "date", (f"{patient.birth:%Y%m%d}",)),
        "birth.dmy": Minted(f"{patient.birth:%d.%m.%Y}", "date", (f"{patient.birth:%Y%m%d}",)),
        "age": Minted(aged, "age", (aged,) if aged > "089Y" else ()),
        "sex": Minted(patient.sex, "sex", ()),
    }


def _natural(name: str) -> str:
    """Each component group as one would say it: given names first."""
    groups = [group.split("^")[:3] for group in name.split("=")]
    return ", ".join(" ".join(part for part in (*group[1:], group[0]) if part) for group in groups)


def _years(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
