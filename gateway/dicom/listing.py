"""What is in a series, by the PACS's own list: IMAGE-level C-FIND (PS3.4 C.6.2.1.4), the measure of completeness."""

from __future__ import annotations

from typing import Final

from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier, text

IMAGE_CAP: Final = 20_000
"""Rows. More in one series than any scanner makes: the PACS ignores the keys."""


def list_images(scu: Scu, StudyInstanceUID: str, SeriesInstanceUID: str, *, PatientID: str = "") -> list[str]:
    """SOPInstanceUIDs of the series, each once, in the order answered. Raises what `Scu.find` raises."""
    keys = scu.keys(PatientID, StudyInstanceUID=StudyInstanceUID, SeriesInstanceUID=SeriesInstanceUID)
    rows = scu.find(identifier("IMAGE", keys, frozenset({"SOPInstanceUID"})), row_cap=IMAGE_CAP)
    mine = (row for row in rows if all(text(row, k) in ("", uid) for k, uid in keys.items()))
    return list(dict.fromkeys(uid for uid in (text(row, "SOPInstanceUID") for row in mine) if uid))
