"""Options: every cell of every option column has its effect, alone and beside others; what is written; what is refused."""

from __future__ import annotations

import io
from functools import cache
from itertools import combinations

import pydicom
import pytest
from pydicom.sr._concepts_dict import concepts

from gateway.deidentify.actions import Action
from gateway.deidentify.cleaner import make_cleaner
from gateway.deidentify.encoding import make_codecs
from gateway.deidentify.marks import make_marks
from gateway.deidentify.options import CODES, FULL_DATES, MODIFIED_DATES, applied
from gateway.deidentify.override import BadProfile
from gateway.deidentify.profile import Profile, compile_profile
from gateway.deidentify.sources import digests
from gateway.deidentify.table import Row, load_table
from gateway.model import Kept
from gateway.settings import Deidentify
from gateway.settings.kinds import OPTIONS
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

ROWS = load_table().rows
SINGLE = [row for row in ROWS if row.vr and int(row.tag, 16) >> 16 >= 8]
COLUMNS = sorted({option for row in ROWS for option in row.options})
TEXT = ("LO", "LT", "SH", "ST", "UC", "UT")
DATES = ("DA", "DT", "TM")
BEYOND_THEIR_CELLS = {  # rows that an option is about, although it has no cell in them
    MODIFIED_DATES: {"00100030"},  # Patient's Birth Date: the age at study stays
    "clean-graphics": {"00700006"},  # Unformatted Text Value: the text of graphic annotations
    "clean-structured-content": {"00700006"},  # ... and of waveform annotations
}


@cache
def made(*options: str) -> Profile:
    return compile_profile(Deidentify(options=options))


BASIC = made()


def said(code: str, row: Row) -> Action | None:
    """What K or C means for a VR, read from PS3.15 E.1.1 and E.3; None: the Basic column stands."""
    vr = row.vr
    if code == "C" and row.tag == "00080201":  # Timezone Offset From UTC: as much of a time as any
        return Action.ZONE
    if vr == "SQ":
        return Action.ITEMS
    if code == "K":
        return Action.AGE if vr == "AS" else Action.KEEP
    return Action.SHIFT if vr in DATES else Action.TEXT if vr in TEXT else None


def outcome(profile: Profile, row: Row) -> tuple[Action, str]:
    rule = profile.rules[int(row.tag, 16)]
    return rule.action, rule.source


def test_all_ten_columns_are_there() -> None:
    assert len(ROWS) == 656 and len(SINGLE) == 648 and len(COLUMNS) == 10
    assert set(COLUMNS) == set(OPTIONS) - {"clean-pixel-data", "clean-recognizable-visual-features"}
    assert set(COLUMNS) | {"clean-pixel-data"} == set(CODES)


@pytest.mark.parametrize("option", COLUMNS)
def test_each_cell_has_its_effect(option: str) -> None:
    """656 rows: with a cell the action of K or C and the option named as the source; without one nothing changes."""
    profile, wrong = made(option), []
    for row in SINGLE:
        action = said(row.options[option], row) if option in row.options else None
        source = f"PS3.15 Table E.1-1 2026c {option} {row.options.get(option)}"
        expected = (action, source) if action else outcome(BASIC, row)
        if outcome(profile, row) != expected and row.tag not in BEYOND_THEIR_CELLS.get(option, ()):
            wrong.append(row.tag)
    assert wrong == []


@pytest.mark.parametrize("option", COLUMNS)
def test_a_column_disabled_is_noticed(option: str) -> None:
    """The test above can fail: but for safe private elements, which are no single row, each column changes some rule."""
    changed = [row.tag for row in SINGLE if outcome(made(option), row) != outcome(BASIC, row)]
    cells = [row.tag for row in SINGLE if option in row.options and said(row.options[option], row)]
    assert set(changed) == set(cells) | BEYOND_THEIR_CELLS.get(option, set())
    assert bool(changed) is (option != "retain-safe-private")


@pytest.mark.parametrize(
    "pair", [p for p in combinations(CODES, 2) if set(p) != {FULL_DATES, MODIFIED_DATES}], ids="+".join
)
def test_of_two_options_the_stricter_cell_decides(pair: tuple[str, str]) -> None:
    profile, wrong = made(*pair), []
    for row in SINGLE:
        codes = {row.options[option] for option in pair if option in row.options}
        action = said("C" if "C" in codes else "K", row) if codes else None
        beyond = any(row.tag in BEYOND_THEIR_CELLS.get(option, ()) for option in pair)
        if not beyond and outcome(profile, row)[0] is not (action or outcome(BASIC, row)[0]):
            wrong.append(row.tag)
    assert wrong == []


def test_dates_of_devices_are_shifted_with_all_others() -> None:
    tag = 0x00181200  # Date of Last Calibration: K with the device, C with modified dates
    alone, both = made("retain-device-identity").rules[tag], made("retain-device-identity", MODIFIED_DATES).rules[tag]
    assert (alone.action, both.action) == (Action.KEEP, Action.SHIFT)
    assert both.source == f"PS3.15 Table E.1-1 2026c {MODIFIED_DATES} C"
    assert made("retain-device-identity", FULL_DATES).rules[tag].action is Action.KEEP


@pytest.mark.parametrize("option", [MODIFIED_DATES, FULL_DATES])
def test_a_time_to_100_ns_is_one(option: str) -> None:
    """Seven digits behind the second are one more than TM has; the time of an acquisition went for it."""
    told = Element(0x00080032, "TM", b"104755.1234567"), Element(0x0008002A, "DT", b"20240317104755.1234567")
    cleaner = make_cleaner(project="p", deidentify=Deidentify(options=(option,)), instance_rule=None, key=KEY)
    done = cleaner.clean(write(with_(base(), *told), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(done, Kept)
    clean = pydicom.dcmread(io.BytesIO(b"".join(done.parts)))
    assert str(clean.AcquisitionTime).startswith("104755.123456")
    assert str(clean.AcquisitionDateTime).startswith(f"{clean.StudyDate}104755.123456")


@pytest.mark.parametrize("option", [MODIFIED_DATES, FULL_DATES, "clean-descriptors"])
def test_when_a_report_was_verified_is_a_date_as_any_other(option: str) -> None:
    """Who verified it is replaced; the dummy of 1900 is for those who asked for no dates."""
    verified = Element(0x0040A030, "DT", b"20240317184746"), Element(0x0040A075, "PN", b"Zwackelmann^Petrosilius")
    observer = Element(0x0040A073, "SQ", (verified,))
    cleaner = make_cleaner(project="p", deidentify=Deidentify(options=(option,)), instance_rule=None, key=KEY)
    done = cleaner.clean(write(with_(base(), observer), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(done, Kept)
    clean = pydicom.dcmread(io.BytesIO(b"".join(done.parts)))
    (item,) = clean.VerifyingObserverSequence
    dates = option in (MODIFIED_DATES, FULL_DATES)
    assert item.VerificationDateTime == (f"{clean.StudyDate}184746" if dates else "19000101000000")
    assert item.VerifyingObserverName == "ANON"


def test_the_zone_of_times_stays_beside_shifted_dates() -> None:
    """A DT keeps its own; without the zone of all others nobody could tell one from the other, and no uptake be computed."""
    cleaner = make_cleaner(project="p", deidentify=Deidentify(options=(MODIFIED_DATES,)), instance_rule=None, key=KEY)
    zone = Element(0x00080201, "SH", b"-0500")
    started = Element(0x00181078, "DT", b"20240317090500+0100")
    done = cleaner.clean(write(with_(base(), zone, started), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(done, Kept)
    clean = pydicom.dcmread(io.BytesIO(b"".join(done.parts)))
    assert clean.TimezoneOffsetFromUTC == "-0500"
    assert clean.RadiopharmaceuticalStartDateTime == f"{clean.StudyDate}090500+0100"


WITHOUT_A_ROW = [
    (0x00400244 + 0x00010000, "clean-descriptors", None),  # no element: nothing to say
    (0x0040A160, "clean-descriptors", Action.TEXT),  # Text Value, UT
    (0x0040A160, "clean-structured-content", Action.TEXT),
    (0x0040A160, "clean-graphics", Action.DUMMY),
    (0x0040A492, "clean-structured-content", Action.TEXT),  # Completion Flag Description, LO that is typed
    (0x00700006, "clean-graphics", Action.TEXT),
    (0x00700006, "clean-structured-content", Action.TEXT),
    (0x00700006, "retain-uids", Action.DUMMY),
    (0x00700068, "clean-graphics", Action.TEXT),  # Graphic Layer Description
    (0x00700068, "clean-structured-content", Action.DUMMY),
    (0x00620005, "clean-descriptors", Action.TEXT),  # Segment Label, LO that is typed
    (0x00620005, MODIFIED_DATES, Action.DUMMY),
    (0x00080404, MODIFIED_DATES, Action.SHIFT),  # Item Inventory DateTime
    (0x00080404, FULL_DATES, Action.KEEP),
    (0x00080404, "clean-descriptors", Action.EMPTY),
    (0x00100030, MODIFIED_DATES, Action.BIRTH),
    (0x00100030, FULL_DATES, Action.EMPTY),
    (0x00100032, MODIFIED_DATES, Action.REMOVE),  # Patient's Birth Time: a row without the option
    (0x00101010, "retain-patient-characteristics", Action.AGE),
    (0x00100010, "retain-patient-characteristics", Action.EMPTY),
    (0x00081150, "retain-uids", Action.KEEP),  # Referenced SOP Class UID
    (0x00400441 + 0x0000BBBF, "retain-uids", None),
    (0x00720008, "clean-descriptors", Action.REMOVE),  # Hanging Protocol Creator: may identify
    (0x00080104, "clean-descriptors", Action.TEXT),  # Code Meaning: local codes are typed
    (0x00080104, "clean-graphics", Action.KEEP),
    (0x00187006, "clean-graphics", Action.TEXT),  # Detector Description: technical, but anybody's words
]


@pytest.mark.parametrize(("tag", "option", "action"), WITHOUT_A_ROW)
def test_options_reach_what_has_no_cell(tag: int, option: str, action: Action | None) -> None:
    rule = made(option).rules.get(tag)
    assert (rule.action if rule else None) is action


def test_uids_without_a_row_stay_with_the_others() -> None:
    """One mapped beside the same one kept would break a reference."""
    kept, plain = made("retain-uids").rules, BASIC.rules
    rows = {int(row.tag, 16) for row in SINGLE}
    loose = [tag for tag, rule in plain.items() if rule.action is Action.UID and tag not in rows]
    assert len(loose) > 10 and {kept[tag].action for tag in loose} == {Action.KEEP}


@pytest.mark.parametrize("option", CODES)
def test_names_stay_gone_under_every_option(option: str) -> None:
    """No option lets a person's name, a patient's ID or an accession number through."""
    profile = made(option)
    people = [tag for tag, vr in profile.vrs.items() if vr == b"PN"]
    assert {profile.rules[tag].action for tag in people} <= {Action.REMOVE, Action.EMPTY, Action.DUMMY}
    assert profile.rules[0x00100020].action is Action.PATIENT_ID
    assert profile.rules[0x00080050].action is Action.IDENTIFIER


def test_what_is_let_through_is_told_to_verify() -> None:
    """`kept` holds what an option or the project lets through as it came, and nothing that is cleaned."""
    assert BASIC.kept == frozenset()
    device = made("retain-device-identity").kept
    assert 0x00181000 in device  # the serial number
    assert 0x00080055 not in device  # an AE title is not cleaned but removed
    assert 0x00080021 in made(FULL_DATES).kept and made(MODIFIED_DATES).kept == frozenset()
    assert 0x00101010 in made("retain-patient-characteristics").kept
    assert {0x0020000D, 0x00080018} < made("retain-uids").kept
    assert compile_profile(Deidentify(keep=("StudyDescription",))).kept == {0x00081030}


def test_options_as_facts() -> None:
    every = applied(tuple(name for name in CODES if name != FULL_DATES))
    assert every.shift_dates and every.clean_text and every.clean_structured and every.clean_graphics
    assert every.safe_private and every.screen_pixels and every.retain_uids and not every.full_dates
    none = applied(())
    assert not any((none.shift_dates, none.clean_text, none.clean_structured, none.clean_graphics, none.safe_private))
    assert not (none.screen_pixels or none.retain_uids or none.full_dates)
    assert applied(("retain-uids", "clean-graphics", "retain-uids")) == applied(("clean-graphics", "retain-uids"))


@pytest.mark.parametrize(
    "wrong", [("retain-everything",), ("clean-recognizable-visual-features",), (FULL_DATES, MODIFIED_DATES)]
)
def test_what_cannot_be_applied_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(BadProfile):
        applied(wrong)


def test_codes_are_those_of_the_standard() -> None:
    scheme: dict[str, dict[str, tuple[str, list[int]]]] = dict(concepts["DCM"])  # type: ignore[arg-type]
    dcm = {code: meaning for entry in scheme.values() for code, (meaning, _) in entry.items()}
    assert {code: dcm[code] for code, _ in applied(()).methods} == dict(applied(()).methods)
    assert {code: dcm[code] for code, _ in CODES.values()} == dict(CODES.values())
    assert all(len(meaning) <= 64 for _, meaning in CODES.values())  # LO


TEMPORAL = {FULL_DATES: "UNMODIFIED", MODIFIED_DATES: "MODIFIED"}


@pytest.mark.parametrize("option", ["", *CODES])
def test_marks_name_the_options(option: str) -> None:
    """De-identification Method Code Sequence and Longitudinal Temporal Information Modified (PS3.15 E.1.1, E.3.6)."""
    options = applied((option,) if option else ())
    codec = make_codecs({}).little_explicit
    marks = make_marks(codec, "2026c", "0123456789abcdef", options.methods, options.temporal)
    ds = pydicom.dcmread(io.BytesIO(b"".join(mark for _, mark in marks)), force=True)
    codes = [
        (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
        for item in ds.DeidentificationMethodCodeSequence
    ]
    basic = ("113100", "DCM", "Basic Application Confidentiality Profile")
    assert codes == [basic, *((value, "DCM", meaning) for value, meaning in (CODES[o] for o in options.names))]
    assert ds.LongitudinalTemporalInformationModified == TEMPORAL.get(option, "REMOVED")
    assert "0123456789abcdef" in ds.DeidentificationMethod and ds.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(
    "options", [(), ("clean-graphics", "retain-uids"), (MODIFIED_DATES,), (FULL_DATES, "clean-descriptors")]
)
def test_outputs_carry_the_marks(options: tuple[str, ...]) -> None:
    cleaner = make_cleaner(project="a", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)
    result = cleaner.clean(write(base(), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept), result
    ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    expected = applied(options)
    assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == [code for code, _ in expected.methods]
    assert (
        ds.LongitudinalTemporalInformationModified == expected.temporal and result.profile in ds.DeidentificationMethod
    )


def test_a_profile_reads_only_the_data_of_its_options() -> None:
    plain, safe = digests(applied(())), digests(applied(("retain-safe-private",)))
    assert set(plain) < set(safe) and len(plain) >= 2
    assert digests(applied(("clean-graphics", "retain-uids"))) == digests(applied(("retain-uids", "clean-graphics")))
    assert set(plain) <= set(digests(applied(tuple(name for name in CODES if name != FULL_DATES))))
