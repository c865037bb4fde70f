"""The whole of an answer that a PACS cuts off, from the answers to narrower questions (F7). Pure: `ask` asks.

Studies are split by StudyDate, and a day by StudyTime; series by Modality, then by SeriesNumber: keys that every PACS has to match
(PS3.4 tables C.6-2, C.6-3). A PACS that does not match by them is noticed by its rows, and nothing of it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pydicom.dataset import Dataset

from gateway.cfind.day import written
from gateway.dicom.identifier import narrowed, text
from gateway.errors import Retry
from gateway.model import FoundStudy

CUT: Final = "find.truncated"
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
DAY_SECONDS: Final = 86400
MOST_NUMBERS: Final = 60
"""Questions by SeriesNumber for one study."""


@dataclass(frozen=True)
class Part:
    """One answer. `cut`: why it is not the whole, as far as the PACS or its `result_limit` say so."""

    rows: Sequence[Dataset]
    cut: Retry | None = None


@dataclass(frozen=True)
class Whole:
    """`noticed`: the number of rows at which the PACS cut the answer off without a word; 0 = it did not."""

    rows: Sequence[Dataset]
    noticed: int = 0


Ask = Callable[[Dataset], Part]


def studies(ask: Ask, keys: Dataset) -> Whole:
    """Raises Retry("find.truncated") when the whole cannot be told for certain, and whatever `ask` raises."""
    first = ask(keys)
    if not first.cut and not _is_odd(len(first.rows)):
        return Whole(first.rows)
    if first.cut and not all(text(row, "StudyDate") for row in first.rows):
        raise first.cut  # there may be more without a date, and no range of dates finds them
    try:
        return _whole(
            first, _between(ask if first.cut else _doubting(ask, first), keys, *_days(keys)), "StudyInstanceUID"
        )
    except Retry as err:
        if first.cut or err.reason != CUT:
            raise
        return Whole(first.rows)


def series(ask: Ask, keys: Dataset, study: FoundStudy) -> Whole:
    """`study`: whose modalities, and number of series, say what there should be. Raises as `studies` does."""
    first = ask(keys)
    expected = _expected(study)
    if not first.cut and not _is_odd(len(first.rows)) and len(first.rows) >= expected:
        return Whole(first.rows)
    rows, sure = _by_modality(ask, keys, first, study)
    if (not sure or not first.cut) and _number(rows) < expected:
        rows += _by_number(ask, keys, rows, expected)
        sure = _number(rows) >= expected
    if first.cut and not sure:
        raise first.cut
    return _whole(first, rows, "SeriesInstanceUID")


def _whole(first: Part, more: Iterable[Dataset], uid: str) -> Whole:
    rows = [*first.rows, *more]
    grown = len({text(row, uid) for row in rows}) > len(first.rows)
    return Whole(rows, len(first.rows) if grown and not first.cut else 0)


def _doubting(ask: Ask, first: Part) -> Ask:
    """As many rows as there were at first are taken for a cut."""

    def asked(keys: Dataset) -> Part:
        part = ask(keys)
        return part if len(part.rows) < len(first.rows) else Part(part.rows, Retry(CUT))

    return asked


def _is_odd(number: int) -> bool:
    """Numbers at which lists are cut off: fifties and powers of two."""
    return number >= 50 and (number % 50 == 0 or number & (number - 1) == 0)


# ---- studies


def _days(keys: Dataset) -> tuple[date, date]:
    """Those that are asked for, else all."""
    first, _, last = text(keys, "StudyDate").partition("-")
    return (date.fromisoformat(first), date.fromisoformat(last or first)) if first else (FIRST_DAY, LAST_DAY)


def _between(ask: Ask, keys: Dataset, first: date, last: date) -> list[Dataset]:
    """Both days included."""
    begin, end = written(first), written(last)
    part = ask(narrowed(keys, StudyDate=f"{begin}-{end}"))
    if not all(begin <= text(row, "StudyDate") <= end for row in part.rows):
        raise Retry(CUT, "the PACS does not match StudyDate, so that its answers cannot be split")
    if not part.cut:
        return list(part.rows)
    if first == last:
        return _in_day(
            ask, narrowed(keys, StudyDate=begin), (0, DAY_SECONDS // 2 - 1), (DAY_SECONDS // 2, DAY_SECONDS - 1)
        )
    middle = first + (last - first) // 2
    return _between(ask, keys, first, middle) + _between(ask, keys, middle + timedelta(days=1), last)


def _in_day(ask: Ask, keys: Dataset, *spans: tuple[int, int]) -> list[Dataset]:
    """`spans`: seconds of the day, both included."""
    found: list[Dataset] = []
    for first, last in spans:
        part = ask(narrowed(keys, StudyTime=f"{_tm(first)}-{_tm(last)}.999999"))
        if part.cut and first == last:
            raise part.cut
        middle = (first + last) // 2
        found += _in_day(ask, keys, (first, middle), (middle + 1, last)) if part.cut else part.rows
    return found


def _tm(seconds: int) -> str:
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


# ---- series


def _by_modality(ask: Ask, keys: Dataset, first: Part, study: FoundStudy) -> tuple[list[Dataset], bool]:
    """What each modality's question adds; whether that is all of it."""
    told = study.attributes.get("ModalitiesInStudy")
    known = {str(m) for m in told} if isinstance(told, list) else set()
    rows, sure = list(first.rows), bool(known)
    for modality in sorted(known | {m for row in rows if (m := text(row, "Modality"))}):
        part = ask(narrowed(keys, Modality=modality))
        if any(text(row, "Modality") != modality for row in part.rows):
            return rows, False
        rows += part.rows
        sure = sure and not part.cut
    return rows, sure


def _by_number(ask: Ask, keys: Dataset, known: Sequence[Dataset], expected: int) -> list[Dataset]:
    """Series are mostly numbered from one; asked until as many are known as there should be."""
    found: list[Dataset] = []
    for number in range(min(expected + 10, MOST_NUMBERS)):
        if _number([*known, *found]) >= expected:
            break
        found += ask(narrowed(keys, SeriesNumber=str(number))).rows
    return found


def _expected(study: FoundStudy) -> int:
    told = study.attributes.get("NumberOfStudyRelatedSeries")
    return int(told) if isinstance(told, float) and told == int(told) else 0


def _number(rows: Iterable[Dataset]) -> int:
    return len({uid for row in rows if (uid := text(row, "SeriesInstanceUID"))})
