"""Invented patients, and everything about them that could identify them. Nobody here exists.

A `Minted` value carries the needles that give it away: of an address the street, of a phone number its last digits, of a name each
part, so that half a value left behind is a leak as well.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

ROOT = "1.2.826.0.1.3680043.10.1338."
PREFIXES = ("Dr", "Prof", "Mrs", "Jr", "PhD", "III", "MD")

_WORDS = {
    "families": """Lindqvist Okafor Caldwell Miranda Hernandez Thistlewood Kowalczyk Vandermeer Achterberg Nakagomi Osterhagen
        Delacroix Mbeki Szymborska Fitzwilliam Papadakis Quiggley Rasmussen Ungerer Wojtowicz Yamanouchi Zeitlinger Bramblecombe
        Cholmondeley Featherstonehaugh Gudmundsson Haverkamp Iannucci Jankowski Killoran""",
    "givens": "Ottilie Balthasar Wilhelmina Thaddeus Rosalinde Cornelius Hildegunde Evarist Seraphine Leopold Ignatia Barnaby",
    "streets": "Quellenhofgasse Zwickelbrink Holunderstieg Pfarrsteig Uhlenwinkel Brombeerallee Katzensprungweg Amselhang",
    "towns": "Dinkelsroda Wuppelheim Oberknaudorf Zschorlitz Quakenbeck Fernhollowby Marshwigham Nettlecombe",
    "houses": "Quellenhof Marienstift Zederngrund Lerchenau Ashgrove Wildenstein Bramblewick Thornbury",
    "syllables": "qua zjo xev wurk fli joxa kyz bwo trux vhey gnu zsi plox drem kwa yuz",
}
FAMILIES, GIVENS, STREETS, TOWNS, HOUSES, SYLLABLES = (words.split() for words in _WORDS.values())


COMMON = ("Stone", "Brown", "Black", "Hill", "Fields", "Wood", "Rivers", "Winter")
"""Names of people that are words, none of which the traps use otherwise."""


@dataclass(frozen=True)
class Minted:
    """`kind`: name, id, accession, date, phone, address, mail, url, place, device, uid, word. `needles`: each gives it away."""

    text: str
    kind: str
    needles: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """One examination of a patient. `time`: HHMMSS."""

    number: int
    day: date
    time: str
    accession: str
    study_id: str
    house: str
    referring: str


@dataclass(frozen=True)
class Patient:
    """`charset`: as (0008,0005) says. `name`: one to three component groups. `common`: the name is made of everyday words."""

    number: int
    charset: str
    name: str
    id: str
    birth: date
    sex: str
    street: str
    phone: str
    common: bool = False
    studies: tuple[Study, ...] = field(default=())

    @property
    def parts(self) -> tuple[str, ...]:
        return name_parts(self.name)


@lru_cache(4096)
def name_parts(name: str) -> tuple[str, ...]:
    """The words of a name that give somebody away: no titles, nothing of one character."""
    found = [
        word for group in name.split("=") for part in group.split("^")[:3] for word in re.split(r"[ \-.,']+", part)
    ]
    return tuple(dict.fromkeys(word for word in found if len(word) > 1 and word not in PREFIXES))


def uid(*what: object) -> str:
    """A UID for whatever is named, the same each time; none is the beginning of another."""
    digest = hashlib.blake2b("/".join(map(str, what)).encode(), digest_size=10).digest()
    return f"{ROOT}{int.from_bytes(digest, 'big') | 1 << 79}"


# charset, name, patient ID, birth date, sex
_PEOPLE = (
    ("ISO_IR 100", "Müller-Quastenberg^Leopoldine^Maria^Dr.", "MRN-774411-Q", "19470822", "F"),
    ("\\ISO 2022 IR 87", "Yamashiro^Tarou=山城^太郎=やましろ^たろう", "JP00993127", "19620311", "M"),
    ("\\ISO 2022 IR 149", "Hongdae^Gildong=洪大^吉洞=홍대^길동", "KR-5520-1184", "19710914", "M"),
    ("GB18030", "Wangzhi^XiaoDong=王智^小东", "CN66102931", "19850727", "M"),
    ("ISO_IR 144", "Люкceмбypг^Bopиcович", "0074411893", "19530106", "M"),
    ("ISO_IR 127", "قباني^لنزار", "AR/9917/X", "19790218", "F"),
    ("ISO_IR 192", "Zażółcka^Gęślina^Østergård=王兰^小花", "PL-31-88842", "19920630", "F"),
    ("", "Gray^Chambers^Long", "GCL20481", "19661203", "F"),
    ("ISO_IR 100", "Abendroth^Kunigunde", "MRN-100017-Z", "19281119", "F"),
    ("", "Vandervelden-Sproat^Hermenegild^^Prof^III", "0031-4477-19", "20010404", "M"),
    ("ISO_IR 13\\ISO 2022 IR 87", "ﾀﾅｶﾏﾙ^ﾊﾙｴﾓﾝ=田中丸^春右衛門=たなかまる^はるえもん", "ID5518830X", "19581020", "F"),
    ("ISO_IR 126", "Διονυσιου^Παπαδοπουλου", "GR-2291-0007", "19440525", "M"),
)
_STUDIES = (("20240317", "101522"), ("20230105", "083047"), ("20191128", "154409"))


def patients() -> tuple[Patient, ...]:
    """All of them, each with three studies."""
    return tuple(_patient(number, *row) for number, row in enumerate(_PEOPLE, start=1))


def _patient(number: int, charset: str, name: str, id_: str, birth: str, sex: str) -> Patient:
    studies = tuple(_study(number, n, *row) for n, row in enumerate(_STUDIES, start=1))
    street = f"{number + 3} {STREETS[number % len(STREETS)]}"
    phone = f"+49 221 55{number:02d}7{number * 37 % 900 + 100}"
    return Patient(number, charset, name, id_, _day(birth), sex, street, phone, name.startswith("Gray"), studies)


def _study(patient: int, number: int, day: str, time: str) -> Study:
    moved = _day(day) + timedelta(days=patient * 11 + number)
    accession = f"ACC{patient:02d}{number}88{patient * 7919 % 9000 + 1000}"
    referring = f"{FAMILIES[(patient * 5 + number) % len(FAMILIES)]}^{GIVENS[(patient + number) % len(GIVENS)]}"
    return Study(
        number, moved, time, accession, f"ST{patient:02d}Q{number}417", HOUSES[patient % len(HOUSES)], referring
    )


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


class Mint:
    """Values to plant in one file, each of them once in the whole corpus. `file`: its number."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._made = 0

    def next(self) -> int:
        self._made += 1
        return self._file * 1000 + self._made

    def word(self) -> Minted:
        """A word in no dictionary."""
        text = _syllables(self.next()).capitalize()
        return Minted(text, "word", (text,))

    def name(self) -> Minted:
        """A person's name: invented, and each fifth time a real family name and a given name."""
        number = self.next()
        family, given = FAMILIES[number % len(FAMILIES)], GIVENS[number * 7 % len(GIVENS)]
        if number % 5:
            family, given = family[:3] + _syllables(number), _syllables(number + 30011).capitalize()
        return Minted(f"{family}^{given}", "name", (family, given))

    def id(self) -> Minted:
        number = self.next()
        text = f"{'QXKZ'[number % 4]}{'JWVY'[number // 4 % 4]}{number * 7 + 10000000}"
        return Minted(text, "id", (text[2:],))

    def elder(self) -> Minted:
        """An age that is a date to HIPAA."""
        text = f"{self.next() % 9 + 91}-year"
        return Minted(f"{text}-old", "age", (text,))

    def digits(self) -> Minted:
        text = f"{self.next() * 11 + 60000000}"
        return Minted(text, "id", (text,))

    def moment(self) -> Minted:
        """A time of day that no other event has."""
        number = self.next()
        text = f"{number % 24:02d}{number % 60:02d}{number % 59:02d}.{number * 7 % 1000000:06d}"
        return Minted(text, "time", (text,))

    def titled(self) -> Minted:
        """Somebody whose name is an everyday word, but who has a title."""
        number = self.next()
        name = COMMON[number % len(COMMON)]
        return Minted(f"{('Dr.', 'Prof.', 'Mrs.', 'Dr')[number // 8 % 4]} {name}", "common", (name,))

    def lower(self) -> Minted:
        """A name as somebody types who is in a hurry."""
        text = _syllables(self.next())
        return Minted(text, "name", (text,))

    def phone(self) -> Minted:
        digits = f"{self.next():07d}"
        return Minted(f"(555) {digits[:3]}-{digits[3:]}", "phone", (f"{digits[:3]}-{digits[3:]}",))

    def address(self) -> Minted:
        number = self.next()
        street, town = STREETS[number % len(STREETS)], TOWNS[number % len(TOWNS)]
        if number % 5:
            street, town = street[:4] + _syllables(number), town[:3] + _syllables(number + 17041)
        return Minted(f"{number % 90 + 1} {street}, {town}", "address", (street, town))

    def mail(self) -> Minted:
        name = _syllables(self.next())
        return Minted(f"{name}@clinic.example", "mail", (name,))

    def url(self) -> Minted:
        name = _syllables(self.next())
        return Minted(f"urn:records:{name}", "url", (name,))

    def place(self) -> Minted:
        name = HOUSES[self.next() % len(HOUSES)] + _syllables(self._made)
        return Minted(f"{name} Hospital", "place", (name,))

    def device(self) -> Minted:
        number = self.next()
        return Minted(
            f"SN{number * 13 + 200000}{'XQ'[number % 2]}", "device", (f"{number * 13 + 200000}{'XQ'[number % 2]}",)
        )

    def ae(self) -> Minted:
        text = _syllables(self.next()).upper()
        return Minted(text, "device", (text,))


def _syllables(number: int) -> str:
    """Sixteen letters at the most, another word for each number below 65,536."""
    number, text = number * 40503 % 65536, ""
    for _ in range(4):
        number, digit = divmod(number, 16)
        text = SYLLABLES[digit] + text
    return text
