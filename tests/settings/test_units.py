"""Durations, sizes, rates and schedules: everything people write comes out as meant, everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import Cron, read_schedule, units

NUMBERS = st.integers(0, 999_999_999)
PARTS = st.integers(0, 999)


@given(st.integers(0, 3650), st.sampled_from(sorted(units.SECONDS)), st.sampled_from(["", " "]))
def test_duration(number: int, unit: str, space: str) -> None:
    assert units.duration(f"{number}{space}{unit}") == number * units.SECONDS[unit]


@given(NUMBERS, PARTS, st.sampled_from(sorted(units.FACTORS)))
def test_size(number: int, part: int, unit: str) -> None:
    exact = (number + Fraction(part, 1000)) * units.FACTORS[unit]
    assert abs(units.size(f"{number}.{part:03} {unit}") - exact) <= 1 + exact / 2**50


@given(st.integers(1, 999_999_999), st.sampled_from(sorted(units.FACTORS)))
def test_rate(number: int, unit: str) -> None:
    assert units.rate(f"{number} {unit}/s") == float(number * units.FACTORS[unit])


def outcome(read: Callable[[str], float], text: str) -> float | str:
    try:
        return read(text)
    except ValueError as err:
        return str(err)


@given(st.text(max_size=12))
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    for read, allowed in ((units.duration, units.DURATION), (units.size, units.SIZE), (units.rate, units.RATE)):
        found = outcome(read, text)
        assert found == allowed or (not isinstance(found, str) and found >= 0)


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5x", "-5m", "5  m", " 5m", "5m ", "1h30m", "1e3s", "\u0665m", "inf", "5M", "1.2.3s", "3651d"],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="a duration in quotes"):
        units.duration(text)


@pytest.mark.parametrize("text", ["5", "5 gib", "5 Gb", "5 GiB/s", "-5 GB", "five GB", "5 MiBs"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="a size in quotes"):
        units.size(text)


@pytest.mark.parametrize("text", ["5 MiB", "0 MiB/s", "MiB/s", "5 MiB/s/s", "5 MiB/m"])
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="a rate in quotes"):
        units.rate(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("30s", 30.0),
        ("* * * * *", Cron("*", "*", "*", "*", "*")),
        ("*/20 0-4/2,22 1 jan-mar *", Cron("0,20,40", "0,2,4,22", "1", "1,2,3", "*")),
        ("0 6 * * 1-5", Cron("0", "6", "*", "*", "mon,tue,wed,thu,fri")),
        ("0 6 * * 0", Cron("0", "6", "*", "*", "sun")),
        ("0 6 * * 7", Cron("0", "6", "*", "*", "sun")),
        ("0 6 * * FRI-SUN", Cron("0", "6", "*", "*", "sun,fri,sat")),
        ("0 6 29 feb 0-7", Cron("0", "6", "29", "2", "*")),
    ],
)
def test_schedule(text: str, read: float | Cron) -> None:
    assert read_schedule(text) == read


@pytest.mark.parametrize(
    "text",
    ["", "0.5s", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *",
     "* * * * 8", "5-1 * * * *", "*/0 * * * *", "5/10 * * * *", "1,,2 * * * *", "x * * * *", "* * * mon *", "* * * * jan",
     "-1 * * * *", "* * * * mon-", "0 0 30 feb *", "0 0 31 4,6,9,11 *", "0 0 1 * mon", "\u0661 * * * *"],
)  # fmt: skip
def test_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=r"cron|this schedule never runs"):
        read_schedule(text)
