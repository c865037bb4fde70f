"""What no other test noticed when the engine's source was mutated: levels kept apart, sizes of numbers, values over versions."""

from __future__ import annotations

import pytest

from gateway.deidentify.cleaner import make_cleaner
from gateway.deidentify.forms import form_of, is_legal
from gateway.deidentify.private import unnumbered
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.model import Held, Kept
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.planted import opened
from tests.deidentify.reading import Read, body_of, elements
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

GOLDEN = [b"EW5AMUE7Y3B6FXXL", b"7MU4U42KNCTW4VIY", b"RO5OZVNDPWPI6CDY"]
GOLDEN_UID = b"2.25.312044981947687223186980937219549071866"
GOLDEN_DAYS, GOLDEN_STUDY_DAYS = -602, -2179


def cleaned(planted: list[Element], *options: str) -> tuple[Kept | Held, dict[str, Read]]:
    cleaner = make_cleaner(project="alpha", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)
    result = cleaner.clean(write(planted, "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept | Held), result
    return result, {e.path: e for e in elements(body_of(opened(result.parts, "explicit")), "explicit")}


@pytest.mark.parametrize(
    "inner",
    [
        Element(0x00080008, "CS", b"DERIVED\\SECONDARY\\SCREEN SAVE"),
        Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.6.1"),
        Element(0x00280301, "CS", b"YES"),
        Element(0x00280010, "US", b"\1\0"),
    ],
)
def test_what_an_item_says_is_not_said_of_the_instance(inner: Element) -> None:
    """A reference to an ultrasound image makes none of a CT, nor do the rows of an icon cut its pixels."""
    result, found = cleaned(with_(base(), Element(0x00082218, "SQ", ((inner,),))))
    assert isinstance(result, Kept) and len(found["7FE00010"].value) == 128
    assert found["00080016"].value.strip(b"\0") == b"1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("vr", "size"), {"AT": 4, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "SV": 8, "UV": 8, "US": 2}.items()
)
def test_numbers_are_whole(vr: str, size: int) -> None:
    whole = form_of(vr.encode())
    for count in range(1, 4):
        value = bytes(size * count)
        assert is_legal(vr.encode(), value) and (whole is None or whole(value, 0, len(value)))
        if size > 2:
            assert whole is not None and not whole(value + bytes(2), 0, len(value) + 2)
            assert not whole(value, 0, len(value) + size)  # behind the end of the bytes
        assert not is_legal(vr.encode(), value + b"\0") or size == 1


def test_pseudonyms_are_the_same_in_every_version() -> None:
    """A patient must not become another one with an update: these values may never change."""
    made = Pseudonyms(bytes(range(32)), "{pseudonym}")
    assert [
        made.patient_id(b"PX-774411", b""),
        made.patient_id(b"", b"1.2.3"),
        made.identifier(b"00080050", b"ACC7744110"),
    ] == GOLDEN
    assert made.uid(b"1.2.826.0.1.3680043.9.7411.1") == GOLDEN_UID and made.days(b"PX-774411", b"1.2.3") == GOLDEN_DAYS
    assert made.days(b"", b"1.2.3") == GOLDEN_STUDY_DAYS


def test_a_private_element_is_distrusted_in_any_block() -> None:
    """The patient's name in a safe code string: only that element goes, whatever number its block has."""
    assert unnumbered(0x01E14226) == unnumbered(0x01E11026) == 0x01E10026 and unnumbered(0x00104226) == 0x00104226
    creator = Element(0x01E10042, "LO", b"ELSCINT1")
    for value, stays in ((b"HEAD", True), (b"QUASTENBERG", False)):
        _, found = cleaned(with_(base(), creator, Element(0x01E14226, "CS", value)), "retain-safe-private")
        assert ("01E14226" in found and found["01E14226"].value.strip() == value) is stays
        assert found["01E10042"].value == b"ELSCINT1"


def test_text_in_the_place_of_a_uid_leaves_it_empty() -> None:
    _, found = cleaned(with_(base(), Element(0x00081167, "ST", b"abc")), "retain-uids")
    assert found["00081167"].value == b""


@pytest.mark.parametrize(
    ("value", "legal"),
    [(b"120.5 ", True), (b"-3.", True), (b"12\\812.50", True), (b"04.05.1960", False), (b"12a", False), (b".5", False)],
)
def test_an_integer_with_a_fraction_is_a_number_too(value: bytes, legal: bool) -> None:
    """ExposureTime 812.5, as some modalities write it, was emptied."""
    assert is_legal(b"IS", value) is legal
