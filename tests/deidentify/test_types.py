"""Types by IOD: the table against PS3.3 as read by hand, and what they make of a row in an instance."""

from __future__ import annotations

import pytest

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.profile import Profile, compile_profile
from gateway.deidentify.types import load_types, parse_types
from gateway.settings import Deidentify

CT, PT, ENHANCED_CT, ENHANCED_PT, SEG, SR, PR, PLAN, STRUCTURES, ECG = (
    f"1.2.840.10008.5.1.4.1.1.{n}".encode()
    for n in ("2", "128", "2.1", "130", "66.4", "88.33", "11.1", "481.5", "481.3", "9.1.1")
)
CLASSES = load_types().classes

BY_HAND = [
    (CT, 0, 0x00080020, "2"),  # General Study: Study Date
    (CT, 0, 0x00080023, "2C"),  # General Image: Content Date
    (CT, 0, 0x00080021, ""),  # General Series: Series Date is Type 3
    (CT, 0, 0x0008002A, ""),  # General Image: Acquisition DateTime is Type 3
    (CT, 0, 0x00180010, "2"),  # Contrast/Bolus: Contrast/Bolus Agent
    (ENHANCED_CT, 0, 0x00080023, "1"),  # Multi-frame Functional Groups: Content Date
    (ENHANCED_CT, 0, 0x0008002A, "1C"),  # Enhanced CT Image: Acquisition DateTime
    (SEG, 0, 0x00700084, ""),  # Content Identification: Content Creator's Name is Type 3
    (SEG, 0, 0x00080023, "1"),  # Multi-frame Functional Groups: Content Date
    (SR, 0, 0x00080023, "1"),  # SR Document General: Content Date
    (SR, 0, 0x00081111, "2"),  # SR Document Series: Referenced Performed Procedure Step Sequence
    (PR, 0, 0x00700082, "1"),  # Presentation State Identification: Presentation Creation Date
    (PLAN, 0, 0x300A0006, "2"),  # RT General Plan: RT Plan Date
    (STRUCTURES, 0, 0x30060008, "2"),  # Structure Set: Structure Set Date
    (ECG, 0, 0x0008002A, "1"),  # Waveform Identification: Acquisition DateTime
    (ECG, 0, 0x00400555, "2"),  # Acquisition Context: Acquisition Context Sequence
    (PT, 0x00540016, 0x00181078, ""),  # PET Isotope: Radiopharmaceutical Start DateTime is Type 3
    (ENHANCED_PT, 0x00540016, 0x00181078, "1"),  # Enhanced PET Isotope: it is Type 1
    (CT, 0x0018100A, 0x00181009, "1"),  # UDI Macro: Unique Device Identifier
]


@pytest.mark.parametrize(("sop_class", "parent", "tag", "kind"), BY_HAND)
def test_types_as_read_by_hand(sop_class: bytes, parent: int, tag: int, kind: str) -> None:
    assert CLASSES[sop_class].get(parent, {}).get(tag, "") == kind


@pytest.fixture(scope="module")
def profile() -> Profile:
    return compile_profile(Deidentify())


def test_storage_classes_are_known() -> None:
    """Each modality of the issue, and nothing that a row could not change."""
    modalities = "1 1.1 1.2 2 2.1 3.1 4 4.1 6.1 7 7.2 9.1.1 11.1 12.1 12.2 20 66.4 77.1.4 88.11 88.22 88.33 88.67 104.1 128 481.1"
    assert {f"1.2.840.10008.5.1.4.1.1.{name}".encode() for name in modalities.split()} <= CLASSES.keys()
    assert len(CLASSES) > 170 and load_types().source.endswith("highdicom=0.28.2")
    listed = {(tag, k) for places in CLASSES.values() for kinds in places.values() for tag, k in kinds.items()}
    forks = compile_profile(Deidentify()).special.forks
    cleaned = {(tag, k) for tag, k in listed if tag not in forks}
    assert (0x00620005, "1") in cleaned and {k for _, k in cleaned} <= {"1", "1C"}


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="00080020"):
        parse_types("# x\nparent,tag,type,classes\n00000000,00080020,4,2\n")


def action_at(profile: Profile, sop_class: bytes, parent: int, tag: int) -> Action:
    """As the walker asks."""
    return (profile.rules_at(sop_class, parent).get(tag) or profile.rules[tag]).action


UNKNOWN = b"1.2.3.4"
PRIVATE_SEQUENCE = 0x00291010
ACTIONS = [
    (CT, 0, 0x00080021, Action.REMOVE),  # Series Date X/D, Type 3
    (UNKNOWN, 0, 0x00080021, Action.DUMMY),
    (CT, 0, 0x00080023, Action.EMPTY),  # Content Date Z/D, Type 2C
    (SR, 0, 0x00080023, Action.DUMMY),  # ... Type 1
    (CT, PRIVATE_SEQUENCE, 0x00080023, Action.EMPTY),  # ... absent
    (ENHANCED_CT, 0, 0x0008002A, Action.DUMMY),  # Acquisition DateTime X/Z/D, Type 1C
    (CT, 0x00400275, 0x0008002A, Action.REMOVE),  # ... absent there
    (PR, 0, 0x00700082, Action.DUMMY),  # Presentation Creation Date X, Type 1
    (CT, 0, 0x00700082, Action.REMOVE),
    (ECG, 0, 0x00400555, Action.EMPTY),  # Acquisition Context Sequence X/Z, Type 2
    (CT, 0, 0x00400555, Action.REMOVE),
    (CT, 0, 0x00081140, Action.ITEMS),  # Referenced Image Sequence X/Z/U*, Type 3 and U all the same
    (CT, 0, 0x00080050, Action.IDENTIFIER),  # Accession Number Z, Type 2
    (CT, 0, 0x00100020, Action.PATIENT_ID),
    (CT, 0, 0x00080018, Action.UID),
    (CT, 0, 0x00080090, Action.EMPTY),  # Referring Physician's Name Z, Type 2
    (CT, 0, 0x00280010, Action.KEEP),
]


@pytest.mark.parametrize(("sop_class", "parent", "tag", "action"), ACTIONS)
def test_the_action_follows_the_type(profile: Profile, sop_class: bytes, parent: int, tag: int, action: Action) -> None:
    assert action_at(profile, sop_class, parent, tag) is action


def test_the_source_names_row_and_type(profile: Profile) -> None:
    assert (
        profile.rules_at(SR, 0)[0x0008002A].source
        == "PS3.15 Table E.1-1 2026c basic X/Z/D; Type 3 or absent in this IOD"
    )
    assert profile.rules_at(PR, 0)[0x00700083].source == "PS3.15 Table E.1-1 2026c basic X; Type 1 in this IOD"


def test_only_differences_are_held_and_once(profile: Profile) -> None:
    assert profile.rules_at(UNKNOWN, 0) == {} and UNKNOWN not in profile.special.made
    here = profile.rules_at(CT, 0)
    assert here is profile.rules_at(CT, 0) and len(here) < 100
    assert profile.rules_at(CT, PRIVATE_SEQUENCE) is profile.rules_at(CT, 0x00291011)
    assert all(rule.action is not profile.rules[tag].action for tag, rule in here.items())


@pytest.mark.parametrize("options", [("retain-longitudinal-full-dates",), ("retain-longitudinal-modified-dates",)])
def test_an_option_decides_whatever_the_type(options: tuple[str, ...]) -> None:
    profile = compile_profile(Deidentify(options=options))
    expected = Action.KEEP if "full" in options[0] else Action.SHIFT
    assert {action_at(profile, c, p, 0x00080021) for c in (CT, SR, UNKNOWN) for p in (0, PRIVATE_SEQUENCE)} == {
        expected
    }


def test_the_project_decides_whatever_the_type() -> None:
    profile = compile_profile(
        Deidentify(keep=("SeriesDate",), replace={"ContentDate": "20000101"}, remove=("PresentationCreationDate",))
    )
    told = [action_at(profile, c, 0, t) for c, t in ((CT, 0x00080021), (SR, 0x00080023), (PR, 0x00700082))]
    assert told == [Action.KEEP, Action.VALUE, Action.REMOVE]


def test_no_type_ever_lets_a_value_through(profile: Profile) -> None:
    """Fail closed: of all classes, in all places, what the types bring is removal, emptiness, a dummy or replaced content."""
    harmless = {Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.UID, Action.ITEMS, Action.SCRUB, Action.IDENTIFIER}
    ruled: list[Rule] = [
        rule
        for c, places in CLASSES.items()
        for parent in (*places, -2)
        for rule in profile.rules_at(c, parent).values()
    ]
    assert (
        len(ruled) > 10_000 and {rule.action for rule in ruled} <= harmless and not any(rule.spared for rule in ruled)
    )
