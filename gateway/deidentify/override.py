"""What a project may say on top of the profile: tags by name, and fixed values that stay legal."""

from __future__ import annotations

import re

from pydicom.datadict import tag_for_keyword

LENGTHS = {
    b"AE": 16,
    b"AS": 4,
    b"CS": 16,
    b"DS": 16,
    b"IS": 12,
    b"LO": 64,
    b"PN": 64,
    b"SH": 16,
    b"DA": 8,
    b"TM": 14,
    b"DT": 26,
}
"""Characters a value of the VR may have (PS3.5 6.2); what is not listed may be long."""

PLACE = "{pseudonym}"
PSEUDONYM_LENGTH = 16


class BadProfile(ValueError):
    """The profile cannot be compiled; the message says why, in a sentence for the administrator."""


def parse_tag(name: str) -> int:
    """`PatientSex`, `00100040`, `0010,0040` or `(0010,0040)` as a number. Raises BadProfile."""
    tag = tag_for_keyword(name)
    if tag is not None:
        return int(tag)
    match = re.fullmatch(r"\(?([0-9A-Fa-f]{4}),?\s?([0-9A-Fa-f]{4})\)?", name)
    if match is None:
        raise BadProfile(f"{name}: neither a keyword nor a tag of the standard")
    return int(match[1] + match[2], 16)


def check_value(name: str, text: str, vr: bytes) -> bytes:
    """`text` as the bytes of an element. ASCII only: it must be legal in whatever character set the data set declares."""
    if not text.isascii() or not text.isprintable() or "\\" in text:
        raise BadProfile(f"{name}: the fixed value must be printable ASCII without backslash")
    if len(text) > LENGTHS.get(vr, 1024):
        raise BadProfile(f"{name}: the fixed value is longer than {LENGTHS.get(vr, 1024)} characters")
    return text.encode()


def check_patient_id(template: str) -> None:
    """The template must tell patients apart and fit into LO (PS3.5 6.2)."""
    if PLACE not in template:
        raise BadProfile(f"patient_id: must contain {PLACE}, else all patients become one")
    check_value("patient_id", template.replace(PLACE, "A" * PSEUDONYM_LENGTH), b"LO")
