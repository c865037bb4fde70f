"""What a PACS answers whom it should know: C-ECHO, then C-FIND and C-MOVE or C-GET of what cannot be (docs/pacs-behaviour.md A1).

C-ECHO proves little: some PACS answer it to anybody, accept every association, and drop the link at the first real question.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.getting import Storing
from gateway.dicom.identifier import identifier
from gateway.dicom.incoming import Incoming
from gateway.dicom.models import MODELS
from gateway.dicom.moving import MoveWatch
from gateway.dicom.status import Whose, move_failure
from gateway.errors import Refused, Retry
from gateway.settings import Pacs

SILENCE: Final = 30.0
TOTAL: Final = 60.0  # seconds
DROPPED: Final = frozenset({"pacs.aborted", "pacs.no-answer"})
NOBODY: Final = "PACS-GATEWAY-CANARY"  # the patient, where the PACS is asked by Patient Root
ROWS: Final = 10
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
OUT_OF_RESOURCES: Final = 0xA700


@dataclass(frozen=True)
class Canary:
    """`calling_ae`: ours. `deadlines`: tests have shorter ones."""

    pacs: Pacs
    calling_ae: str
    deadlines: Deadlines | None = None

    def sing(self) -> str:
        """What it answers. Raises Retry and Refused: a sentence that says what to do, for each way to be a stranger there."""
        study, series = _uid(), _uid()
        model = MODELS[self.pacs.query_model]
        storing = Storing((CT_IMAGE,), _unable, self.pacs) if self._by_get else None
        with Scu(self.pacs, self.calling_ae, deadlines=self.deadlines, model=model, storing=storing) as scu:
            scu.echo()
            self._find(scu, study)
            status = self._move(scu, study, series)
        if self._by_get:
            return f"answers C-ECHO, C-FIND and C-GET (0x{status:04X})"
        unsaid = f"only a move of something shows whether {self.calling_ae} is a destination there"
        return f"answers C-ECHO, C-FIND and C-MOVE (0x{status:04X}: {unsaid})"

    def _find(self, scu: Scu, study: str) -> None:
        try:
            rows = scu.find(identifier("STUDY", scu.keys(NOBODY, StudyInstanceUID=study)), row_cap=ROWS)
        except Retry as err:
            if err.reason == "find.too-many":
                rows = [identifier("STUDY", {})]
            elif err.reason in DROPPED:
                raise self._stranger("it answers C-ECHO, but drops the link at the first C-FIND") from None
            else:
                raise Refused(err.reason, f"it answers C-ECHO, but not C-FIND: {err.detail}") from None
        if rows:
            raise Refused(
                "pacs.ignores-keys", "it lists studies of a UID that does not exist: it ignores what is asked for"
            )

    def _move(self, scu: Scu, study: str, series: str) -> int:
        """Nothing can come of it, for the list was empty. dcmqrscp calls that a success before it looks for a destination."""
        keys = identifier("SERIES", scu.keys(NOBODY, StudyInstanceUID=study, SeriesInstanceUID=series))
        try:
            watch = MoveWatch(_nothing, SILENCE, TOTAL, bool)
            status = scu.get(keys, watch=watch) if self._by_get else scu.move(keys, self.calling_ae, watch=watch)
        except Retry as err:
            if err.reason in DROPPED:
                raise self._stranger(f"it answers C-FIND, but drops the link at {self._verb}") from None
            raise Refused(err.reason, f"it answers C-FIND, but not {self._verb}: {err.detail}") from None
        failure = move_failure(status)
        if failure.whose is Whose.CONFIG:
            told = f"{self._verb} is answered 0x{status:04X}"
            raise Refused(failure.reason, f"{told}: {self._why(failure.reason)}")
        return status

    @property
    def _by_get(self) -> bool:
        return self.pacs.retrieve == "get"

    @property
    def _verb(self) -> str:
        return "C-GET" if self._by_get else "C-MOVE"

    def _why(self, reason: str) -> str:
        if reason == "move.unknown-destination":
            return f"{self.calling_ae} is not known there as a destination, with our host and port"
        return f"{self.calling_ae} may not retrieve from it, or not so"

    def _stranger(self, seen: str) -> Refused:
        return Refused("pacs.stranger", f"{seen}: it does not know {self.calling_ae}, as a client of its queries")


def _uid() -> str:
    """PS3.5 B.2: nobody else has it."""
    return f"2.25.{uuid.uuid4().int}"


def _nothing() -> float:
    return 0.0


def _unable(_incoming: Incoming) -> int:
    """Whatever it sends all the same."""
    return OUT_OF_RESOURCES
