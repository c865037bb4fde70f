"""What the options do to whole instances: dates, ages, texts, devices, institutions, safe private elements."""

from __future__ import annotations

import csv
import io
import struct
from datetime import date
from importlib.resources import files

import pydicom
import pytest

from gateway.deidentify.cleaner import Cleaner, make_cleaner, troubled
from gateway.deidentify.options import FULL_DATES, MODIFIED_DATES
from gateway.model import Dropped, Held, Kept, Outcome
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write


def applying(*options: str, crosswalk: dict[bytes, bytes] | None = None) -> Cleaner:
    settings = Deidentify(options=options)
    return make_cleaner(project="alpha", deidentify=settings, instance_rule=None, key=KEY, crosswalk=crosswalk)


def cleaned(cleaner: Cleaner, elements: list[Element], syntax: str = "explicit") -> pydicom.Dataset:
    result = cleaner.clean(write(elements, syntax), SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept | Held), result
    return pydicom.dcmread(io.BytesIO(b"".join(result.parts)))


def day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


DATED = with_(
    base(),
    Element(0x00080021, "DA", b"20240318"),
    Element(0x0008002A, "DT", b"20240317235959.5"),
    Element(0x00080030, "TM", b"235959"),
    Element(0x00101010, "AS", b"076Y"),
    Element(0x00540016, "SQ", ((Element(0x00181078, "DT", b"20240317230000"),),)),
)


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_dates_move_together_wherever_they_stand(syntax: str) -> None:
    ds = cleaned(applying(MODIFIED_DATES, "retain-patient-characteristics"), DATED, syntax)
    moved = day(ds.StudyDate) - date(2024, 3, 17)
    assert moved.days != 0 and ds.LongitudinalTemporalInformationModified == "MODIFIED"
    assert day(ds.SeriesDate) - day(ds.StudyDate) == date(2024, 3, 18) - date(2024, 3, 17)
    assert day(ds.AcquisitionDateTime) == day(ds.StudyDate) and ds.AcquisitionDateTime.endswith("235959.5")
    injected = ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
    assert day(injected) == day(ds.StudyDate) and injected.endswith("230000")
    assert ds.StudyTime == "235959" and ds.PatientAge == "076Y"


def test_each_patient_has_a_shift_of_its_own() -> None:
    cleaner = applying(MODIFIED_DATES)
    first = cleaned(cleaner, DATED).StudyDate
    other = cleaned(cleaner, with_(DATED, Element(0x00100020, "LO", b"PX-999888"))).StudyDate
    assert first != other and first == cleaned(applying(MODIFIED_DATES), DATED).StudyDate


def test_full_dates_stay_but_the_birth_date_does_not() -> None:
    ds = cleaned(applying(FULL_DATES), DATED)
    assert (ds.StudyDate, ds.SeriesDate, ds.PatientBirthDate) == ("20240317", "20240318", "")
    assert ds.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_without_an_option_no_date_stays() -> None:
    ds = cleaned(applying(), DATED)
    assert ds.StudyDate == "" and "SeriesDate" not in ds and "PatientAge" not in ds


@pytest.mark.parametrize(("born", "told"), [(b"19470822", "076Y"), (b"19301122", "090Y")])
def test_ages_above_89_are_one_class(born: bytes, told: str) -> None:
    years = b"%03dY" % (2024 - int(born[:4]) - 1)
    ds = cleaned(
        applying("retain-patient-characteristics"),
        with_(DATED, Element(0x00100030, "DA", born), Element(0x00101010, "AS", years)),
    )
    assert ds.PatientAge == told


def code(value: bytes) -> tuple[Element, ...]:
    return Element(0x00080100, "SH", value), Element(0x00080102, "SH", b"UCUM")


def measured(number: bytes, unit: bytes, *, undefined: bool = False) -> Element:
    """A content item that says so many of a unit (PS3.3 C.18.1)."""
    value = (
        Element(0x004008EA, "SQ", (code(unit),), undefined),
        Element(0x0040A161, "FD", struct.pack("<d", float(number))),
        Element(0x0040A30A, "DS", number),
    )
    return Element(0x0040A730, "SQ", ((Element(0x0040A300, "SQ", (value,), undefined),),) * 3, undefined)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("number", "unit", "told"),
    [
        (b"96", b"a", "90"),
        (b"104.5", b"a_j", "90"),
        (b"96", b"Years", "90"),
        (b"96", b"258707000", "90"),
        (b"89", b"a", "89"),
        (b"96", b"/min", "96"),
        (b"960", b"mo", "960"),
    ],
)
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_years_above_89_are_one_class_in_a_report_too(
    syntax: str, number: bytes, unit: bytes, told: str, undefined: bool
) -> None:
    elements = with_(base(), measured(number, unit, undefined=undefined))
    for item in cleaned(applying(), elements, syntax)[0x0040A730].value:
        value = item[0x0040A300].value[0]
        assert value[0x0040A30A].value == float(told) and (0x0040A161 in value) == (unit in (b"/min", b"mo"))


def test_what_is_measured_in_years_is_told_by_its_own_unit() -> None:
    items: list[tuple[Element, ...]] = []
    for unit in (b"mm", b"mm", b"mm", b"a", b"mm"):
        value = measured(b"96", unit).value
        assert isinstance(value, tuple)
        items.append(value[0])
    found = cleaned(applying(), with_(base(), Element(0x0040A730, "SQ", tuple(items))))[0x0040A730].value
    assert [item[0x0040A300].value[0][0x0040A30A].value for item in found] == [96, 96, 96, 90, 96]


def test_no_day_above_89_years_before_the_study_is_told() -> None:
    born = [Element(0x0040A121, "DA", day) for day in (b"19340317", b"19340318", b"1934.03.17", b"20240318")]
    born += [Element(0x0040A120, "DT", day) for day in (b"193403170800", b"1933", b"1934")]
    content = Element(0x0040A730, "SQ", tuple((element,) for element in born))
    found = cleaned(applying(MODIFIED_DATES), with_(DATED, content))[0x0040A730].value
    assert [bool(next(iter(item)).value) for item in found] == [False, True, False, True, False, False, True]


KEPT_BY = {
    "retain-device-identity": Element(0x00181000, "LO", b"SN-0815-4711"),
    "retain-institution-identity": Element(0x00080080, "LO", b"Quellenhof Klinikum"),
    "retain-patient-characteristics": Element(0x00101030, "DS", b"71.5"),
}


@pytest.mark.parametrize("option", KEPT_BY)
def test_what_an_option_keeps_stays_with_it_alone(option: str) -> None:
    planted = KEPT_BY[option]
    assert isinstance(planted.value, bytes)
    for options in KEPT_BY:
        value = cleaned(applying(options), with_(base(), planted)).get(planted.tag)
        assert (value is not None and str(value.value) == planted.value.decode()) == (options == option)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_retained_uids_are_those_of_the_input(syntax: str) -> None:
    elements = base() if syntax != "big" else [e for e in base() if e.vr != "US"]
    elements = [e for e in elements if e.tag != 0x7FE00010]
    ds = cleaned(applying("retain-uids"), elements, syntax)
    before = {e.tag: e.value for e in base()}
    for tag in (0x00080018, 0x0020000D, 0x0020000E):
        assert str(ds[tag].value).encode() == before[tag]
    assert str(ds.file_meta.MediaStorageSOPInstanceUID) == ds.SOPInstanceUID


def test_a_text_keeps_its_words_and_loses_the_patients() -> None:
    described = with_(base(), Element(0x00081030, "LO", b"CT Thorax Quastenberg PX-774411 routine"))
    ds = cleaned(applying("clean-descriptors"), described)
    assert "Thorax" in ds.StudyDescription and "routine" in ds.StudyDescription
    assert "Quastenberg" not in ds.StudyDescription and "774411" not in ds.StudyDescription
    assert "StudyDescription" not in cleaned(applying(), described)


def test_content_items_keep_their_values_under_clean_structured_content() -> None:
    item = (
        Element(0x0040A010, "CS", b"CONTAINS"),
        Element(0x0040A040, "CS", b"TEXT"),
        Element(0x0040A160, "UT", b"Fracture of the left hip of Leopoldine"),
    )
    report = with_(base(), Element(0x0040A730, "SQ", (item,)))
    text = cleaned(applying("clean-structured-content"), report).ContentSequence[0].TextValue
    assert "left hip" in text and "Leopoldine" not in text
    assert "Leopoldine" not in str(cleaned(applying(), report))


def test_a_patient_outside_of_the_crosswalk_is_refused() -> None:
    cleaner = applying(crosswalk={b"PX-774411": b"STUDY-007"})
    assert cleaned(cleaner, base()).PatientID == "STUDY-007"
    other = write(with_(base(), Element(0x00100020, "LO", b"PX-1")), "explicit")
    result = cleaner.clean(other, SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Dropped)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "crosswalk.no-such-patient")


# ---- safe private elements: by creator, wherever its block is


@pytest.mark.parametrize("block", [0x10, 0x11, 0xF0])
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_safe_private_elements_stay_in_any_block(block: int, syntax: str) -> None:
    start = 0x00190000 | block << 8
    elements = with_(
        base(),
        Element(0x00190000 | block, "LO", b"GEMS_ACQU_01"),
        Element(start | 0x23, "DS", b"40.5"),
        Element(start | 0x24, "DS", b"Quasten"),  # no number
        Element(start | 0x55, "LO", b"SECRETVALUE"),  # not in the table
    )
    ds = cleaned(applying("retain-safe-private"), elements, syntax)
    assert ds[0x00190000 | block].value == "GEMS_ACQU_01"
    value = ds[start | 0x23].value  # pydicom knows no VR of a private element in implicit
    assert (value.strip() if isinstance(value, bytes) else b"%.1f" % value) == b"40.5"
    assert not ds[start | 0x24].value and start | 0x55 not in ds
    bare = cleaned(applying(), elements, syntax)
    assert not [e for e in bare if e.tag.is_private]


def test_what_is_safe_beyond_the_table_is_numbers_alone() -> None:
    """Mosaics are taken apart and diffusion directions known by private numbers; no text of a maker's is in the list."""
    lines = files("gateway.deidentify").joinpath("safe_private_more.csv").read_text(encoding="utf-8").splitlines()[1:]
    told = list(csv.DictReader(lines))
    assert len(told) > 10 and {row["vr"] for row in told} <= {"DS", "IS", "FD", "FL", "SL", "SS", "UL", "US"}
    mosaic = with_(
        base(),
        Element(0x00190010, "LO", b"SIEMENS MR HEADER"),
        Element(0x0019100A, "US", b"\x04\0"),
        Element(0x0019100F, "SH", b"Fast"),
        Element(0x00191029, "FD", struct.pack("<4d", 0, 2500, 1250, 3750)),
    )
    ds = cleaned(applying("retain-safe-private"), mosaic)
    assert ds[0x0019100A].value == 4 and list(ds[0x00191029].value) == [0, 2500, 1250, 3750] and 0x0019100F not in ds
    assert not [e for e in cleaned(applying(), mosaic) if e.tag.is_private]


@pytest.mark.parametrize(
    ("creator", "tag", "vr", "value"),
    [
        ("GEMS_PARM_01", 0x0043102F, "SS", struct.pack("<h", 1)),
        ("Image Private Header", 0x00651009, "FD", struct.pack("<d", 1000)),
        ("Image Private Header", 0x00651037, "FD", struct.pack("<3d", 0.5, -0.5, 0.7)),
        ("Image Private Header", 0x00651050, "DS", b"42.0"),
    ],
)
def test_phases_diffusion_and_grids_are_known_by_private_numbers(creator: str, tag: int, vr: str, value: bytes) -> None:
    """Of GE whether it is magnitude, phase, real or imaginary; of United Imaging how a grid is taken apart and weighted."""
    elements = with_(base(), Element(tag & 0xFFFF0000 | 0x10, "LO", creator.encode()), Element(tag, vr, value))
    assert tag in cleaned(applying("retain-safe-private"), elements) and tag not in cleaned(applying(), elements)


def test_a_creator_that_is_nobody_or_comes_second_keeps_nothing() -> None:
    elements = with_(
        base(),
        Element(0x00190010, "LO", b"Quastenberg"),
        Element(0x00191023, "DS", b"40.5"),
        Element(0x00430010, "LO", b"GEMS_ACQU_01"),  # its rows are of group 0019
        Element(0x00431023, "DS", b"40.5"),
        Element(0x00451023, "DS", b"40.5"),  # an orphan
    )
    ds = cleaned(applying("retain-safe-private"), elements)
    assert not [e for e in ds if e.tag.is_private]


def test_a_block_belongs_to_who_reserved_it_in_its_own_item() -> None:
    inside = (Element(0x00191023, "DS", b"40.5"),)  # the block is reserved outside, not here
    elements = with_(base(), Element(0x00082218, "SQ", (inside,)), Element(0x00190010, "LO", b"GEMS_ACQU_01"))
    ds = cleaned(applying("retain-safe-private"), elements)
    assert len(ds[0x00082218][0]) == 0


# ---- what verify finds is mended


def test_a_name_where_none_belongs_costs_that_element_alone() -> None:
    elements = with_(base(), Element(0x00185100, "CS", b"QUASTENBERG"), Element(0x00180060, "DS", b"120"))
    ds = cleaned(applying(), elements)
    assert "PatientPosition" not in ds or "QUAST" not in str(ds.PatientPosition)
    assert ds.KVP == 120 and ds.Modality == "CT"


@pytest.mark.parametrize(
    ("trouble", "leak", "expected"),
    [
        ({}, "verify.PatientName@00185100", {0x00185100: False}),
        ({0x00185100: False}, "verify.PatientName@00185100", {0x00185100: True}),
        ({0x00185100: True}, "verify.PatientName@00185100", None),
        ({}, "verify.PatientID@0019xx24", {0x00190024: False}),
        ({}, "verify.PatientName@bytes", None),
        ({}, "verify.pixels", None),
    ],
)
def test_trouble_is_cleaned_then_removed_then_final(
    trouble: dict[int, bool], leak: str, expected: dict[int, bool] | None
) -> None:
    assert troubled(trouble, leak) == expected
