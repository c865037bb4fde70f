"""One fetching of a series: by C-MOVE or C-GET, as a whole or, where little is missing, instance by instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.cmove.ends import LOST, PAUSED, Patience
from gateway.cmove.gate import STRAINS
from gateway.cmove.getscu import get
from gateway.cmove.parts import Count
from gateway.cmove.question import keys_of
from gateway.dicom.association import Scu
from gateway.dicom.getting import Storing
from gateway.dicom.identifier import identifier
from gateway.dicom.incoming import Incoming
from gateway.dicom.models import MODELS
from gateway.dicom.moving import MoveWatch
from gateway.dicom.patience import REFUSED_ONE
from gateway.dicom.status import SUCCESS, get_failure, move_failure
from gateway.errors import Retry
from gateway.settings import Pacs
from gateway.state.rows import SeriesClaim


@dataclass(frozen=True)
class Transfer:
    """To `calling_ae` by C-MOVE; by C-GET with `take`, which is as the receiver's. `ended`: why it has to end now, or ""."""

    pacs: Pacs
    calling_ae: str
    count: Count
    patience: Patience
    ended: Callable[[], str]
    take: Callable[[Incoming], int] | None = None

    def connection(self, storing: Storing | None = None) -> Scu:
        model, deadlines = MODELS[self.pacs.query_model], self.patience.deadlines
        return Scu(self.pacs, self.calling_ae, count=self.count, deadlines=deadlines, model=model, storing=storing)

    def failure(self, scu: Scu, claim: SeriesClaim, missing: Sequence[str], signs: Callable[[], float]) -> Retry | None:
        """None: the PACS says 0x0000, which is no proof. Refused and a lost lease are raised at once.

        `missing`: SOPInstanceUIDs to be asked for one by one; empty: the whole series. `signs`: see MoveWatch.progress.
        """
        failure: Retry | None = None
        watch = MoveWatch(signs, self.pacs.response_timeout, self.patience.longest, self.ended)
        for uid in missing or ("",):
            found = self._failure(scu, claim, uid, watch)
            if uid and found and found.reason in REFUSED_ONE:  # no IMAGE level here
                return self._failure(scu, claim, "", watch)
            failure = found or failure
            if found and (not found.charge or found.reason in STRAINS):  # it would take as long for each of the others
                break
        return failure

    def _failure(self, scu: Scu, claim: SeriesClaim, SOPInstanceUID: str, watch: MoveWatch) -> Retry | None:
        try:
            status = self._fetch(scu, claim, SOPInstanceUID, watch)
        except Retry as err:
            if err.reason in (LOST, PAUSED):
                raise
            return Retry(self.ended(), charge=False) if self.ended() else err
        if status == SUCCESS:
            return None
        if self.ended():
            return Retry(self.ended(), charge=False)
        why = get_failure if self.take else move_failure
        return why(status).error(f"status 0x{status:04X}")

    def _fetch(self, scu: Scu, claim: SeriesClaim, SOPInstanceUID: str, watch: MoveWatch) -> int:
        keys = keys_of(scu, claim)
        one = {**keys, "SOPInstanceUID": SOPInstanceUID} if SOPInstanceUID else keys
        asked = identifier("IMAGE" if SOPInstanceUID else "SERIES", one)
        if self.take is None:
            return scu.move(asked, self.calling_ae, watch=watch)
        return get(scu, keys, asked, watch, partial(self._offering, self.take))

    def _offering(self, take: Callable[[Incoming], int], classes: tuple[str, ...]) -> Scu:
        return self.connection(Storing(classes, take, self.pacs))
