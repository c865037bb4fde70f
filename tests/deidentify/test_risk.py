"""Whose pixels may show a name: by class, and by what the object says of itself."""

from __future__ import annotations

import pytest

from gateway.deidentify.risk import BURNED_IN, CONVERSION_TYPE, IMAGE_TYPE, PHOTOMETRIC, SOP_CLASS, pixel_risk

STORAGE = b"1.2.840.10008.5.1.4.1.1."
LABEL_MAP = STORAGE + b"66.7"


@pytest.mark.parametrize(
    ("number", "photometric", "risk"),
    [
        (b"2", b"MONOCHROME2 ", ""),
        (b"66.4", b"MONOCHROME2", ""),
        (b"66.7", b"MONOCHROME2", ""),
        (b"66.7", b"PALETTE COLOR ", ""),  # numbers of segments, in the colours to show them in
        (b"2", b"PALETTE COLOR", "pixels.capture"),
        (b"2", b"RGB", "pixels.capture"),
        (b"7", b"MONOCHROME2", "pixels.at-risk"),
        (b"6.1", b"RGB", "pixels.at-risk"),
    ],
)
def test_what_was_reconstructed_or_segmented_passes(number: bytes, photometric: bytes, risk: str) -> None:
    assert pixel_risk({SOP_CLASS: STORAGE + number, PHOTOMETRIC: photometric}, screening=True) == risk


@pytest.mark.parametrize(
    ("tag", "value", "risk"),
    [
        (BURNED_IN, b"YES ", "pixels.burned-in"),
        (CONVERSION_TYPE, b"WSD ", "pixels.capture"),
        (IMAGE_TYPE, b"DERIVED\\SECONDARY\\SCREEN SAVE", "pixels.capture"),
    ],
)
def test_a_label_map_that_says_more_is_held_as_any(tag: int, value: bytes, risk: str) -> None:
    seen = {SOP_CLASS: LABEL_MAP, PHOTOMETRIC: b"PALETTE COLOR", tag: value}
    assert pixel_risk(seen, screening=False) == risk
