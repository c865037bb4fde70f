"""The two questions of a retrieval, asked over one association: what is in the series, and send it to us."""

from __future__ import annotations

from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier
from gateway.dicom.listing import list_images
from gateway.dicom.moving import MoveAnswer, MoveWatch
from gateway.errors import Retry
from gateway.state.rows import SeriesClaim

UNLISTABLE = frozenset({"find.unsupported", "find.unable", "find.truncated", "find.too-many", "find.strange-status"})
"""Answers of a PACS that has no IMAGE level, or not for this series: the count has to do."""


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


def move_series(scu: Scu, claim: SeriesClaim, destination: str, watch: MoveWatch) -> MoveAnswer:
    """C-MOVE of the series to our own AE. Raises what `Scu.move` raises."""
    uids = {"StudyInstanceUID": claim.StudyInstanceUID, "SeriesInstanceUID": claim.SeriesInstanceUID}
    keys = scu.keys(claim.PatientID, **uids)
    return scu.move(identifier("SERIES", keys), destination, watch=watch)
