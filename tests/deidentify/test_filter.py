"""Attributes as the instance rule sees them."""

from __future__ import annotations

import struct

import pytest

from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.filter import attributes, watched_by
from gateway.rules import SelectionRule

SEEN = {
    0x00080005: b"ISO_IR 192",
    0x00080008: b"ORIGINAL\\PRIMARY ",
    0x00081030: "Schädel ".encode(),
    0x00180050: b"2.5 ",
    0x00200032: b"1\\2\\-3.5",
    0x00180060: b"many",
    0x00280010: b"\0\2",
    0x00189074: b"",
}


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_by_vr_and_multiplicity(cleaner: Cleaner, order: str) -> None:
    codecs = cleaner.profile.codecs
    codec = codecs.little_implicit if order == "<" else codecs.big_explicit
    seen = SEEN | {0x00280010: struct.pack(order + "H", 512), 0x00189087: struct.pack(order + "d", 0.5)}
    keywords = [
        "ImageType",
        "StudyDescription",
        "SliceThickness",
        "ImagePositionPatient",
        "KVP",
        "Rows",
        "DiffusionBValue",
    ]
    found = attributes(seen, codec, [*keywords, "Modality", "FrameType", "NoKeyword"])
    assert found["ImageType"] == ["ORIGINAL", "PRIMARY"] and found["StudyDescription"] == "Schädel"
    assert (found["SliceThickness"], found["ImagePositionPatient"]) == (2.5, [1.0, 2.0, -3.5])
    assert (found["KVP"], found["Rows"], found["DiffusionBValue"]) == (None, 512.0, 0.5)
    assert found["Modality"] is None and found["FrameType"] is None and "NoKeyword" not in found


@pytest.mark.catalogue("D1")
def test_a_character_set_nobody_knows_is_read_as_latin(cleaner: Cleaner) -> None:
    seen = {0x00080005: b"ISO_IR 999", 0x00081030: b"Sch\xe4del"}
    assert attributes(seen, cleaner.profile.codecs.little_explicit, ["StudyDescription"]) == {
        "StudyDescription": "Schädel"
    }


def test_only_the_rules_keywords_are_watched() -> None:
    assert watched_by(SelectionRule("instance", "Modality == 'CT'")) - watched_by(None) == {0x00080060}
