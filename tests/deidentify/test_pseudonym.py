"""New values: equal in, equal out; without the key nothing is told; a crosswalk has the last word."""

from __future__ import annotations

import pytest

from gateway.deidentify.dates import offset_days
from gateway.deidentify.pseudonym import Pseudonyms

KEY = bytes(range(32))
ONE = Pseudonyms(KEY, "{pseudonym}")


def test_uids_are_legal_and_the_same_again() -> None:
    new = ONE.uid(b"1.2.3.4\0")
    assert new == ONE.uid(b"1.2.3.4") == Pseudonyms(KEY, "X{pseudonym}").uid(b" 1.2.3.4 ")
    assert new.startswith(b"2.25.") and len(new) <= 64 and not new[5:].startswith(b"0")
    assert new != Pseudonyms(bytes(32), "{pseudonym}").uid(b"1.2.3.4")
    assert ONE.uid(b"") == b"" and ONE.uid(b"1.2.840.10008.1.2") == b"1.2.840.10008.1.2"
    assert ONE.uids(b"1.2.3.4\\\\1.2.3.5 ") == new + b"\\\\" + ONE.uid(b"1.2.3.5")


def test_kinds_are_unrelated() -> None:
    same = b"4711"
    new = {ONE.identifier(b"00080050", same), ONE.identifier(b"00200010", same), ONE.patient_id(same, b"")}
    assert len(new) == 3 and all(len(v) == 16 for v in new)
    assert ONE.identifier(b"00080050", b" \0") == b""


def test_without_a_patient_id_the_study_stands_in() -> None:
    assert ONE.patient_id(b"", b"1.2.3") != ONE.patient_id(b"", b"1.2.4")
    assert ONE.patient_id(b"A", b"1.2.3") == ONE.patient_id(b"A ", b"1.2.4")
    assert ONE.days(b" ", b"1.2.3\0") == ONE.days(b"", b"1.2.3") != ONE.days(b"", b"1.2.4")
    assert ONE.days(b"A", b"1.2.3") == ONE.days(b" A", b"1.2.4") == offset_days(KEY, b"A")
    assert ONE.days(b"study1.2.3", b"") != ONE.days(b"", b"1.2.3")


def test_the_crosswalk_has_the_last_word() -> None:
    listed = Pseudonyms(KEY, "{pseudonym}", {b"PX-1": b"S001"})
    assert listed.knows(b"PX-1 ") and listed.patient_id(b" PX-1\0", b"1.2.3") == b"S001"
    for patient in (b"PX-2", b"", b"px-1"):
        assert not listed.knows(patient) and listed.patient_id(patient, b"1.2") == ONE.patient_id(patient, b"1.2")
    assert ONE.knows(b"anybody") and ONE.knows(b"")


def test_an_empty_crosswalk_knows_nobody() -> None:
    assert not Pseudonyms(KEY, "{pseudonym}", {}).knows(b"PX-1")


@pytest.mark.parametrize("patient", [b"PX-1", b"0012345", b"x" * 64])
def test_the_template_is_kept(patient: bytes) -> None:
    new = Pseudonyms(KEY, "CHEST-{pseudonym}").patient_id(patient, b"")
    assert new.startswith(b"CHEST-") and len(new) == 22 and patient not in new
