"""What is in a series: the question before its retrieval, over the same association."""

from __future__ import annotations

from gateway.dicom.association import Scu
from gateway.dicom.listing import list_images
from gateway.errors import Retry
from gateway.state.rows import SeriesClaim

UNLISTABLE = frozenset({
    "find.unsupported", "find.unable", "find.truncated", "find.too-many", "find.unfinished", "find.strange-status",
})  # fmt: skip
"""Answers of a PACS that has no IMAGE level, or not for this series, or not in time: the count has to do."""


def list_series(scu: Scu, claim: SeriesClaim, *, limit: int = 0) -> list[str] | None:
    """SOPInstanceUIDs of the series; None when this PACS cannot list them. Raises Retry when it does not answer.

    `limit`: rows at which the PACS cuts an answer off (F7), 0 = unknown; such a list is none.
    """
    try:
        listed = list_images(scu, claim.StudyInstanceUID, claim.SeriesInstanceUID, PatientID=claim.PatientID)
        return None if limit and len(listed) >= limit else listed
    except Retry as err:
        if err.reason in UNLISTABLE:
            return None
        raise


def keys_of(scu: Scu, claim: SeriesClaim) -> dict[str, str]:
    """The unique keys of the series, with the patient where the model wants it."""
    uids = {"StudyInstanceUID": claim.StudyInstanceUID, "SeriesInstanceUID": claim.SeriesInstanceUID}
    return scu.keys(claim.PatientID, **uids)
