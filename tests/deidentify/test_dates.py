"""Dates move by whole days, the same for one patient, and nothing illegal comes out."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deidentify.dates import FARTHEST, NEAREST, _shifted, age, birth, offset_days, over_89, shift, zone

KEY = bytes(range(32))


def test_the_offset_is_the_patients_and_the_keys() -> None:
    offsets = {offset_days(KEY, b"P%d" % n) for n in range(3000)}
    assert min(offsets) >= -FARTHEST and max(offsets) <= -NEAREST
    assert len(offsets) > 1500  # spread, not a few
    assert min(offsets) < -3600 and max(offsets) > -80
    assert offset_days(KEY, b"P1") == offset_days(KEY, b" P1 \0") == offset_days(KEY, b"P1")
    assert offset_days(KEY, b"P1") != offset_days(bytes(32), b"P1")


def test_the_offset_is_the_same_after_every_restart() -> None:
    assert offset_days(KEY, b"P1") == OFFSET_OF_P1


OFFSET_OF_P1 = -485


@pytest.mark.parametrize(
    ("vr", "raw", "days", "expected"),
    [
        (b"DA", b"20240301", -1, b"20240229"),
        (b"DA", b"20230301", -1, b"20230228"),
        (b"DA", b"20240101", -1, b"20231231"),
        (b"DA", b"20231231", 1, b"20240101"),
        (b"DA", b"19000301", -1, b"19000228"),
        (b"DA", b"20000301", -366, b"19990301"),
        (b"DA", b"2024.03.01", -1, b"20240229"),
        (b"DA", b"20240301\0", -1, b"20240229"),
        (b"DA", b" 20240301 ", -1, b"20240229"),
        (b"DA", b"20240301\\20240302 ", -1, b"20240229\\20240301"),
        (b"DA", b"20240301\\\\bad\\20240302", -1, b"20240229\\\\\\20240301"),
        (b"DA", b"20240301-20240310", -1, b"20240229-20240309"),
        (b"DA", b"20240301-", -1, b"20240229-"),
        (b"DA", b"-20240301", -1, b"-20240229"),
        (b"DA", b"00010101", -1, b""),
        (b"DA", b"00010102", -1, b"00010101"),
        (b"DA", b"99991231", 1, b""),
        (b"DA", b"20240301", -(10**12), b""),
        (b"DT", b"20240301120000.123456+0100", -1, b"20240229120000.123456+0100"),
        (b"DT", b"20240301235959", -1, b"20240229235959"),
        (b"DT", b"20240301000000-0500", -1, b"20240229000000-0500"),
        (b"DT", b"20240301-0500", -1, b"20240229-0500"),
        (b"DT", b"2024030112", -1, b"2024022912"),
        (b"DT", b"202403011230", -1, b"202402291230"),
        (b"DT", b"20240301123060", -1, b"20240229123060"),
        (b"DT", b"202403", -31, b"202402"),
        (b"DT", b"202403", -1, b"202403"),
        (b"DT", b"2024", -366, b"2023"),
        (b"DT", b"2024", -30, b"2024"),
        (b"DT", b"2024+0100", -366, b"2023+0100"),
        (b"DT", b"2023-2025", -366, b"2022-2024"),
        (b"DT", b"20240301-20240310", -1, b"20240229-20240309"),
        (b"DT", b"20240301-0500-20240310-0500", -1, b"20240229-0500-20240309-0500"),
        (b"DT", b"20240301-", -1, b"20240229-"),
        (b"TM", b"235959.999999", -1, b"235959.999999"),
        (b"DT", b"20240301120000.1234567+0100", -1, b"20240229120000.123456+0100"),
        (b"TM", b"120000.1234567", -1, b"120000.123456"),
        (b"TM", b"12:34:56.1234567", -1, b"123456.123456"),
        (b"TM", b"12 ", -1, b"12"),
        (b"TM", b"12:34:56.7", -1, b"123456.7"),
        (b"TM", b"1200-1300", -1, b"1200-1300"),
        (b"TM", b"12\\13", -1, b"12\\13"),
        (b"DA", b"", -1, b""),
        (b"DT", b"  ", -1, b""),
    ],
)
def test_shift(vr: bytes, raw: bytes, days: int, expected: bytes) -> None:
    assert shift(vr, raw, days) == expected


@pytest.mark.parametrize("raw", [b"+0100", b"-0500", b"+0545", b"-0930", b"+0000", b"+1400", b" +0100 ", b"+0100\0"])
def test_the_zone_of_all_times_stays_as_that_of_each_does(raw: bytes) -> None:
    assert zone(raw) == raw.strip(b" \0")
    assert shift(b"DT", b"20240301120000" + zone(raw), -1) == b"20240229120000" + zone(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"0100", b"+1500", b"+0160", b"+01:00", b"CET", b"Meier", b"+0100 Meier", b"+0100\\+0200"]
)
def test_what_is_no_zone_becomes_empty(raw: bytes) -> None:
    assert zone(raw) == b""


@pytest.mark.parametrize(
    ("vr", "raw"),
    [
        (b"DA", b"20240230"),
        (b"DA", b"2020.02.30"),
        (b"DA", b"20241301"),
        (b"DA", b"00000101"),
        (b"DA", b"2024"),
        (b"DA", b"202403"),
        (b"DA", b"2024-03-01"),
        (b"DA", b"20240301120000"),
        (b"DA", b"Roe^Jane"),
        (b"DA", b"20240301 Roe"),
        (b"DA", b"-"),
        (b"DA", b"20240301-bad"),
        (b"DA", b"bad-20240301"),
        (b"DA", "٢٠٢٤٠٣٠١".encode()),
        (b"DT", b"20240230120000"),
        (b"DT", b"2024031"),
        (b"DT", b"20240301240000"),
        (b"DT", b"20240301126000"),
        (b"DT", b"20240301120061"),
        (b"DT", b"20240301120000."),
        (b"DT", b"20240301120000.1234567890123"),
        (b"DT", b"20240301120000+9900"),
        (b"DT", b"202413"),
        (b"DT", b"20240301T120000"),
        (b"DT", b"Roe"),
        (b"TM", b"2400"),
        (b"TM", b"1260"),
        (b"TM", b"1"),
        (b"TM", b"12:60"),
        (b"TM", b"Roe"),
        (b"LO", b"20240301"),
    ],
)
def test_what_is_no_date_becomes_empty(vr: bytes, raw: bytes) -> None:
    assert shift(vr, raw, -100) == b""


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.binary())
def test_intervals_stay(first: date, second: date, patient: bytes) -> None:
    days = offset_days(KEY, patient)
    moved = [shift(b"DA", day.strftime("%Y%m%d").encode(), days).decode() for day in (first, second)]
    one, two = (date.fromisoformat(text) for text in moved)
    assert two - one == second - first
    assert one - first == timedelta(days=days)


@given(st.sampled_from([b"DA", b"DT", b"TM"]), st.binary(max_size=40), st.integers(-3650, -30))
def test_only_legal_characters_come_out(vr: bytes, raw: bytes, days: int) -> None:
    assert re.fullmatch(rb"[0-9.+\-\\]*", shift(vr, raw, days))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"045Y", b"045Y"),
        (b"089Y", b"089Y"),
        (b"090Y", b"090Y"),
        (b"091Y", b"090Y"),
        (b"104Y ", b"090Y"),
        (b"999M", b"999M"),
        (b"999W", b"999W"),
        (b"003D\0", b"003D"),
        (b"045Y\\101Y", b"045Y\\090Y"),
        (b"95Y", b""),
        (b"95", b""),
        (b"095y", b""),
        (b"1090M", b""),
        (b"Roe", b""),
        (b"", b""),
    ],
)
def test_age(raw: bytes, expected: bytes) -> None:
    assert age(raw) == expected


@pytest.mark.parametrize(
    ("born", "studied", "expected"),
    [
        (b"19500615", b"20240614", b"19490615"),
        (b"1950.06.15", b"2024.06.14", b"19490615"),
        (b"19340302", b"20240301", b"19330302"),  # 89 years and 364 days
        (b"19340301", b"20240301", b""),  # 90 today
        (b"19200101", b"20240301", b""),
        (b"19500615", b"", b""),
        (b"19500615", b"20249999", b""),
        (b"1950", b"20240301", b""),
        (b"Roe", b"20240301", b""),
    ],
)
def test_birth(born: bytes, studied: bytes, expected: bytes) -> None:
    assert birth(born, studied, -365) == expected


@pytest.mark.parametrize(
    ("born", "studied", "patient_age", "expected"),
    [
        (b"19340301", b"20240301", b"", True),
        (b"19340302", b"20240301", b"", False),
        (b"19320229", b"20220228", b"", False),
        (b"19320229", b"20220301", b"", True),
        (b"", b"20240301", b"095Y", True),
        (b"", b"", b"090Y", True),
        (b"", b"", b"089Y", False),
        (b"19500101", b"20240301", b"091Y", True),
        (b"19200101", b"", b"", False),
        (b"bad", b"20240301", b"bad", False),
    ],
)
def test_over_89(born: bytes, studied: bytes, patient_age: bytes, expected: bool) -> None:
    assert over_89(born, studied, patient_age) is expected


@pytest.mark.parametrize("vr", [b"DA", b"DT", b"TM"])
def test_a_megabyte_of_hyphens_takes_no_time_and_is_not_remembered(vr: bytes) -> None:
    """Implicit VR has no limit of length; each hyphen might divide a range."""
    began, remembered = time.process_time(), _shifted.cache_info().currsize
    assert shift(vr, b"-" * (1 << 20), -100) == b""
    assert time.process_time() - began < 2 and _shifted.cache_info().currsize == remembered
