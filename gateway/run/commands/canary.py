"""What a PACS answers to who it should know: C-ECHO, then C-FIND and C-MOVE of what cannot exist (docs/pacs-behaviour.md A1).

C-ECHO proves little: some PACS answer it to anybody, accept every association, and drop the link at the first real question.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.identifier import identifier
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
        with Scu(self.pacs, self.calling_ae, deadlines=self.deadlines, model=model) as scu:
            scu.echo()
            self._find(scu, study)
            status = self._move(scu, study, series)
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
            status = scu.move(keys, self.calling_ae, watch=MoveWatch(_nothing, SILENCE, TOTAL, bool)).status
        except Retry as err:
            if err.reason in DROPPED:
                raise self._stranger("it answers C-FIND, but drops the link at C-MOVE") from None
            raise Refused(err.reason, f"it answers C-FIND, but not C-MOVE: {err.detail}") from None
        failure = move_failure(status)
        if failure.whose is Whose.CONFIG:
            raise Refused(failure.reason, f"C-MOVE is answered 0x{status:04X}: {self._why(failure.reason)}")
        return status

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
