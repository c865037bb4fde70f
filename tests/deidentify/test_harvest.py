"""What is taken from an original: values wherever they stand, whatever hides them; UIDs and where they are from."""

from __future__ import annotations

import pytest

from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.harvest import Own, harvest, tag_search
from gateway.deidentify.searched import How, searched
from gateway.deidentify.verify import verify
from gateway.model import Kept
from tests.deidentify.seeking import CODECS, NOTHING, codec_of, original
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write


def test_harvest_needs_no_structure() -> None:
    element = write([Element(0x00100010, "PN", b"Roe^Jane"), Element(0x00100020, "LO", b"A\\B ")], "explicit")
    implicit = write([Element(0x00200010, "SH", b"STUDY7")], "implicit")
    codec = CODECS.little_explicit
    broken = b"\x10\0\x10\0PN\x50\0x"
    found = harvest([b"noise" + element + b"\xff\xff" + implicit, broken], codec, tag_search(codec))
    values = {(own.tag, own.text) for own in found.values}
    assert values == {(0x00100010, b"Roe^Jane"), (0x00100020, b"A"), (0x00100020, b"B"), (0x00200010, b"STUDY7")}


@pytest.mark.parametrize("before", [bytes([code]) for code in range(256)])
def test_no_chance_find_hides_the_element_behind_it(before: bytes) -> None:
    """A value's last byte and the tag's first three may look like another tag."""
    element = write([Element(0x00321032, "PN", b"Roe^Jane")], "implicit")
    for noise in (before, b"\0" + before, before + b"\0", b"\x08" + before, before + b"\x10"):
        assert len(harvest([noise + element], CODECS.little_implicit, tag_search(CODECS.little_implicit)).values) == 1


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_a_long_list_is_taken_and_what_covers_other_elements_is_not(syntax: str) -> None:
    """Other IDs, operators: as many as there are."""
    numbers = b"\\".join(b"QX%07d" % number for number in range(700))
    assert Own(0x00101000, b"QX0000699") in original([Element(0x00101000, "LO", numbers)], syntax).values
    covered = [Element(0x00101000, "LO", write([Element(0x00081050, "PN", b"A" * 60)] * 20, syntax))]
    assert {own.tag for own in original(covered, syntax).values} == {0x00081050}


def test_what_is_searched_comes_from_the_table() -> None:
    by_how = {how: [tag for tag in searched() if searched()[tag] is how] for how in How}
    assert len(by_how[How.NAME]) >= 28 and len(by_how[How.ID]) >= 22 and len(by_how[How.PLACE]) >= 30
    assert {0x00100020, 0x00080050, 0x00380010, 0x00402017, 0x00102154} <= set(by_how[How.ID])
    assert {0x00080080, 0x00081040, 0x00101040, 0x00380300} <= set(by_how[How.PLACE])
    assert {0x00081010, 0x00181000, 0x00400241} <= set(by_how[How.DEVICE])
    assert not {0x00081030, 0x00080070, 0x00081090, 0x00181020, 0x00180015, 0x00120020} & set(searched())


def test_class_uids_are_public_but_not_when_they_are_an_instances_too() -> None:
    private = b"1.3.12.2.1107.5.9.1"
    both = [Element(0x00080016, "UI", private), Element(0x00080018, "UI", b"1.2.3.4.5.6")]
    assert original(both).uids == {b"1.2.3.4.5.6"}
    assert original([Element(0x00080016, "UI", private), Element(0x00080018, "UI", private)]).uids == {private}


MADE_OF_A_UUID = b"2.25.329800735698586629295641978511506172918"


UIDS = (
    b"1.2.3.4.5",
    b"0.9.2342.19200300.100.4",
    *(MADE_OF_A_UUID + more for more in (b"", b".5", b".1.2", b".1.2.3", b"0" * 18)),
    *(b"1.2.3.4.5".ljust(length, b"6") for length in range(44, 60)),
)
"""A big endian length of 46 is a dot, of 48 to 57 a digit."""


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_uids_and_their_homes(uid: bytes, syntax: str) -> None:
    """An element kept for its UIDs keeps all its values, also as UN; a UID that stands elsewhere only is a leak."""
    two = Element(0x00083010, "UI", b"1.2.3.4.77\\" + uid)
    for vr in ("UI", "UN"):
        elements = [Element(0x00083010, vr, b"1.2.3.4.77\\" + uid), Element(0x00081030, "LO", b"1.2.3.4.99")]
        own = original(elements, syntax)
        assert own.uids == {uid, b"1.2.3.4.77", b"1.2.3.4.99"}
        assert original([Element(0x00083010, vr, uid)], syntax).uids == {uid}
        result, codec = write([two], syntax), codec_of(syntax)
        assert verify([result], codec, own, (), frozenset({0x00083010})) == ""
        assert verify([result], codec, own, (), frozenset()) == "verify.uid@00083010"
        typed = write([Element(0x00081030, "LO", b"see 1.2.3.4.99")], syntax)
        assert verify([typed], codec, own, (), frozenset({0x00083010})) == "verify.uid@00081030"


def test_parts_of_uids_are_no_uids() -> None:
    own = original([Element(0x00080018, "UI", b"1.2.3.4.5.6")])
    for other in (b"1.2.3.4.5.67", b"11.2.3.4.5.6", b"1.2.3.4.5.6.7", b"0.1.2.3.4.5.6"):
        assert (
            verify(
                [write([Element(0x00080018, "UI", other)], "explicit")], CODECS.little_explicit, own, (), frozenset()
            )
            == ""
        )
    many = NOTHING._replace(uids=frozenset(b"1.2.3.4.5.%d" % number for number in range(5000)))
    for other, tag in ((b"1.2.3.4.5.4999", "@00080018"), (b"1.2.3.4.5.5000", ""), (b"1.2.3.4.5", "")):
        found = verify(
            [write([Element(0x00080018, "UI", other)], "explicit")], CODECS.little_explicit, many, (), frozenset()
        )
        assert found == (f"verify.uid{tag}" if tag else "")


def test_a_registered_frame_of_reference_is_nobodys(cleaner: Cleaner) -> None:
    """PS3.6 Annex A: an atlas is public, whatever element names it; a UID that only looks registered is not."""
    atlas, made = b"1.2.840.10008.1.4.1.1", b"1.2.840.10008.4711.20261234"
    for uid, stays in ((atlas, True), (made, False)):
        data = write(with_(base(), Element(0x00200052, "UI", uid)), "explicit")
        result = cleaner.clean(data, SYNTAXES["explicit"], frozenset())
        assert isinstance(result, Kept) and (uid in b"".join(result.parts)) is stays


def test_a_list_of_hundreds_of_ids_takes_no_ones_place() -> None:
    """Beyond the first hundreds only whole words are looked for: no telephone number, and no name within a word."""
    other_ids = b"\\".join(b"X-%06d" % (100_000 + 37 * number) for number in range(500))
    others = [
        Element(0x00080090, "PN", b"Zwirnsperger^Kunigunde"),
        Element(0x00101000, "LO", other_ids),
        Element(0x00102154, "SH", b"+49 6221 56-34567"),
    ]
    own = original(with_(base(), *others))
    for text in (b"call +49 6221 56-34567", b"DrZwirnsperger2", b"see X100037"):
        result = write([Element(0x00080104, "LO", text)], "explicit")
        assert verify([result], CODECS.little_explicit, own, (), frozenset()).endswith("@00080104"), text
