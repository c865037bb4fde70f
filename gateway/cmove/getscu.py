"""C-GET in place of C-MOVE: a series comes on our own association, for a PACS that opens none to us (firewalls, no destination)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.dicom.association import Scu
from gateway.dicom.getting import Storing
from gateway.dicom.identifier import identifier, text
from gateway.dicom.incoming import Incoming
from gateway.dicom.listing import IMAGE_CAP
from gateway.dicom.moving import MoveAnswer, MoveWatch
from gateway.errors import Retry
from gateway.settings import Pacs
from gateway.state.rows import SeriesClaim

USUAL: Final = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in (
    "2", "2.1", "4", "4.1", "7", "7.2", "7.4", "1", "1.1", "1.2", "1.3", "3.1", "6.1", "12.1", "12.2", "20", "128", "130",
    "66", "66.4", "11.1", "88.11", "88.22", "88.33", "88.59", "88.67", "104.1", "481.1", "481.2", "481.3", "481.5",
))  # fmt: skip
"""SOP classes of most of what a hospital has, for a PACS that does not list what it has."""
MOST: Final = 60
"""Classes of one series: there are one or two."""


@dataclass(frozen=True)
class Getting:
    """How the series of one PACS are fetched. `connect`: an association that offers this; `store`: as at the receiver."""

    pacs: Pacs
    connect: Callable[[Storing], Scu]
    store: Callable[[Incoming], int]

    def get_series(self, scu: Scu, claim: SeriesClaim, watch: MoveWatch) -> MoveAnswer:
        """On an association of its own, whose contexts are those of its classes. Raises what `Scu.get` raises."""
        uids = {"StudyInstanceUID": claim.StudyInstanceUID, "SeriesInstanceUID": claim.SeriesInstanceUID}
        keys = scu.keys(claim.PatientID, **uids)
        storing = Storing(self._classes(scu, keys), self.store, self.pacs)
        with self.connect(storing) as link:
            return link.get(identifier("SERIES", keys), watch=watch)

    def _classes(self, scu: Scu, keys: dict[str, str]) -> tuple[str, ...]:
        """What the PACS lists, else the usual ones."""
        try:
            rows = scu.find(identifier("IMAGE", keys, frozenset({"SOPInstanceUID", "SOPClassUID"})), row_cap=IMAGE_CAP)
        except Retry as err:
            if not err.charge:
                raise
            rows = []
        listed = dict.fromkeys(uid for uid in (text(row, "SOPClassUID") for row in rows) if uid)
        return tuple(listed)[:MOST] or USUAL
