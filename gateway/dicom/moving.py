"""What a C-MOVE or C-GET is allowed to ask, and how it is watched. Standard: PS3.4 C.4.2.

Of its responses the status is read, and not what they count or list: these decide nothing (M5, M7).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from gateway.errors import Refused, Retry

ONE_UID: Final = re.compile(r"[^\s*?\\\x00-\x1f\x7f]{1,128}")
ONE_PATIENT: Final = re.compile(r"(?=.*\S)[^*?\\\x00-\x1f\x7f]{1,64}")
MOVE_KEYS: Final = {
    "SERIES": frozenset({"StudyInstanceUID", "SeriesInstanceUID"}),
    "IMAGE": frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}),
}


@dataclass(frozen=True)
class MoveWatch:
    """What a move is watched by. `progress`: any number that changes while instances arrive; called every few seconds.

    `silence`: seconds without a response or progress; `total`: seconds for all of it; `ended`: true when it has to end now:
    cancelled, then aborted.
    """

    progress: Callable[[], float]
    silence: float
    total: float
    ended: Callable[[], object]


def refuse_unsafe(identifier: Dataset) -> None:
    """A C-MOVE without a key, or by accession number, moves other patients' studies or the whole archive (M12).

    Raises Refused("move.unsafe-keys") unless it is SERIES level with one StudyInstanceUID and one SeriesInstanceUID, or IMAGE level
    with one SOPInstanceUID besides, and, in the Patient Root, one PatientID.
    """
    wanted = MOVE_KEYS.get(str(identifier.get("QueryRetrieveLevel")), frozenset())
    uids = [identifier.get(keyword) for keyword in wanted]
    single = all(isinstance(uid, str) and ONE_UID.fullmatch(uid) for uid in uids)
    patient = identifier.get("PatientID", "P")
    single = single and isinstance(patient, str) and ONE_PATIENT.fullmatch(patient) is not None
    if not wanted or not single or {e.keyword for e in identifier} - {"PatientID", "QueryRetrieveLevel"} != wanted:
        raise Refused("move.unsafe-keys", "a move names exactly one study and one series")


class Vigil:
    """No sign of life for too long, or too long altogether, ends a move."""

    def __init__(self, watch: MoveWatch) -> None:
        self._watch = watch
        self._begun = self._sign = self._looked = time.monotonic()
        self._every = min(5.0, watch.silence / 4)
        self._progress = watch.progress()

    def sign(self) -> None:
        self._sign = time.monotonic()

    def check(self) -> None:
        """Raises Retry, charged: it may well be this series that the PACS cannot send."""
        now = time.monotonic()
        if now - self._looked >= self._every:
            self._looked = now
            progress = self._watch.progress()
            if progress != self._progress:
                self._progress, self._sign = progress, now
        if now - self._sign > self._watch.silence:
            raise Retry("move.stalled", f"no response and no instance for {self._watch.silence:.0f} s")
        if now - self._begun > self._watch.total:
            raise Retry("move.too-long", f"not finished after {self._watch.total:.0f} s")
