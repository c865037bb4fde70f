"""Every row becomes a request or is set aside with a reason; nothing else can happen."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accession.rows import DATE_FORMS, DATES, Seen, admit, sort_out, study_date
from gateway.accession.source import Row
from gateway.model import MAX_ACCESSION_LENGTH, SetAside, Wanted

ANYTHING = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.booleans(),
)
ROWS = st.dictionaries(st.sampled_from(["accession_number", "patient_id", "study_date", "modality", "other"]), ANYTHING)


@pytest.mark.catalogue("R6")
@given(ROWS)
def test_whatever_a_driver_gives_is_decided(row: dict[str, object]) -> None:
    one = admit("chest", row)
    if isinstance(one, SetAside):
        assert one.reason.startswith("accession.")
        return
    assert isinstance(row["accession_number"], str)
    value = one.accession.value
    assert 0 < len(value) <= MAX_ACCESSION_LENGTH
    assert not set(value) & set("*?\\\r\n\t\0\ufffd\u00a0\u200b")
    assert one.study_date == "" or (len(one.study_date) == 8 and one.study_date.isdigit())


PRINTABLE = st.characters(exclude_characters="*?\\", min_codepoint=33, max_codepoint=126)


@given(st.text(PRINTABLE, min_size=9, max_size=64))
def test_a_plain_number_is_wanted_and_never_shown(text: str) -> None:
    one = admit("chest", {"accession_number": f"  {text}\u00a0\u200b", "patient_id": "SYN-PID-1"})
    if isinstance(one, SetAside):
        assert one.reason == "accession.not-text"  # 1.2E+9
    else:
        assert one.accession.value == text
        assert one.patient_id == "SYN-PID-1"
    assert text not in repr(one)
    assert "SYN-PID-1" not in repr(one)


@pytest.mark.catalogue("R6", "R7", "F2")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "accession.null"),
        ("", "accession.blank"),
        ("   ", "accession.blank"),
        ("\u00a0\u200b", "accession.blank"),
        ("A" * 65, "accession.too-long"),
        ("A10*", "accession.wildcard"),
        ("A1?0", "accession.wildcard"),
        ("A100\\A101", "accession.wildcard"),
        ("A1\t00", "accession.control-character"),
        ("A100\r\n", "accession.control-character"),
        ("A1\x8500", "accession.control-character"),  # CP1252 read as Latin-1
        ("A1\ufffd00", "accession.encoding"),
        ("A1\u00a000", "accession.encoding"),
        (1234, "accession.not-text"),
        (1234.0, "accession.not-text"),
        (Decimal("1234"), "accession.not-text"),
        (True, "accession.not-text"),
        (b"A100", "accession.not-text"),
        (dt.date(2026, 5, 3), "accession.not-text"),
        ("1.2E+9", "accession.not-text"),
        ("1,20345E+09", "accession.not-text"),
    ],
)
def test_why_a_row_is_set_aside(value: object, reason: str) -> None:
    one = admit("chest", {"accession_number": value})
    assert isinstance(one, SetAside)
    assert one.reason == reason
    assert value is None or not str(value).strip() or str(value) not in repr(one)


def test_a_row_without_the_column_is_set_aside() -> None:
    assert admit("chest", {}) == SetAside("chest", "", "accession.null")


def test_set_aside_text_is_what_a_person_would_type() -> None:
    one = admit("chest", {"accession_number": "A10*    "})
    assert isinstance(one, SetAside)
    assert one.text == "A10*"


@pytest.mark.catalogue("R6", "R8", "F2")
@pytest.mark.parametrize("text", ["A100", "A100      ", "\u200bA100", " A100\0\0"])
def test_padding_is_stripped(text: str) -> None:
    one = admit("chest", {"accession_number": text})
    assert isinstance(one, Wanted)
    assert one.accession.value == "A100"


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (dt.date(2026, 5, 3), "20260503"),
        (dt.datetime(2026, 5, 3, 10, 11), "20260503"),
        ("20260503", "20260503"),
        (20260503, "20260503"),
        (Decimal("20260503"), "20260503"),  # numeric(8) of PostgreSQL, NUMBER(8) of Oracle
        (20260503.0, "20260503"),
        ("20260503101112", "20260503"),
        ("2026-05-03", "20260503"),
        ("2026-05-03T10:11:12Z", "20260503"),
        (" 2026-05-03 10:11:12.5 ", "20260503"),
        ("2026/05/03", "20260503"),
        ("3.5.2026", "20260503"),
        ("03.05.2026", "20260503"),
        ("05/03/2026", ""),  # May or March: not guessed
        ("20143822", ""),
        ("0000-00-00", ""),
        ("١٢٣٤٠٥٠٣", ""),
        (dt.date(1, 1, 1), ""),  # the "no date" of some databases
        (None, ""),
        ("", ""),
        (2026.5, ""),
    ],
)
def test_study_date(value: object, day: str) -> None:
    assert study_date(value) == day


def test_the_forms_that_people_are_told_are_understood() -> None:
    told = DATES.split(", ")
    assert len(told) == len(DATE_FORMS)
    assert {study_date(form) for form in told} == {"20260503"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  P 1\u00a0", "P 1"),
        ("0012", "0012"),
        (12, "12"),
        (12.0, "12"),
        (Decimal("12"), "12"),
        (12.5, ""),
        (float("nan"), ""),
        (Decimal("Infinity"), ""),
        (None, ""),
        (b"12", ""),
    ],
)
def test_patient_id(value: object, text: str) -> None:
    one = admit("chest", {"accession_number": "A1", "patient_id": value})
    assert isinstance(one, Wanted)
    assert one.patient_id == text


@pytest.mark.parametrize(("value", "text"), [("ct ", "CT"), ("CT\\PR", ""), (None, ""), (3, ""), ("X" * 17, "")])
def test_modality(value: object, text: str) -> None:
    one = admit("chest", {"accession_number": "A1", "modality": value})
    assert isinstance(one, Wanted)
    assert one.modality == text


@pytest.mark.catalogue("R6")
def test_duplicates_collapse_across_batches() -> None:
    seen = Seen()
    rows: list[Row] = [{"accession_number": an} for an in ("A1", "A1 ", None, None, "A*", "A*", "A2")]
    first = sort_out((admit("chest", row) for row in rows), seen)
    assert [one.accession.value for one in first.wanted] == ["A1", "A2"]
    assert [one.reason for one in first.aside] == ["accession.null", "accession.wildcard"]
    again = sort_out((admit("chest", row) for row in [*rows, {"accession_number": "A3"}]), seen)
    assert [one.accession.value for one in again.wanted] == ["A3"]
    assert again.aside == ()


@pytest.mark.catalogue("R11")
def test_a_study_uid_of_the_ris_is_not_believed() -> None:
    """Nor any other column beyond the known ones: they are never asked for, stored or shown."""
    row: dict[str, object] = {"accession_number": "SYN-1", "study_date": "20240503"}
    assert admit("chest", {**row, "study_instance_uid": "1.2.3.4", "StudyInstanceUID": 7}) == admit("chest", row)


def test_a_nul_within_a_patient_id_hides_nothing_that_differs() -> None:
    """A column of bytes that was filled with structures may have some."""
    rows = [{"accession_number": "A1", "patient_id": "P\0X", "modality": modality} for modality in ("CT", "PT")]
    (told,) = sort_out((admit("p", row) for row in rows), Seen()).told
    assert (told.patient_id, told.modality) == ("P\0X", "")


@pytest.mark.catalogue("R5")
def test_r5_the_issuer_tells_two_sites_apart() -> None:
    rows = [{"accession_number": "4711", "accession_issuer": issuer} for issuer in (" NORTH ", "SOUTH", None, "NORTH")]
    wanted = sort_out((admit("p", row) for row in rows), Seen()).wanted
    assert [w.issuer for w in wanted] == ["NORTH", "SOUTH", ""]
    assert "NORTH" not in repr(wanted)
