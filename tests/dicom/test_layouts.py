"""UIDs by the layout of instances before: never another answer than from reading the elements."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.dicom import layouts
from gateway.dicom.layouts import EACH, MOST, Layouts
from gateway.dicom.part10 import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Ids, peek
from gateway.errors import Refused
from tests.dicom.test_part10 import ENCODINGS, encoded, nasty

PLAIN = sorted({EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE})


def image(number: int, *, series: str = "2.25.2", undefined: bool = True) -> Dataset:
    ds = nasty(undefined)
    ds.AdditionalPatientHistory = "short"
    ds.SOPInstanceUID, ds.SeriesInstanceUID = f"2.25.{1000 + number}", series
    ds.ContentTime, ds.PatientID = f"{number:06}", "PID-1"
    return ds


def outcome(look: Layouts | None, data: bytes, syntax: str) -> object:
    """The UIDs and the patient's ID, or why not."""
    try:
        found = look.peek(data, syntax) if look else peek(data, syntax)
        return found, found.PatientID
    except Refused as err:
        return err.reason


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", PLAIN)
def test_the_next_of_a_series_is_not_walked_through(syntax: str, undefined: bool) -> None:
    look = Layouts()
    first, second = (encoded(image(n, undefined=undefined), syntax) for n in (1, 2))
    assert look.peek(first, syntax).SOPInstanceUID == "2.25.1001"
    with patch.object(layouts, "find_ids", side_effect=AssertionError), patch.object(layouts, "peek", None):
        found = look.peek(memoryview(second), syntax)
    assert found == Ids("2.25.1", "2.25.2", "2.25.1002") and found.PatientID == "PID-1"


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_what_is_laid_out_in_another_way_is_read_itself(syntax: str) -> None:
    look = Layouts()
    for data in (image(1), image(2, undefined=False), image(3, series="2.25.20"), nasty(True), image(4)):
        raw = encoded(data, syntax)
        assert outcome(look, raw, syntax) == outcome(None, raw, syntax)
        for said in PLAIN:  # as a sender that says another encoding
            assert outcome(look, raw, said) == outcome(None, raw, said)


@given(
    syntax=st.sampled_from(PLAIN),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 700),
)
@example(syntax=EXPLICIT_LE, changes=[], cut=300)
def test_whatever_differs_the_answer_is_the_same(syntax: str, changes: list[tuple[int, int]], cut: int) -> None:
    look, raw = Layouts(), bytearray(encoded(image(1), syntax))
    for each in (image(1), image(2, undefined=False)):
        look.peek(encoded(each, syntax), syntax)
    for at, value in changes:
        raw[at % len(raw)] = value
    for data in (bytes(raw), bytes(raw[: len(raw) - cut])):
        assert outcome(look, data, syntax) == outcome(None, data, syntax)


def test_it_remembers_few() -> None:
    look = Layouts()
    for length in range(EACH + 3):
        look.peek(encoded(image(1, series="2.25." + "2" * 2 * length + "1"), EXPLICIT_LE), EXPLICIT_LE)
    assert len(look._known[EXPLICIT_LE]) == EACH
    other = Layouts()
    assert other.peek(encoded(nasty(True), EXPLICIT_LE), EXPLICIT_LE) and not other._known, f"its head is beyond {MOST}"
