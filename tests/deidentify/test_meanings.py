"""Meanings of the standard's codes stay whole, those of anybody else are text; what is listed is what the script makes."""

from __future__ import annotations

import importlib.util
import io
import time
from pathlib import Path

import pydicom
import pytest

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.meanings import load_meanings
from gateway.model import Kept
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

SCRIPT = Path(__file__).parents[2] / "packaging/make_meanings.py"


@pytest.fixture(scope="module")
def cleaner() -> Cleaner:
    told = Deidentify(options=("clean-descriptors", "clean-structured-content"))
    return make_cleaner(project="p", deidentify=told, instance_rule=None, key=KEY)


def meaning(cleaner: Cleaner, text: str, patient: bytes = b"Zwackelmann^Petrosilius") -> str:
    code = Element(0x00080100, "SH", b"1"), Element(0x00080102, "SH", b"DCM"), Element(0x00080104, "LO", text.encode())
    item = Element(0x0040A043, "SQ", (code,)), Element(0x0040A160, "UT", b"chest")
    named = Element(0x00100010, "PN", patient)
    data = write(with_(base(), named, Element(0x0040A730, "SQ", (item,))), "explicit")
    done = cleaner.clean(data, SYNTAXES["explicit"], frozenset())
    assert isinstance(done, Kept)
    (content,) = pydicom.dcmread(io.BytesIO(b"".join(done.parts))).ContentSequence
    return str(content.ConceptNameCodeSequence[0].CodeMeaning)


@pytest.mark.parametrize(
    "text",
    [
        "Gray Level Co-occurrence Matrix", "Fitzpatrick Skin Type II", "Frank Lead A", "Nottingham Combined Grade",
        "Cockroft-Gault Formula estimation of GFR", "CRL by GA, Shinozuka 1996", "Modified Simpson",
        "Standardized Uptake Value lean body mass (James)",
    ],
)  # fmt: skip
def test_a_meaning_of_the_standard_stays_whole(cleaner: Cleaner, text: str) -> None:
    assert meaning(cleaner, text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Gray Level of Mr. Zobel", "Level"),
        ("Fitzpatrick Skin Type II at Quellenhof", "Skin Type II"),
        ("Miller", "ANON"),
        ("Robert", "ANON"),
    ],
)
def test_of_anybody_elses_the_names_go(cleaner: Cleaner, text: str, left: str) -> None:
    assert meaning(cleaner, text).startswith(left) and "Quellenhof" not in meaning(cleaner, text)


def test_not_where_the_patient_has_that_name(cleaner: Cleaner) -> None:
    assert meaning(cleaner, "Fitzpatrick Skin Type II", b"Fitzpatrick^Ada") == "Skin Type II"
    assert meaning(cleaner, "Fitzpatrick Skin Type II") == "Fitzpatrick Skin Type II"


def test_thousands_of_names_take_no_time_in_each_meaning(cleaner: Cleaner) -> None:
    people = tuple((Element(0x00100010, "PN", b"Zq%dzx^Pv%dy" % (n, n)),) for n in range(4000))
    codes = tuple(
        (Element(0x00080104, "LO", text), Element(0x00080100, "SH", b"1")) for text in sorted(load_meanings())
    )
    sequences = Element(0x00081140, "SQ", people), Element(0x00082218, "SQ", codes * 3)
    began = time.process_time()
    done = cleaner.clean(write(with_(base(), *sequences), "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(done, Kept) and b"Fitzpatrick Skin Type II" in b"".join(done.parts)
    assert time.process_time() - began < 6


def test_the_list_is_what_the_script_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_meanings", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert {text.encode() for text in script.mutilated()} == load_meanings(), f"make it anew: {SCRIPT.name}"
