"""What is accepted of a proposal, the first time and again."""

from __future__ import annotations

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.contexts import LARGEST, REMEMBERED, StorageClasses

CT, MR, PRINT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.1.9"
Accepted = list[tuple[str, list[str]]]


def accepted(classes: StorageClasses, *proposed: PresentationContext) -> Accepted:
    return [(str(c.abstract_syntax), [*map(str, c.transfer_syntax)]) for c in classes.supported(proposed)]


def test_the_same_proposal_is_answered_alike_and_another_one_by_itself() -> None:
    classes = StorageClasses()
    implicit_first = build_context(CT, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    compressed = build_context(CT, [JPEG2000Lossless])
    for _ in range(2):
        assert accepted(classes, implicit_first) == [(CT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
        assert accepted(classes, compressed) == [(CT, [JPEG2000Lossless])]
        assert accepted(classes, implicit_first, compressed, build_context(MR, [ImplicitVRLittleEndian])) == [
            (CT, [ExplicitVRLittleEndian, JPEG2000Lossless, ImplicitVRLittleEndian]), (MR, [ImplicitVRLittleEndian]),
        ]  # fmt: skip
        assert accepted(classes, build_context(PRINT, [ImplicitVRLittleEndian])) == []
        assert accepted(classes) == []


def test_other_services_are_those_of_this_server() -> None:
    asked = build_context(PRINT, [ImplicitVRLittleEndian])
    assert accepted(StorageClasses(frozenset({PRINT})), asked) == [(PRINT, [ImplicitVRLittleEndian])]
    assert accepted(StorageClasses(), asked) == []


def test_no_more_is_remembered_than_there_are_peers() -> None:
    classes = StorageClasses(limit=0)
    many = build_context(CT, [f"1.2.{number}" for number in range(LARGEST)])
    assert classes.supported([many]) is not classes.supported([many])
    first = build_context(CT, [ImplicitVRLittleEndian])
    remembered = classes.supported([first])
    assert classes.supported([build_context(CT, [ImplicitVRLittleEndian])]) is remembered
    for number in range(REMEMBERED):
        classes.supported([build_context(CT, [f"1.2.{number}"])])
    assert classes.supported([first]) is not remembered
    assert accepted(classes, first) == [(CT, [ImplicitVRLittleEndian])]
