"""The templates of the configuration: where a clean file goes, what a patient is called, how a PACS writes accession numbers."""

from __future__ import annotations

import re
import string
from typing import Final

KEYWORDS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "StudyDate")
LAYOUT: Final = "a path below `path` made of names and " + ", ".join(f"{{{k}}}" for k in KEYWORDS)
PSEUDONYM: Final = "{pseudonym}"
PSEUDONYM_LENGTH: Final = 16  # letters that stand in for {pseudonym}
LO_LENGTH: Final = 64  # characters, PS3.5 6.2

ACCESSION_FORM: Final = (
    "text with {an} in it exactly once, as {an:0>10} to fill up to 10 characters, as {an:.16} to cut after 16"
)

_NAME: Final = re.compile(r"[A-Za-z0-9._+@= -]*")
_AROUND: Final = re.compile(r"[!-~ ]*")
_FORMAT: Final = re.compile(r"([!-~][<>^])?\d{0,2}(\.\d{1,2})?")


def layout_fault(layout: str) -> str | None:
    """What is allowed instead, None when every file has a place of its own below the root."""
    try:
        pieces = list(string.Formatter().parse(layout))
    except ValueError:
        return "{ and } only around a keyword; " + LAYOUT
    if any(field not in (None, *KEYWORDS) or spec or conversion for _, field, spec, conversion in pieces):
        return LAYOUT
    if "SOPInstanceUID" not in [field for _, field, _, _ in pieces]:
        return "{SOPInstanceUID} must be in it, else two files would have the same name"
    if any(not part or part.startswith(".") for part in layout.split("/")):
        return "a relative path: no / at either end, no empty or hidden part, no .."
    if not all(_NAME.fullmatch(text.replace("/", "")) for text, _, _, _ in pieces):
        return "letters, digits, space and . _ + @ = - between the keywords"
    return None


def patient_id_fault(template: str) -> str | None:
    """What is allowed instead, None when patients stay apart and the outcome is a legal LO."""
    around = template.split(PSEUDONYM)
    if len(around) != 2 or "{" in "".join(around) or "}" in "".join(around):
        return f"text with {PSEUDONYM} in it exactly once and no other braces, else patients could not be told apart"
    if not template.isascii() or not template.isprintable() or "\\" in template or template != template.strip():
        return "printable ASCII without backslash, without a space at either end"
    if sum(map(len, around)) + PSEUDONYM_LENGTH > LO_LENGTH:
        return f"at most {LO_LENGTH - PSEUDONYM_LENGTH} characters beside {PSEUDONYM}: a patient ID has {LO_LENGTH} (PS3.5 6.2)"
    return None


def accession_form_fault(template: str) -> str | None:
    """What is allowed instead, None when the template makes an accession number that may be sent (no wildcard: PS3.4 C.2.2.2.4)."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        return ACCESSION_FORM
    fields = [(field, spec, conversion) for _, field, spec, conversion in pieces if field is not None]
    if len(fields) != 1 or fields[0][0] != "an" or fields[0][2] or not _FORMAT.fullmatch(fields[0][1] or ""):
        return ACCESSION_FORM
    around = "".join(text for text, *_ in pieces) + (fields[0][1] or "")
    if not _AROUND.fullmatch(around) or any(c in around for c in "*?\\{}"):
        return "printable ASCII without * ? \\ { } around {an}"
    return None
