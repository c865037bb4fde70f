"""Coincidences: patients, staff, places and devices with ordinary and with nasty names, on headers as scanners write them.

Nothing of theirs stands in these headers but in the elements made for it. So whatever verification makes of an output, against
the same output without verification, is a false alarm: an instance refused, or an element lost.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from random import Random

import pytest

from gateway.deidentify import cleaner as cleaner_module
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.verify import verify
from gateway.model import Dropped, Kept
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.scanners import HEADERS, people
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

RECOMMENDED = (
    "clean-descriptors",
    "retain-longitudinal-modified-dates",
    "retain-patient-characteristics",
    "clean-structured-content",
    "clean-graphics",
)
OPTION_SETS = ((), RECOMMENDED, (*RECOMMENDED, "retain-device-identity", "retain-uids"))
PATIENTS = 300
"""In every run; 2,000 were measured: see `test_coincidences_are_rare`."""


@dataclass
class Score:
    instances: int = 0
    refused: int = 0
    touched: int = 0
    elements: int = 0
    lost: int = 0


@cache
def cleaner_of(options: tuple[str, ...]) -> Cleaner:
    return make_cleaner(project="alpha", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)


def score(patients: int, options: tuple[str, ...], patch: pytest.MonkeyPatch) -> tuple[Score, list[str]]:
    """The figures, and the reasons of what was refused or lost, without any value."""
    found, random = Score(), Random(20261125)
    reasons: list[str] = []
    for number in range(patients):
        persons = people(random)
        header = HEADERS[number % len(HEADERS)]
        data = write(with_(list(header), *persons), "explicit")
        leaks: list[str] = []

        def watched(*told: object, leaks: list[str] = leaks) -> str:
            leaks.append(verify(*told))  # type: ignore[arg-type]
            return leaks[-1]

        patch.setattr(cleaner_module, "verify", watched)
        result = cleaner_of(options).clean(data, SYNTAXES["explicit"], frozenset())
        found.instances += 1
        found.elements += len(header)
        found.refused += isinstance(result, Dropped)
        found.lost += len(set(filter(None, leaks)))
        found.touched += any(leaks)
        reasons += filter(None, leaks)
    return found, reasons


@pytest.mark.parametrize("options", OPTION_SETS, ids=["basic", "recommended", "retaining"])
def test_coincidences_are_rare(monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    found, reasons = score(PATIENTS, options, monkeypatch)
    assert found.refused == 0, reasons
    assert found.touched <= found.instances * 0.02, reasons
    assert found.lost <= found.elements * 0.0005, reasons


def test_the_measure_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does stand in a header is an element lost, and counted."""
    monkeypatch.setattr(
        "tests.deidentify.test_false_positives.people",
        lambda random: [Element(0x00100010, "PN", b"Syngoval^Quorx"), Element(0x00181020, "LO", b"Syngoval A40")],
    )
    found, _ = score(4, (), monkeypatch)
    assert found.lost >= 4


@pytest.mark.parametrize("name", [b"Incisive CT", b"LightSpeed VCT", b"MX16EVO"])
def test_a_station_called_as_its_model_costs_no_model(name: bytes) -> None:
    """It says what the model says, wherever it stands; elsewhere and as a serial number it goes."""
    named = [Element(0x00081010, "SH", name), Element(0x00081090, "LO", name), Element(0x00281055, "LO", b"at " + name)]
    clean = cleaner_of(RECOMMENDED).clean(write(with_(base(), *named), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(clean, Kept) and b"".join(clean.parts).count(name) == 1
    serial = with_(base(), Element(0x00181000, "LO", name), *named[1:])
    clean = cleaner_of(RECOMMENDED).clean(write(serial, "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(clean, Kept) and name not in b"".join(clean.parts)


@pytest.mark.parametrize("tag", [0x00200010, 0x00400253, 0x00401001])
@pytest.mark.parametrize(
    ("number", "stays"),
    [
        (b"CT Thorax", True),
        (b"Thorax", True),
        (b"Thorax 2", True),
        (b"Quastl", False),
        (b"Klein", False),
        (b"Klein J", False),
        (b"Klein 2", False),
        (b"Thorax 4-7-1-1", False),
    ],
)
def test_an_order_numbered_by_what_is_examined_costs_no_word_of_it(tag: int, number: bytes, stays: bool) -> None:
    texts = [Element(0x0008103E, "LO", b"Thorax nativ 5 mm"), Element(0x00181030, "LO", number)]
    data = write(with_(base(), Element(tag, "SH", number), *texts), "explicit")
    clean = cleaner_of(RECOMMENDED).clean(data, SYNTAXES["explicit"], frozenset())
    assert isinstance(clean, Kept) and b"Thorax nativ 5 mm" in b"".join(clean.parts)
    assert (number in b"".join(clean.parts)) is stays


@pytest.mark.parametrize("first", [-300, -40, 300, 1100])
@pytest.mark.parametrize("tag", [0x00100010, 0x00100020, 0x00400006, 0x00380010])
def test_samples_that_spell_a_tag_and_a_length_cost_no_waveform(tag: int, first: int) -> None:
    """Small numbers of 16 bits: in one of twelve electrocardiograms, what follows had at least six bytes without a NUL."""
    samples = struct.pack("<4h16h", tag >> 16, tag & 0xFFFF, 32, 0, *(first + 2 * n for n in range(16)))
    wave = Element(0x54000100, "SQ", ((Element(0x54001010, "OW", samples),),))
    clean = cleaner_of(RECOMMENDED).clean(write(with_(base(), wave), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(clean, Kept) and samples in b"".join(clean.parts)
    for name in (b"Quastenberg", "Müßiggang".encode()):
        hidden = Element(0x54000100, "SQ", ((Element(0x54001010, "OW", samples + name),),))
        data = write(with_(base(), Element(0x00100010, "PN", name), hidden), "explicit")
        clean = cleaner_of(RECOMMENDED).clean(data, SYNTAXES["explicit"], frozenset())
        assert isinstance(clean, Kept) and name not in b"".join(clean.parts)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00420011, "OB"), (0x00700256, "OB"), (0x00281201, "OW"), (0x54001010, "OW")]
)
def test_in_a_document_and_in_other_bytes_a_name_counts_as_it_may_be_encoded(tag: int, vr: str, encoding: str) -> None:
    """But for the samples of a waveform."""
    name = "王小东方" if encoding == "gb18030" else "Müßiggang"
    text = f"<patient>{name} </patient>".encode(encoding)
    named = Element(0x00080005, "CS", b"ISO_IR 192"), Element(0x00100010, "PN", name.encode())
    data = write(with_(base(), *named, Element(tag, vr, text + b" " * (len(text) % 2))), "explicit")
    clean = make_cleaner(
        project="p", deidentify=Deidentify(keep=("EncapsulatedDocument",)), instance_rule=None, key=KEY
    ).clean(data, SYNTAXES["explicit"], frozenset())
    assert isinstance(clean, Kept)
    assert (text in b"".join(clean.parts)) is (tag == 0x54001010 and encoding != "utf-8")
