"""Whose pixels may show a name: told from the SOP class and what the object says of itself, before anything is decoded.

BurnedInAnnotation is believed only where it says YES: makers write NO without looking. So an object is safe by construction (a
scanner reconstructed it), likely safe (a projection, where somebody may have typed a label), or at risk (whatever was
photographed, captured from a screen or drawn by an ultrasound machine, and every class that is not listed here).
"""

from __future__ import annotations

from collections.abc import Mapping

SOP_CLASS = 0x00080016
IMAGE_TYPE = 0x00080008
CONVERSION_TYPE = 0x00080064
PHOTOMETRIC = 0x00280004
BURNED_IN = 0x00280301
RISK_TAGS = frozenset({SOP_CLASS, IMAGE_TYPE, CONVERSION_TYPE, PHOTOMETRIC, BURNED_IN})
"""Top-level elements whose original values `pixel_risk` needs."""

_STORAGE = b"1.2.840.10008.5.1.4.1.1."
RECONSTRUCTED = frozenset(
    _STORAGE + suffix
    for suffix in (b"2", b"2.1", b"2.2", b"4", b"4.1", b"4.4", b"128", b"128.1", b"130", b"20", b"13.1.1", b"13.1.2")
    + (b"13.1.3", b"481.2", b"66.4", b"66.7", b"30", b"1.1.1", b"1.2.1", b"1.3.1", b"13.1.5")
)
"""CT, MR, PET, NM, 3D X-ray, dose, segmentations, parametric maps, and X-ray images for processing."""
LABEL_MAP = _STORAGE + b"66.7"
"""A segmentation whose pixels are numbers of segments, shown in the colours of a palette (PS3.3 C.8.20.2)."""
PROJECTED = frozenset(
    _STORAGE + suffix
    for suffix in (b"1", b"1.1", b"1.2", b"1.3", b"13.1.4", b"12.1", b"12.1.1", b"12.2", b"12.2.1")
    + (b"481.1", b"481.23", b"481.24")
)
"""CR, DX, MG, intra-oral, XA, RF, RT images: pixels of a detector, on which labels may have been burnt."""
KNOWN = RECONSTRUCTED | PROJECTED
CAPTURED = (b"SCREEN", b"CAPTURE", b"DOSE_INFO", b"PROTOCOL", b"REPORT")
"""What image types of screen pages contain."""
GREY = (b"MONOCHROME1", b"MONOCHROME2", b"")


def pixel_risk(seen: Mapping[int, bytes], *, screening: bool) -> str:
    """Of an object with pixel data: "" where it is safe as it is, else a slug. `screening`: projections are looked at too."""
    if _text(seen, BURNED_IN) == b"YES":
        return "pixels.burned-in"
    sop_class = _text(seen, SOP_CLASS)
    if sop_class not in KNOWN:
        return "pixels.at-risk"
    if _is_capture(seen):
        return "pixels.capture"
    return "pixels.projection" if screening and sop_class in PROJECTED else ""


def _is_capture(seen: Mapping[int, bytes]) -> bool:
    """A page of the scanner's screen that was stored as an image of its class: colour, converted, or named as one."""
    kind = _text(seen, IMAGE_TYPE)
    named = any(word in kind for word in CAPTURED)
    coloured = _text(seen, PHOTOMETRIC) not in GREY and _text(seen, SOP_CLASS) != LABEL_MAP
    return named or bool(_text(seen, CONVERSION_TYPE)) or coloured


def _text(seen: Mapping[int, bytes], tag: int) -> bytes:
    return seen.get(tag, b"").strip(b" \0").upper()
