"""Windows in the PACS's own time, over both changes of the clock; and when so much open time has passed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cmove.windows import Calendar, calendar, last_start
from gateway.settings import read_window

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")


def made(*windows: str, zone: str = "Europe/Berlin") -> Calendar:
    return calendar(map(read_window, windows), partial(datetime.fromtimestamp, tz=ZoneInfo(zone)))


def at(text: str, fold: int = 0) -> float:
    """Epoch seconds of a date and time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


NIGHTS = made("Mon-Fri 19:00-06:00", "Sat,Sun 00:00-24:00")


@pytest.mark.catalogue("M18")
@pytest.mark.parametrize(
    ("when", "open_"),
    [
        ("2026-11-26 18:59:59", False), ("2026-11-26 19:00:00", True), ("2026-11-27 05:59:59", True),
        ("2026-11-27 06:00:00", False), ("2026-11-28 00:00:00", True), ("2026-11-28 12:00:00", True),
        ("2026-11-29 23:59:59", True), ("2026-11-30 00:00:00", False), ("2026-11-30 12:00:00", False),
    ],
)  # fmt: skip
def test_m18_nights_and_week_ends(when: str, open_: bool) -> None:
    assert NIGHTS.is_open(at(when)) is open_


@pytest.mark.catalogue("M18")
def test_m18_the_clock_on_the_wall_counts_in_both_nights_that_change_it() -> None:
    early = made("Sun 02:30-04:00")
    assert early.next_change(at("2026-03-29 00:00")) == at("2026-03-29 03:00"), (
        "02:30 does not exist: it opens at 03:00"
    )
    assert early.next_change(at("2026-03-29 03:00")) == at("2026-03-29 04:00")
    assert early.next_change(at("2026-10-25 01:00")) == at("2026-10-25 02:30")
    again = at("2026-10-25 02:00", fold=1)
    assert early.is_open(again - 60) and not early.is_open(again), "02:00 comes a second time"
    assert early.next_change(again) == at("2026-10-25 02:30", fold=1)
    assert made("Sun 02:00-03:00").next_change(at("2026-03-28 12:00")) == at("2026-04-05 02:00"), (
        "no such hour that day"
    )


def test_it_is_the_time_of_the_pacs_not_ours() -> None:
    assert made("Mon-Sun 19:00-06:00", zone="Asia/Kathmandu").is_open(
        datetime(2026, 7, 1, 13, 15, tzinfo=UTC).timestamp()
    )
    assert not made("Mon-Sun 19:00-06:00", zone="UTC").is_open(datetime(2026, 7, 1, 13, 15, tzinfo=UTC).timestamp())


def test_no_window_is_always_open() -> None:
    assert made().is_open(0.0)
    assert made().next_change(0.0) is None
    assert made("Mon-Sun 00:00-24:00").next_change(at("2026-11-26 12:00")) is None


def test_open_time_only_is_counted() -> None:
    assert NIGHTS.after(at("2026-11-26 12:00"), 3600.0) == at("2026-11-26 20:00")
    assert NIGHTS.after(at("2026-11-26 12:00"), 12 * 3600.0) == at("2026-11-27 20:00")
    assert NIGHTS.after(at("2026-11-26 20:00"), 0.0) == at("2026-11-26 20:00")
    assert made("Mon 00:00-00:01").after(at("2026-11-26 12:00"), 86400.0) is None
    never = Calendar(b"\0" * (7 * 1440 + 15), partial(datetime.fromtimestamp, tz=UTC))
    assert never.after(0.0, 1.0) is None


def test_nothing_begins_that_the_end_would_cut_short() -> None:
    assert last_start(0.0, 3600.0, 30.0) == 3570.0
    assert last_start(0.0, 36000.0, 7200.0) == 36000.0 - 600.0
    assert last_start(0.0, 600.0, 7200.0) == 300.0, "a short window is used all the same"


DAYS = st.sampled_from(["Mon", "Tue", "Wed-Thu", "Fri", "Sat,Sun", "Sun-Tue"])
TIMES = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda t: t[0] != t[1])


@settings(max_examples=20)
@given(
    st.lists(st.tuples(DAYS, TIMES), min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_the_next_change_is_the_first_minute_that_differs(
    windows: list[tuple[str, tuple[int, int]]], zone: str, moment: datetime
) -> None:
    found = made(*(f"{d} {s // 60:02}:{s % 60:02}-{e // 60:02}:{e % 60:02}" for d, (s, e) in windows), zone=zone)
    now = moment.replace(tzinfo=UTC, microsecond=0).timestamp()
    minutes = (now // 60 * 60 + 60 * n for n in range(1, 15 * 1440 - 15))
    assert found.next_change(now) == next((m for m in minutes if found.is_open(m) != found.is_open(now)), None)
