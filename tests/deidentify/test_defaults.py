"""What is done to elements that Table E.1-1 does not name, where objects that few have need them: older ones, plans, long codes."""

from __future__ import annotations

import pytest
from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.defaults import RETIRED_NUMBERS
from gateway.model import Kept
from gateway.settings import Deidentify
from tests.deidentify.test_profile import cleaned
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write


def test_measurements_of_older_objects_stay_and_are_numbers(cleaner: Cleaner) -> None:
    for tag in RETIRED_NUMBERS:
        retired, vr = DicomDictionary[tag][3], DicomDictionary[tag][0]
        assert retired and vr in ("DS", "FL", "FD", "US", "IS", "OW", "SQ")
    offset = Element(0x30060045, "DS", b"0\\0\\-12.5")
    plan = Element(0x300A0082, "DS", b"239.5\\239.5\\-751.8")
    contour = Element(0x30060039, "SQ", ((Element(0x30060040, "SQ", ((offset,),)),),))
    result = cleaner.clean(write(with_(base(), contour, plan), "implicit"), SYNTAXES["implicit"], frozenset())
    assert isinstance(result, Kept)
    out = b"".join(result.parts)
    assert b"0\\0\\-12.5" in out and b"239.5\\239.5\\-751.8" in out


MATRIX = b"1\\0\\0\\-7.25\\0\\1\\0\\3.5\\0\\0\\1\\91\\0\\0\\0\\1 "
OLDER = {
    "registration of a structure set": Element(
        0x30060010, "SQ", ((Element(0x300600C0, "SQ", ((Element(0x300600C6, "DS", MATRIX),),)),),)
    ),
    "hole in a contour": Element(0x30060039, "SQ", ((Element(0x30060049, "IS", b"41"),),)),
    "dose at a point": Element(0x30040010, "SQ", ((Element(0x30040012, "DS", b"61.75 "),),)),
    "calibrated dose of a beam": Element(0x300C0120, "SQ", ((Element(0x30040012, "DS", b"0.9875"),),)),
    "triangles of a surface": Element(0x00660013, "SQ", ((Element(0x00660023, "OW", bytes(range(1, 13))),),)),
    "strip of a surface": Element(0x00660026, "SQ", ((Element(0x00660029, "OW", bytes(range(1, 13))),),)),
}


@pytest.mark.parametrize("element", OLDER.values(), ids=OLDER)
def test_geometry_and_dose_of_older_objects_stay_in_their_sequences(cleaner: Cleaner, element: Element) -> None:
    value = write([element], "explicit")
    result = cleaner.clean(write(with_(base(), element), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept) and value in b"".join(result.parts)


DEPARTMENTS = (0x00080220, 0x00321031, 0x00321034, 0x0040003A)


@pytest.mark.parametrize("options", [(), ("clean-descriptors", "retain-institution-identity")])
def test_whose_department_asked_is_told_by_no_code(options: tuple[str, ...]) -> None:
    code = (Element(0x00080100, "SH", b"QUH-7B"), Element(0x00080104, "LO", b"Quellenhof Urology"))
    ds = cleaned(Deidentify(options=options), *(Element(tag, "SQ", (code,)) for tag in DEPARTMENTS))
    assert not any(tag in ds for tag in DEPARTMENTS)


@pytest.mark.parametrize("options", [(), ("clean-descriptors",)])
def test_long_codes_and_the_days_of_fractions_are_no_identifiers_as_long_as_they_are_not_the_patients(
    options: tuple[str, ...],
) -> None:
    """Codes of SNOMED CT extensions have 17 or 18 digits, a week of fractions has a digit a day."""
    concept, pattern = Element(0x00080119, "UC", b"621566751000087104"), Element(0x300A007B, "LT", b"11111001111100")
    code = Element(0x00082218, "SQ", ((concept,),))
    group = Element(0x300A0070, "SQ", ((pattern,),))
    ds = cleaned(Deidentify(options=options), code, group)
    assert ds.AnatomicRegionSequence[0].LongCodeValue == "621566751000087104"
    assert ds.FractionGroupSequence[0].FractionPattern == "11111001111100"
    owned = cleaned(Deidentify(options=options), Element(0x00380010, "LO", b"621566751000087104"), code, group)
    assert owned.AnatomicRegionSequence[0].LongCodeValue == "ANON"


@pytest.mark.parametrize(
    "code",
    [
        b"Mustermann, 01701234567",
        b"017012345678",
        b"4711/2021/98765432101",
        b"999999195001010109",
        b"99999919500101010",
    ],
)
def test_what_is_no_long_code_is_cleaned(code: bytes) -> None:
    item = (Element(0x00080119, "UC", code), Element(0x300A007B, "LT", b"1985"))
    ds = cleaned(Deidentify(), Element(0x00082218, "SQ", (item,)))
    assert ds.AnatomicRegionSequence[0].LongCodeValue in ("ANON", ",")
    assert not ds.AnatomicRegionSequence[0].FractionPattern
