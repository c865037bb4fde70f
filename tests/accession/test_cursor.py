"""Where a poll starts: text and back, overlap, what moves the cursor and what does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accession import cursor
from gateway.accession.source import CursorValue
from gateway.errors import Retry

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()
VALUES = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))),
    st.dates(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.text(),
    st.binary(),
)


@given(VALUES)
def test_a_stored_cursor_comes_back_of_the_same_kind(value: CursorValue) -> None:
    back = cursor.from_text(cursor.to_text(value, "abc"), "abc")
    assert back == value
    assert back is not None
    assert cursor.kind(back) == cursor.kind(value)


@given(VALUES, st.floats(min_value=0, max_value=1e7))
def test_a_poll_never_starts_after_its_cursor(value: CursorValue, overlap: float) -> None:
    begin = cursor.start(value, overlap)
    assert begin is not None
    assert cursor.kind(begin) == cursor.kind(value)
    assert begin <= value  # type: ignore[operator]


@pytest.mark.parametrize(
    "text", [None, "", "abc", "abc|", "abc|int|x", "abc|what|1", "other|int|1", "abc|datetime|", "|"]
)
def test_what_cannot_be_read_starts_at_the_beginning(text: str | None) -> None:
    assert cursor.from_text(text, "abc") is None


@pytest.mark.catalogue("R2")
@pytest.mark.parametrize(
    ("value", "begin"),
    [
        (datetime(2026, 5, 4, 1, 0), datetime(2026, 5, 3, 23, 0)),
        (datetime(2026, 5, 4, 1, 0, tzinfo=UTC), datetime(2026, 5, 3, 23, 0, tzinfo=UTC)),
        (date(2026, 5, 4), date(2026, 5, 3)),
        (10_000, 2_800),
        (Decimal("10000.5"), Decimal("2800.5")),
        ("2026-05-04 01:00:00", "2026-05-03 23:00:00"),
        ("2026-05-04T01:00:00", "2026-05-03T23:00:00"),
        ("2026-05-04T01:00:00.250000", "2026-05-03T23:00:00.250000"),
        ("2026-05-04", "2026-05-03"),
        ("20260504010000", "20260503230000"),
        ("202605040100", "202605032300"),
        ("20260504", "20260503"),
        ("20260504010000  ", "20260503230000"),
        ("20260504010000.2500", "20260503230000"),  # HL7, DICOM
        ("20260504010000250", "20260503230000"),
        ("20260504010000.2500+0200", "20260503230000"),  # and what most of HL7 adds
        ("20260504010000-0500", "20260503230000"),
        ("202605040100+0200", "202605032300"),
        ("2026/05/04 01:00", "2026/05/03 23:00"),
        (20260504000500, 20260503220500),  # less 7200, it would be later than all that was dated yesterday
        (Decimal(20260504000500), Decimal(20260503220500)),
        (20260101, 20251231),
        (20261232, 20254032),
        ("99991231", "99991231"),
        ("order 77", "order 77"),
        (b"\x00\x01", b"\x00\x01"),
        (datetime.min, datetime.min),
        (None, None),
    ],
)
def test_overlap(value: CursorValue | None, begin: CursorValue | None) -> None:
    assert cursor.start(value, 7200.0) == begin


@pytest.mark.parametrize(
    ("newest", "seen", "kept"),
    [
        (None, 5, 5),
        (5, 7, 7),
        (7, 5, 7),
        (7, None, 7),
        (
            datetime(2026, 5, 3),
            datetime(2026, 5, 5, 8),
            datetime(2026, 5, 3),
        ),  # a zone ahead of ours is read again, no more
        (datetime(2026, 5, 3), datetime(2026, 5, 4), datetime(2026, 5, 4)),
        (datetime(2026, 5, 3, tzinfo=UTC), datetime(2026, 5, 4, 13, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)),
        (date(2026, 5, 3), date(2026, 5, 4), date(2026, 5, 4)),
        (date(2026, 5, 3), date(2099, 1, 1), date(2026, 5, 3)),
        (datetime(2026, 5, 4), datetime(2099, 1, 1), datetime(2026, 5, 4)),  # a slip of the pen
        ("2026-05-04 00:00:00", "2099-01-01 00:00:00", "2026-05-04 00:00:00"),
        ("20260504000000", "20990101000000", "20260504000000"),
        (None, datetime(2099, 1, 1, tzinfo=UTC), None),
        ("20260504", "20991231", "20260504"),  # an appointment, where the cursor is the day of the examination
        ("20260503", "20260504", "20260504"),
        ("20260504  ", "20991231  ", "20260504  "),
        ("2026-05-04  ", "2099-12-31  ", "2026-05-04  "),
        ("20260504000000.5", "20990101000000.5", "20260504000000.5"),
        ("20260504000000+0200", "20990101000000+0200", "20260504000000+0200"),
        ("202605040000+0200", "209901010000+0200", "202605040000+0200"),
        ("2026/05/04 00:00", "2099/01/01 00:00", "2026/05/04 00:00"),
        (20260504, 20991231, 20260504),
        (20260504000000, 20990101000000, 20260504000000),
        (20260504, 20261332, 20261332),  # no day: a number
        (5, Decimal("5.5"), Decimal("5.5")),
        (datetime(2026, 5, 3), "0000-00-00 00:00:00", datetime(2026, 5, 3)),  # MySQL
        (None, "0000-00-00", None),
        (5.5, 6, 6),
    ],
)
def test_what_moves_the_cursor(newest: CursorValue | None, seen: object, kept: CursorValue | None) -> None:
    assert cursor.newer(newest, seen, NOW) == kept


@pytest.mark.parametrize(
    ("newest", "seen"),
    [
        (5, "7"),
        ("7", datetime(2026, 5, 4)),
        (datetime(2026, 5, 4), datetime(2026, 5, 4, tzinfo=UTC)),
        (None, float("nan")),
        (None, Decimal("NaN")),
        (None, timedelta(hours=1)),
    ],
)
def test_a_cursor_of_another_type_is_a_changed_schema(newest: CursorValue | None, seen: object) -> None:
    with pytest.raises(Retry) as caught:
        cursor.newer(newest, seen, NOW)
    assert (caught.value.reason, caught.value.charge) == ("ris.schema", False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (datetime(2026, 5, 4, 11, 59, tzinfo=UTC), 60.0),
        (datetime(2026, 5, 4, 12, 30, tzinfo=UTC), 0.0),
        (datetime.fromtimestamp(NOW - 90), 90.0),
        (datetime.fromtimestamp(NOW - 90).strftime("%Y-%m-%d %H:%M:%S"), 90.0),
        (int(datetime.fromtimestamp(NOW - 90).strftime("%Y%m%d%H%M%S")), 90.0),
        ("order 77", None),
        ("2026-order", None),
        (77, None),
        (date(2026, 5, 4), None),
        (None, None),
    ],
)
def test_lag(value: CursorValue | None, seconds: float | None) -> None:
    assert cursor.lag(value, NOW) == seconds
