"""Dates moved by one number of days per patient, and ages that single nobody out (PS3.15 E.3.6, 45 CFR 164.514(b)(2)(i)(C)).

Whole days: times of day, intervals within and between studies, and the age at study stay what they were, so nothing happens at
midnight and no zone needs thought. What is no legal date for its VR has no place on the calendar: it becomes empty, never kept.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from functools import lru_cache

PADDING = b" \0"
NEAREST = 30
FARTHEST = 3650
OLDEST = 89
"""Years: ages above are told as one class, 090Y."""

CACHED, REPEATED = 1 << 14, 256
"""Values remembered: an enhanced object has some thousand different frame times; none of more bytes, which do not repeat."""
LONGEST_RANGE = 64
"""Bytes: two moments of 26 and a hyphen (PS3.5 6.2), and some blanks. Of millions of hyphens each would be tried."""

_OFFSET = rb"[+-](?:0[0-9]|1[0-4])[0-5][0-9]"
_ZONE = rb"(?P<zone>" + _OFFSET + rb")?"
_CLOCK = rb"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
_DAY = re.compile(rb"[0-9]{8}")
_OLD_DAY = re.compile(rb"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_MOMENT = re.compile(rb"(?P<day>[0-9]{4}(?:[0-9]{2}){0,2})(?P<clock>(?<=[0-9]{8})" + _CLOCK + rb")?" + _ZONE)
_BEGINNING = re.compile(rb"-?([0-9]{4})\.?([0-9]{2})?\.?([0-9]{2})?")
_WHOLE_ZONE = re.compile(_OFFSET)
_TIME = re.compile(_CLOCK)
_OLD_TIME = re.compile(rb"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?")
_FINER = re.compile(rb"(\.[0-9]{6})[0-9]{1,6}(?![0-9])")
"""Parts of a second beyond those that DT and TM have: software that counts in 100 ns writes seven."""
_AGE = re.compile(rb"([0-9]{3})([DWMY])")


def offset_days(key: bytes, patient: bytes) -> int:
    """Days to add to all dates of `patient`: -30 to -3650, into the past, where no date looks wrong. `key`: the project's own."""
    digest = hashlib.blake2b(patient.strip(PADDING), digest_size=16, key=key, person=b"days").digest()
    return -(NEAREST + int.from_bytes(digest, "big") % (FARTHEST - NEAREST + 1))


def shift(vr: bytes, raw: bytes, days: int, bygone: bytes = b"") -> bytes:
    """The value of a DA, DT or TM element, moved by `days`; several values and ranges too. b"" where nothing is left.

    `bygone`: as of `bygone_at`; a day then or before becomes empty, as nobody's birth can be told from it.
    """
    return (_shifted if len(raw) <= REPEATED else _shift)(vr, raw, days, bygone)


def _shift(vr: bytes, raw: bytes, days: int, bygone: bytes) -> bytes:
    told = [part.strip(PADDING) for part in raw.split(b"\\")]
    shifted = [b"" if vr != b"TM" and _is_bygone(part, bygone) else _shift_value(vr, part, days) for part in told]
    return b"\\".join(shifted) if any(shifted) else b""


_shifted = lru_cache(CACHED)(_shift)


@lru_cache(CACHED)
def bygone_at(study_date: bytes) -> bytes:
    """The last day on which somebody over 89 at the study was born, YYYYMMDD; b"" when that cannot be told."""
    studied = _to_date(study_date.strip(PADDING))
    return b"%04d%02d%02d" % (max(studied.year - OLDEST - 1, 0), studied.month, studied.day) if studied else b""


def birth(raw: bytes, study_date: bytes, days: int) -> bytes:
    """The birth date, moved like all else, so that the age at study stays; b"" over 89, or when that cannot be told."""
    born, studied = _to_date(raw.strip(PADDING)), _to_date(study_date.strip(PADDING))
    if born is None or studied is None or _years(born, studied) > OLDEST:
        return b""
    return _moved(born, days)


def zone(raw: bytes) -> bytes:
    """Timezone Offset From UTC: whole days move no clock, so that of all times stays as that in each DT does; else b""."""
    offset = raw.strip(PADDING)
    return offset if _WHOLE_ZONE.fullmatch(offset) else b""


def age(raw: bytes) -> bytes:
    """AS: over 89 years as 090Y. Three digits of months, weeks or days never reach 89 years. Illegal values become empty."""
    ages = [_age_value(part.strip(PADDING)) for part in raw.split(b"\\")]
    return b"\\".join(ages) if any(ages) else b""


def years(raw: bytes) -> bytes:
    """DS, a number of years: 90 for more than 89. Illegal values become empty."""
    try:
        told = [b"90" if float(part) >= OLDEST + 1 else part for part in raw.strip(PADDING).split(b"\\")]
    except ValueError:
        return b""
    return b"\\".join(told)


@lru_cache(CACHED)
def over_89(birth_date: bytes, study_date: bytes, patient_age: bytes) -> bool:
    """Whether birth date and study date (DA), or the age (AS), say more than 89 completed years."""
    if age(patient_age) == b"090Y":
        return True
    born, studied = _to_date(birth_date.strip(PADDING)), _to_date(study_date.strip(PADDING))
    return born is not None and studied is not None and _years(born, studied) > OLDEST


def _is_bygone(value: bytes, bygone: bytes) -> bool:
    """A bare year or month counts where all of it is."""
    match = _BEGINNING.match(value) if bygone else None
    told = b"".join(filter(None, match.groups())) if match else b"9"
    return told <= bygone if len(told) == len(bygone) else told < bygone[: len(told)]


def _shift_value(vr: bytes, value: bytes, days: int) -> bytes:
    """One value; else a range (PS3.4 C.2.2.2.5), each end by itself. A hyphen may also begin a zone: whole values come first."""
    single = _SHIFTS.get(vr)
    if single is None:
        return b""
    value = _FINER.sub(rb"\1", value)
    shifted = single(value, days)
    if shifted or b"-" not in value or len(value) > LONGEST_RANGE:
        return shifted
    for hyphen in (match.start() for match in re.finditer(b"-", value)):
        ends = value[:hyphen], value[hyphen + 1 :]
        moved = [single(end, days) if end else b"" for end in ends]
        if any(moved) and all(bool(end) is bool(new) for end, new in zip(ends, moved, strict=True)):
            return b"-".join(moved)
    return b""


def _shift_day(value: bytes, days: int) -> bytes:
    day = _to_date(value)
    return _moved(day, days) if day else b""


def _shift_moment(value: bytes, days: int) -> bytes:
    """DT. A bare year or month moves as its middle does, which errs by half of it at the most (PS3.5 6.2)."""
    match = _MOMENT.fullmatch(value)
    if match is None:
        return b""
    told = match["day"]
    day = _to_date(told + b"20000701"[len(told) :] if len(told) == 4 else told + b"15"[: 8 - len(told)])
    moved = _moved(day, days)[: len(told)] if day else b""
    return moved + (match["clock"] or b"") + (match["zone"] or b"") if moved else b""


def _keep_time(value: bytes, days: int) -> bytes:
    """TM: the time of day stays; colons, as before DICOM 3.0, go (PS3.5 6.2)."""
    plain = value.replace(b":", b"") if _OLD_TIME.fullmatch(value) else value
    return plain if _TIME.fullmatch(plain) else b""


_SHIFTS = {b"DA": _shift_day, b"DT": _shift_moment, b"TM": _keep_time}


def _age_value(value: bytes) -> bytes:
    match = _AGE.fullmatch(value)
    if match is None:
        return b""
    return b"090Y" if match[2] == b"Y" and int(match[1]) > OLDEST else value


def _to_date(value: bytes) -> date | None:
    """YYYYMMDD, or yyyy.mm.dd as before DICOM 3.0; None for what is on no calendar."""
    old = _OLD_DAY.fullmatch(value)
    plain = b"".join(old.groups()) if old else value
    if _DAY.fullmatch(plain) is None:
        return None
    try:
        return date(int(plain[:4]), int(plain[4:6]), int(plain[6:]))
    except ValueError:
        return None


def _moved(day: date, days: int) -> bytes:
    """b"" before year 1 and after 9999."""
    try:
        return b"%04d%02d%02d" % date.fromordinal(day.toordinal() + days).timetuple()[:3]
    except (ValueError, OverflowError):
        return b""


def _years(born: date, day: date) -> int:
    """Completed years; who is born on 29 February is a year older on 1 March."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
