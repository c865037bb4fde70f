"""DICOM elements named in the configuration: `keep`, `remove`, `replace` and the symbols of selection rules."""

from __future__ import annotations

import re
from typing import Final

from pydicom import config
from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_VR,
    keyword_dict,
    keyword_for_tag,
    tag_for_keyword,
)
from pydicom.valuerep import validate_value

from gateway.settings.finding import nearest

ELEMENT: Final = 'a keyword or tag of the DICOM dictionary, such as "StudyDescription" or "(0008,1030)"'
TEXT: Final = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT")
)
OURS: Final = frozenset((
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "FloatPixelData", "DoubleFloatPixelData", "PixelData",
))  # fmt: skip
"""What an instance is known by, and what says that it was de-identified: not open to a project."""

DATA_SET: Final = range(0x0008_0000, 0xFFFE_0000)
"""Lower groups are of commands and file heads (PS3.5 7.1), the last one delimits items: no elements of the data set."""

_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?([0-9A-Fa-f]{4})\)?")


def parse_element(name: str) -> int | None:
    """The tag of a keyword, `00100040`, `0010,0040` or `(0010,0040)`; None when the standard's dictionary has none such."""
    match = _TAG.fullmatch(name)
    tag = int(match[1] + match[2], 16) if match else tag_for_keyword(name)
    return tag if tag is not None and tag in DATA_SET and dictionary_has_tag(tag) else None


def element_fault(name: str) -> str | None:
    """What is allowed instead, None when a project may say what becomes of that element."""
    tag = parse_element(name)
    if tag is None:
        meant = near_keyword(name)
        return f"did you mean {meant!r}? Allowed: {ELEMENT}" if meant else ELEMENT
    return "another element: this one is decided by the gateway" if keyword_for_tag(tag) in OURS else None


def replace_fault(name: str, value: str) -> str | None:
    """What is allowed instead, None when `value` is legal for that element in any character set."""
    fault = element_fault(name)
    tag = parse_element(name)
    if fault or tag is None:
        return fault
    vr = dictionary_VR(tag)
    if vr not in TEXT:
        return f"an element of text: this one is {vr}"
    if not value.isascii() or not value.isprintable() or "\\" in value or not _fits(vr, value):
        return f"a single value that VR {vr} allows (PS3.5 6.2), in printable ASCII without backslash"
    return None


def near_keyword(word: str) -> str | None:
    """The DICOM keyword most like `word`, None when none is."""
    return nearest(word, keyword_dict, likeness=0.75)


def _fits(vr: str, value: str) -> bool:
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return True
