"""How far a poll has come: the newest cursor value as text, and where the next poll starts.

Takes and leaves plain values; the clock comes in as an argument. A time without a zone is the RIS's own: it is compared
with its like and never converted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation, localcontext
from typing import Final

from gateway.accession.source import CursorValue
from gateway.errors import Retry

TEXT_TIMES: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
)  # fmt: skip
DIGITS: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Times of digits alone, as text or as a number, by their length: what DICOM, HL7 and data warehouses write.

A text may have fractions of a second behind its 14, with a point or without, and a zone behind 12 or 14 (HL7's TS), taken for the
RIS's own.
"""
ALL_DIGITS: Final = re.compile(r"\d{8}|(\d{12}|\d{14}(\.?\d{1,9})?)([+-]\d{4})?", re.ASCII)
NO_DAY: Final = "0000-00-00"
"""What MySQL gives, as text, for a date or a time that is none."""
YEARS: Final = range(1900, 3000)


def kind(value: CursorValue) -> str:
    """`zoned`, `datetime`, `date`, `int`, `decimal`, `float`, `str` or `bytes`; values of one kind compare."""
    if isinstance(value, datetime):
        return "datetime" if value.tzinfo is None else "zoned"
    return type(value).__name__.lower()


def to_text(value: CursorValue, fingerprint: str) -> str:
    """`fingerprint|kind|value`."""
    if isinstance(value, bytes):
        return f"{fingerprint}|bytes|{value.hex()}"
    shown = value.isoformat() if isinstance(value, date) else str(value)
    return f"{fingerprint}|{kind(value)}|{shown}"


def from_text(text: str | None, fingerprint: str) -> CursorValue | None:
    """The stored value; None when there is none, or when it belongs to another query: then everything is read again."""
    owner, _, rest = (text or "").partition("|")
    name, _, shown = rest.partition("|")
    if owner != fingerprint or name not in _READ:
        return None
    try:
        return _READ[name](shown)
    except (ValueError, InvalidOperation):
        return None


def start(value: CursorValue | None, overlap: float) -> CursorValue | None:
    """`value` less `overlap` seconds, because rows appear later than they are dated; at worst `value` itself."""
    try:
        return None if value is None else _less(value, overlap)
    except OverflowError:
        return value


def _less(value: CursorValue, overlap: float) -> CursorValue:
    if isinstance(value, datetime):
        return value - timedelta(seconds=overlap)
    if isinstance(value, date):
        return value - timedelta(days=-(-overlap // 86400))
    if isinstance(value, bytes):
        return value
    known = _time_of_digits(value) or (_text_time(value) if isinstance(value, str) else None)
    earlier = (known[0] - timedelta(seconds=overlap)).strftime(known[1]) if known else ""
    if isinstance(value, str):
        return earlier or value
    with localcontext(prec=60, rounding=ROUND_FLOOR):  # Oracle's NUMBER has 38 digits, the default context 28
        less = value - int(overlap)
    return min(less, type(value)(earlier)) if earlier else less  # it may be a number that only looks like a time


def moment(value: CursorValue | None) -> datetime | None:
    """The point in time that a cursor value says, when it says one."""
    if isinstance(value, datetime):
        return value
    known = _time_of_digits(value)
    if known or not isinstance(value, str):
        return known[0] if known else None
    try:  # fromisoformat is quick: one call a row
        return datetime.fromisoformat(value.strip().replace("/", "-")) if value[4:5] in ("-", "/") else None
    except ValueError:
        return None


def lag(value: CursorValue | None, now: float) -> float | None:
    """Seconds from the cursor to `now` (epoch seconds), never negative; None when the cursor is not a time."""
    at = moment(value)
    try:
        return None if at is None else max(0.0, now - at.timestamp())
    except (OverflowError, ValueError):  # year 1 or 9999 near a zone's edge
        return None


def newer(newest: CursorValue | None, seen: object, now: float) -> CursorValue | None:
    """The larger of the two. NULLs, MySQL's "no date" and rows from the future move nothing.

    Raises Retry("ris.schema") when they do not compare: the column has changed its type.
    """
    if seen is None or (isinstance(seen, str) and seen.startswith(NO_DAY)):
        return newest
    if not isinstance(seen, datetime | date | int | float | Decimal | str | bytes) or _is_nan(seen):
        raise _other_type()
    if newest is not None and not _compare(newest, seen):
        raise _other_type()
    if newest is not None and not seen > newest:  # type: ignore[operator]  # they compare
        return newest
    return newest if _from_the_future(seen, now) else seen


def _compare(one: CursorValue, other: CursorValue) -> bool:
    """Of one kind, or both numbers: Oracle and SQLite give whole ones and fractions of one column as two types."""
    numbers = (int, float, Decimal)
    return kind(one) == kind(other) or (isinstance(one, numbers) and isinstance(other, numbers))


def _is_nan(value: CursorValue) -> bool:
    return isinstance(value, float | Decimal) and math.isnan(value)


def _from_the_future(value: CursorValue, now: float) -> bool:
    """Ahead of our clock: the cursor waits for it, for what comes until then would be passed over.

    A RIS whose own time is ahead of ours costs no more than that so many hours are read again.
    """
    ours = datetime.fromtimestamp(now)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value > ours.date()
    at = moment(value)
    return at is not None and at > (datetime.fromtimestamp(now, UTC) if at.tzinfo else ours)


def _time_of_digits(value: CursorValue | None) -> tuple[datetime, str] | None:
    """A time of digits alone, with the format it is written in."""
    if isinstance(value, int | float | Decimal):
        text = f"{value:.0f}" if 1e7 <= value < 1e14 else ""
    else:
        text = value.strip() if isinstance(value, str) else ""  # CHAR columns are padded
        text = re.split("[+-]", text)[0][:14] if ALL_DIGITS.fullmatch(text) else ""
    form = DIGITS.get(len(text))
    if form is None or int(text[:4]) not in YEARS:
        return None
    try:
        return datetime.strptime(text, form), form
    except ValueError:
        return None


def _text_time(text: str) -> tuple[datetime, str] | None:
    """A text that says a time, with the format it says it in."""
    if len(text) < len("2000-01-01") or not text[:4].isdigit():
        return None
    for form in TEXT_TIMES:
        try:
            return datetime.strptime(text.strip(), form), form
        except ValueError:
            continue
    return None


def _other_type() -> Retry:
    mend = "the cursor column holds values that do not compare with one another or with the stored cursor"
    return Retry("ris.schema", mend, charge=False)


_READ: Final[Mapping[str, Callable[[str], CursorValue]]] = {
    "zoned": datetime.fromisoformat,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "str": str,
    "bytes": bytes.fromhex,
}
