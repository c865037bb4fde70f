"""One row -> one request, or set aside with the reason. Pure; takes whatever a driver may give and never raises."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from gateway.accession.source import Row
from gateway.errors import Refused
from gateway.model import NOT_TEXT, AccessionNumber, SetAside, Wanted, strip_invisible

COLUMN: Final = "accession_number"
OPTIONAL: Final = ("patient_id", "study_date", "modality", "accession_issuer")

# What a spreadsheet or a float column makes of a long number: the digits behind are gone.
SCIENTIFIC: Final = re.compile(r"\d([.,]\d+)?[eE]\+\d+", re.ASCII)
DATE_FORMS: Final = (
    re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?:[T ]?\d{4,6}(?:\.\d+)?)?", re.ASCII),
    re.compile(r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?:[T ].*)?", re.ASCII),
    re.compile(r"(?P<y>\d{4})/(?P<m>\d\d)/(?P<d>\d\d)(?: .*)?", re.ASCII),
    re.compile(r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})(?: .*)?", re.ASCII),
)
DATES: Final = "20260503, 2026-05-03, 2026/05/03, 3.5.2026"
"""One of each form, for people: the order of 05/03/2026 is not guessed."""
FACTS: Final = ("study_date", "modality", "patient_id")
"""The one that may hold whatever a RIS has is the last."""
BETWEEN: Final = "\0"
FIRST_YEAR: Final = 1900
MODALITY: Final = re.compile(r"[A-Z0-9_]{1,16}", re.ASCII)


def admit(project: str, row: Row) -> Wanted | SetAside:
    """What becomes of one row of `project`."""
    value = row.get(COLUMN)
    if value is None:
        return SetAside(project, "", "accession.null")
    text = strip_invisible(str(value))
    reason = _not_text(value, text)
    if reason:
        return SetAside(project, text, reason)
    try:
        accession = AccessionNumber.from_text(text)
    except Refused as err:
        return SetAside(project, text, err.reason)
    return Wanted(
        project,
        accession,
        patient_id=identifier(row.get("patient_id")),
        study_date=study_date(row.get("study_date")),
        modality=_modality(row.get("modality")),
        issuer=identifier(row.get("accession_issuer")),
    )


def study_date(value: object) -> str:
    """A day as DA (YYYYMMDD); "" for what is none, or is ambiguous (05/03/2024)."""
    if isinstance(value, date):
        return _day(value.year, value.month, value.day)
    text = identifier(value)
    for form in DATE_FORMS:
        found = form.fullmatch(text)
        if found:
            return _day(int(found["y"]), int(found["m"]), int(found["d"]))
    return ""


@dataclass(frozen=True)
class Sorted:
    """Rows told apart, each request and each set-aside text once.

    `told`: what the rows say of `wanted`. In what rows of one number differ they say nothing: which comes first is chance.
    """

    wanted: tuple[Wanted, ...]
    aside: tuple[SetAside, ...]
    told: tuple[Wanted, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a poll has read so far. `before`: numbers whose rows differed in the poll before; they are told at the end."""

    before: frozenset[str] = frozenset()
    facts: dict[str, str] = field(default_factory=dict)
    differ: dict[str, set[str]] = field(default_factory=dict)
    later: list[Wanted] = field(default_factory=list)

    def is_new(self, one: Wanted | SetAside) -> bool:
        mark, facts = _mark(one), _facts(one)
        if mark not in self.facts:
            self.facts[mark] = facts
            return True
        both = zip(FACTS, *(said.split(BETWEEN, len(FACTS) - 1) for said in (self.facts[mark], facts)), strict=False)
        odd = {fact for fact, a, b in both if a and b and a != b}
        if odd:
            self.differ.setdefault(mark, set()).update(odd)
        return False

    def told(self, wanted: Iterable[Wanted]) -> Iterator[Wanted]:
        for one in wanted:
            if _mark(one) in self.before:
                self.later.append(one)
            else:
                yield self.agreed(one)

    def agreed(self, one: Wanted) -> Wanted:
        said = {fact: getattr(one, fact) for fact in FACTS} | dict.fromkeys(self.differ.get(_mark(one), ()), "")
        return replace(one, **said)


def sort_out(admitted: Iterable[Wanted | SetAside], seen: Seen) -> Sorted:
    """Collapses duplicates: joins in a view repeat rows. `seen` remembers from one batch of a poll to the next."""
    new = [one for one in admitted if seen.is_new(one)]
    wanted = tuple(one for one in new if isinstance(one, Wanted))
    aside = tuple(one for one in new if isinstance(one, SetAside))
    return Sorted(wanted, aside, tuple(seen.told(wanted)))


def _mark(one: Wanted | SetAside) -> str:
    return f"+{one.accession.value}\\{one.issuer}" if isinstance(one, Wanted) else f"-{one.reason} {one.text}"


def _facts(one: Wanted | SetAside) -> str:
    """As one text: a first poll may have a million rows."""
    return BETWEEN.join(getattr(one, fact) for fact in FACTS) if isinstance(one, Wanted) else ""


def _not_text(value: object, text: str) -> str:
    """Why this value is no text that can be trusted, as a reason; "" when it can."""
    if not isinstance(value, str) or SCIENTIFIC.fullmatch(text):
        return NOT_TEXT
    if any(c == "\ufffd" or (c != " " and unicodedata.category(c) == "Zs") for c in text):
        return "accession.encoding"
    return ""


def identifier(value: object) -> str:
    """A patient identifier as text; a number without fraction as its digits."""
    if isinstance(value, float | Decimal):
        return f"{value:.0f}" if math.isfinite(value) and value == int(value) else ""
    return strip_invisible(str(value)) if isinstance(value, str | int) else ""


def _modality(value: object) -> str:
    text = strip_invisible(value).upper() if isinstance(value, str) else ""
    return text if MODALITY.fullmatch(text) else ""


def _day(year: int, month: int, day: int) -> str:
    try:
        return f"{datetime(year, month, day):%Y%m%d}" if year >= FIRST_YEAR else ""
    except ValueError:
        return ""
