"""The profile: overrides and their limits, its version, its table; mapping of values; dummy values that are legal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.valuerep import validate_value

from gateway.deidentify.actions import DUMMIES, NUMBER_VRS, TEXT_VRS, Action, resolve
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.defaults import default_for, mismatched, unnamed
from gateway.deidentify.options import CODES, FULL_DATES, applied
from gateway.deidentify.override import BadProfile
from gateway.deidentify.profile import compile_profile
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.sources import NEEDED_BY, digests
from gateway.model import Kept
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write


def cleaned(settings: Deidentify, *elements: Element) -> pydicom.Dataset:
    cleaner = make_cleaner(project="a", deidentify=settings, instance_rule=None, key=KEY)
    result = cleaner.clean(write(with_(base(), *elements), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept), result
    return pydicom.dcmread(io.BytesIO(b"".join(result.parts)))


def test_keep_remove_replace() -> None:
    settings = Deidentify(
        keep=("InstitutionName", "0008,1030", "(0008,1032)", "SliceThickness"),
        remove=("Modality", "00180050"),
        replace={"PatientName": "Nobody", "0010,4000": "-"},
    )
    code = Element(0x00081032, "SQ", ((Element(0x00080100, "SH", b"C7"), Element(0x00100010, "PN", b"Hidden^Name")),))
    ds = cleaned(settings, Element(0x00081030, "LO", b"Thorax"), code, Element(0x00104000, "LT", b"secret"))
    assert (ds.InstitutionName, ds.StudyDescription, ds.PatientName, ds.PatientComments) == (
        "Quellenhof Klinikum",
        "Thorax",
        "Nobody",
        "-",
    )
    assert ds.ProcedureCodeSequence[0].CodeValue == "C7" and ds.ProcedureCodeSequence[0].PatientName == "Nobody"
    assert "Modality" not in ds and "SliceThickness" not in ds


BAD: list[dict[str, Any]] = [
    {"options": ("clean-recognizable-visual-features",)},
    {"options": ("retain-longitudinal-full-dates", "retain-longitudinal-modified-dates")},
    {"patient_id": "ALL-THE-SAME"},
    {"patient_id": "{pseudonym}" + "X" * 60},
    {"patient_id": "{pseudonym}\\1"},
    {"keep": ("PatientID",)},
    {"remove": ("PixelData",)},
    {"replace": {"PatientIdentityRemoved": "NO"}},
    {"keep": ("00291010",)},
    {"keep": ("NoSuchKeyword",)},
    {"replace": {"Rows": "1"}},
    {"replace": {"StudyInstanceUID": "1.2"}},
    {"replace": {"PatientName": "Ängström"}},
    {"replace": {"StationName": "longer than sixteen"}},
    {"replace": {"FrameOfReferenceUID": "1.2"}},
]


@pytest.mark.parametrize("wrong", BAD)
def test_what_cannot_be_applied_is_refused_in_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadProfile) as caught:
        compile_profile(Deidentify.model_construct(**wrong))  # unchecked: settings refuse some of it themselves
    assert len(str(caught.value)) > 20


def test_the_version_is_the_same_for_the_same() -> None:
    """The order of options and overrides, and repetition, do nothing and change nothing."""
    one = Deidentify(
        options=("clean-graphics", "retain-uids"),
        keep=("Rows", "Columns"),
        replace={"StudyID": "1", "StationName": "2"},
    )
    two = Deidentify(
        options=("retain-uids", "clean-graphics", "retain-uids"),
        keep=("00280011", "(0028,0010)"),
        replace={"StationName": "2", "00200010": "1"},
    )
    assert compile_profile(one).version == compile_profile(two).version
    assert compile_profile(one).rules == compile_profile(two).rules


def test_the_version_tells_profiles_apart() -> None:
    same = {compile_profile(Deidentify()).version for _ in range(2)}
    changes: list[dict[str, Any]] = [
        {"keep": ("StudyDescription",)},
        {"remove": ("Rows",)},
        {"replace": {"PatientName": "A"}},
        {"replace": {"PatientName": "B"}},
        {"patient_id": "A{pseudonym}"},
        {"crosswalk": Path("x.csv")},
        *({"options": (name,)} for name in CODES),
        {"options": ("clean-graphics", "clean-pixel-data")},
    ]
    versions = {compile_profile(Deidentify(**change)).version for change in changes}
    assert len(same) == 1 and len(versions | same) == 1 + len(changes)


def test_the_version_covers_the_data_that_a_profile_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, safe = Deidentify(), Deidentify(options=("retain-safe-private",))
    before = compile_profile(plain).version, compile_profile(safe).version
    used = [set(digests(compile_profile(each).options)) for each in (plain, safe)]
    assert used[0] < used[1] and len(used[1] - used[0]) == len(NEEDED_BY)
    monkeypatch.setattr("gateway.deidentify.profile.digests", lambda _: (b"a file has changed",))
    assert compile_profile(plain).version != before[0] and compile_profile(safe).version != before[1]


def test_rows_say_where_each_rule_comes_from() -> None:
    rows = {row.tag: row for row in compile_profile(Deidentify(keep=("StudyDescription",))).rows()}
    assert rows["(0010,0010)"][1:] == ("PatientName", "Z", "PS3.15 Table E.1-1 2026c basic Z")
    assert rows["(0008,1030)"].rule == "project: keep" and rows["(0008,1080)"].action == "X"
    assert (
        rows["(0008,0021)"].rule
        == "PS3.15 Table E.1-1 2026c basic X/D; by the type in the IOD, this where it is unknown"
    )
    assert rows["(0018,0050)"][2:] == ("K", "default: standard") and rows["private"].action == "X"
    assert rows["(0008,0010)"].rule == "default: retired" and rows["60xx3000"].keyword == "Overlay Data"


BY_TYPE = """
            1      1C     2      2C     3      unknown
X           DUMMY  REMOVE EMPTY  EMPTY  REMOVE REMOVE
Z           DUMMY  DUMMY  EMPTY  EMPTY  EMPTY  EMPTY
X/Z         DUMMY  DUMMY  EMPTY  EMPTY  REMOVE EMPTY
X/D         DUMMY  DUMMY  EMPTY  EMPTY  REMOVE DUMMY
Z/D         DUMMY  DUMMY  EMPTY  EMPTY  EMPTY  DUMMY
X/Z/D       DUMMY  DUMMY  EMPTY  EMPTY  REMOVE DUMMY
D           DUMMY  DUMMY  DUMMY  DUMMY  DUMMY  DUMMY
U           UID    UID    UID    UID    UID    UID
"""
KINDS, *CODE_LINES = [line.split() for line in BY_TYPE.strip().splitlines()]
RESOLVED = [(line[0], kind, Action[name]) for line in CODE_LINES for kind, name in zip(KINDS, line[1:], strict=True)]


@pytest.mark.parametrize(("code", "kind", "action"), RESOLVED)
def test_codes_by_the_type_in_the_iod(code: str, kind: str, action: Action) -> None:
    assert resolve(code, 1, b"LO", kind.replace("unknown", "")) is action


@pytest.mark.parametrize(
    ("code", "tag", "vr", "kind", "action"),
    [
        ("D", 1, b"UI", "", Action.UID),
        ("X", 1, b"UI", "1", Action.UID),
        ("X/Z/U*", 1, b"SQ", "", Action.ITEMS),
        ("X/Z/U*", 1, b"SQ", "2", Action.ITEMS),
        ("X/Z/U*", 1, b"SQ", "3", Action.ITEMS),
        ("X/Z", 1, b"SQ", "", Action.EMPTY),
        ("X/Z", 1, b"SQ", "1", Action.ITEMS),
        ("X", 1, b"SQ", "1", Action.SCRUB),
        ("Z", 1, b"SQ", "1C", Action.SCRUB),
        ("X", 1, b"SQ", "2", Action.EMPTY),
        ("D", 0x00401101, b"SQ", "", Action.SCRUB),
        ("X/D", 0x00081072, b"SQ", "1", Action.SCRUB),
        ("Z", 0x00080050, b"SH", "", Action.IDENTIFIER),
        ("Z", 0x00080050, b"SH", "2", Action.IDENTIFIER),
        ("Z/D", 0x00100020, b"LO", "", Action.PATIENT_ID),
        ("Z/D", 0x00100020, b"LO", "3", Action.PATIENT_ID),
    ],
)
def test_codes_of_sequences_uids_and_identifiers(code: str, tag: int, vr: bytes, kind: str, action: Action) -> None:
    assert resolve(code, tag, vr, kind) is action


@pytest.mark.parametrize("vr", sorted(DUMMIES))
def test_every_dummy_is_legal(vr: bytes) -> None:
    if vr in TEXT_VRS:
        validate_value(vr.decode(), DUMMIES[vr].decode(), pydicom.config.RAISE)
    else:
        assert len(DUMMIES[vr]) % 2 == 0
    assert set(DUMMIES) | {b"UI"} >= TEXT_VRS | NUMBER_VRS


def test_defaults_fail_closed() -> None:
    withheld = ((0x00100033, b"LO"), (0x40101001, b"SQ"), (0x00040000, b"UL"))
    every = applied(tuple(name for name in CODES if name != FULL_DATES))
    for options in (applied(()), every):
        assert [default_for(*element, options).action for element in withheld] == [Action.REMOVE] * 3
        assert default_for(0x00140104, b"PN", options).action is Action.EMPTY
    assert default_for(0x0040A160, b"UT", applied(())).action is Action.DUMMY
    reasons = {
        unnamed(t).removeprefix("default: ") for t in (0x00291010, 0x00100000, 0x00020013, 0x60003000, 0x00080002)
    }
    assert reasons == {"private", "group length", "no part of a data set", "overlay or curve", "unknown"}
    assert mismatched(b"LO", b"US") is mismatched(b"OB", b"CS") is Action.REMOVE
    assert mismatched(b"US", b"OW") is None and mismatched(b"UT", b"OW") is Action.DUMMY
    assert mismatched(b"PN", b"LO") is Action.EMPTY and mismatched(b"OW", b"OB") is mismatched(b"LO", b"SH") is None


def test_uids_are_mapped_value_by_value() -> None:
    pseudonyms = Pseudonyms(KEY, "{pseudonym}")
    one, two = pseudonyms.uids(b"1.2.3\0"), pseudonyms.uids(b"1.2.4 ")
    assert pseudonyms.uids(b"1.2.3\\\\1.2.4\\1.2.840.10008.1.1") == one + b"\\\\" + two + b"\\1.2.840.10008.1.1"
    assert one != two and all(len(u) <= 44 and pydicom.uid.UID(u.decode()).is_valid for u in (one, two))
    assert pseudonyms.identifier(b"a", b"X ") == pseudonyms.identifier(b"a", b"X") != pseudonyms.identifier(b"b", b"X")
    assert pseudonyms.identifier(b"a", b" ") == b""
    assert pseudonyms.uids(b"1.2.840.10008.20240317.104755.123456789.1") != b"1.2.840.10008.20240317.104755.123456789.1"


TYPED_OR_NAMED = {
    Action.REMOVE: "00720008 00140100 00181801 21100030 00880130 00440012 0044000A 00221097 00820016 00181006 300A0421 00185010",
    Action.DUMMY: "00440011 00189423 00189916 00700081 00700068 00741204 00741202 00400255 0040A492 20000050 30020002 "
    "30020003 300A00C2 300A0009 00620005 00209453 00286022 00380102",
}


@pytest.mark.parametrize(("action", "tags"), TYPED_OR_NAMED.items())
def test_labels_that_may_name_somebody_do_not_stay(action: Action, tags: str) -> None:
    reasons = {Action.REMOVE: "default: may identify", Action.DUMMY: "default: typed text"}
    rows = {row.tag: row for row in compile_profile(Deidentify()).rows()}
    for tag in (int(text, 16) for text in tags.split()):
        row = rows[f"({tag >> 16:04X},{tag & 0xFFFF:04X})"]
        assert (row.action, row.rule.partition(";")[0]) == (action.value, reasons[action])
    ds = cleaned(Deidentify(), *(Element(int(tag, 16), "SH", b"Jane") for tag in tags.split()))
    stay = {f"{e.tag:08X}": e.value for e in ds if e.tag in {int(tag, 16) for tag in tags.split()}}
    assert stay == ({} if action is Action.REMOVE else dict.fromkeys(tags.split(), "ANON"))


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("SLIDE_CORNER", "SLIDE_CORNER"),
        ("CORNEAL_VERTEX_R", "CORNEAL_VERTEX_R"),
        ("SN", "SN"),
        ("XIPHOID Zwackelmann", "XIPHOID"),
    ],
)
def test_what_positions_refer_to_stays_as_a_slide_has_to_say(told: str, left: str) -> None:
    assert cleaned(Deidentify(), Element(0x00201040, "LO", told.encode())).PositionReferenceIndicator == left


def test_typed_text_stays_empty_and_is_the_projects_to_keep() -> None:
    label = Element(0x00620005, "LO", b"Liver")
    assert cleaned(Deidentify(keep=("SegmentLabel",)), label).SegmentLabel == "Liver"
    assert cleaned(Deidentify(), Element(0x00620005, "LO", b"")).SegmentLabel == ""


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_a_value_too_long_for_its_vr_stays_as_un(cleaner: Cleaner, syntax: str) -> None:
    """A long contour in Explicit VR (PS3.5 6.2.2)."""
    points = b"\\".join(b"%d.125" % (number % 400) for number in range(12000))
    assert len(points) > 0xFFFF
    contour = Element(0x30060040, "SQ", ((Element(0x30060050, "UN", points),),))
    data = write(with_(base(), Element(0x30060039, "SQ", ((contour,),))), syntax)
    result = cleaner.clean(data, SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept)
    out = b"".join(result.parts)
    assert points in out and "ContourData" in pydicom.dcmread(io.BytesIO(out)).ROIContourSequence[0].ContourSequence[0]


def test_slides_and_specimens_stay_apart_and_are_the_same_in_every_instance(cleaner: Cleaner) -> None:
    """Two cores on a slide, and the slides of a case: all were ANON, and nobody could tell them from one another."""

    def specimens(slide: bytes, number: int) -> list[str]:
        cores = tuple((Element(0x00400551, "LO", b"S24-774-" + slide + core),) for core in (b".1", b".2"))
        held = Element(0x00400512, "LO", b"S24-774-" + slide), Element(0x00400560, "SQ", cores)
        result = cleaner.clean(write(with_(base(number), *held), "explicit"), SYNTAXES["explicit"], frozenset())
        assert isinstance(result, Kept)
        ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
        return [ds.ContainerIdentifier, *(item.SpecimenIdentifier for item in ds.SpecimenDescriptionSequence)]

    assert specimens(b"A1", 1) == specimens(b"A1", 2)
    assert len({*specimens(b"A1", 1), *specimens(b"A2", 3)}) == 6


def test_instances_keep_apart_what_differs(cleaner: Cleaner) -> None:
    nested = Element(0x00082218, "SQ", ((Element(0x00100020, "LO", b""),), (Element(0x00100020, "LO", b"PX-774411"),)))
    result = cleaner.clean(write(with_(base(), nested), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept)
    ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    assert [item.PatientID for item in ds.AnatomicRegionSequence] == ["", ds.PatientID]
