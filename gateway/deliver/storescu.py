"""A DICOM archive: C-STORE to put, storage commitment to have a receipt, C-FIND to see what is there.

put: the archive is asked once for each series what it holds of it; what is there is not sent again. Otherwise C-STORE, whose status
decides (`verdict`). confirm: storage commitment for all files at once; when no report comes in time, or with
`storage_commitment = false`, C-FIND at the level of images.
A receipt says that the archive holds an instance and vouches for it, and not what is in it: other than the other sinks, this one
cannot see that an archive holds something else under the same UID.
Standard: PS3.4 B (storage), C (query), J (storage commitment).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from gateway.deliver import header
from gateway.deliver.sink import UNTRIED, Receipt
from gateway.deliver.verdict import DUPLICATE, failure, stored
from gateway.dicom.association import Scu
from gateway.dicom.commitment import Reference
from gateway.dicom.committing import Asking, commit
from gateway.dicom.identifier import identifier, text
from gateway.dicom.storing import StoreScu, read_instance
from gateway.errors import Refused, Retry
from gateway.settings import DicomSink as Settings
from gateway.settings import Tls

UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
BATCH: Final = 1000  # instances in one transaction
MOST_IMAGES: Final = 100_000  # of one series


@dataclass(frozen=True)
class _Asked:
    """An archive as a C-FIND sees it: by study, which every archive knows."""

    ae_title: str
    host: str
    port: int
    tls: Tls | None
    query_model: Literal["study", "patient"] = "study"

    @classmethod
    def of(cls, sink: Settings) -> _Asked:
        return cls(sink.ae_title, sink.host, sink.port, sink.tls)


class StoreSink:
    """One thread puts, one confirms. `alive` is called before and while a file leaves, while a report is awaited, and may raise."""

    def __init__(self, settings: Settings, receiver_ae: str, alive: Callable[[], None] = lambda: None) -> None:
        self._name = f"dicom:{settings.ae_title}@{settings.host}:{settings.port}"
        self._settings, self._alive = settings, alive
        self._calling_ae = settings.calling_ae or receiver_ae
        self._scu = StoreScu(settings, self._calling_ae, alive=alive)
        self._series, self._held = ("", ""), set[str]()

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return BATCH

    def put(self, file: Path) -> Receipt:
        """Raises Retry sink.* (uncharged), deliver.failed; Refused deliver.refused, .unsupported, .unreadable."""
        instance, uids = read_instance(file), _uids(file)
        if self._holds(uids):
            return Receipt(uids["SOPInstanceUID"], new=False)
        status = self._scu.store(instance)
        if not stored(status) and status != DUPLICATE:  # which an archive says that cannot be asked, and is no receipt
            raise failure(status, self._name)
        self._held.add(uids["SOPInstanceUID"])
        return Receipt(uids["SOPInstanceUID"], new=status != DUPLICATE)

    def confirm(self, *files: Path) -> bool:
        """Raises Retry sink.* (uncharged)."""
        self._forget()
        if self._settings.storage_commitment:
            wanted = [Reference(i.SOPClassUID, i.SOPInstanceUID) for i in map(read_instance, files)]
            asking = Asking(self._calling_ae, self._settings.report_port, self._settings.commitment_timeout)
            report = commit(self._settings, wanted, asking, self._alive)
            if report is not None:
                return {r.SOPInstanceUID for r in wanted} <= report.committed - report.failed
            log = structlog.get_logger()
            log.warning("sink.no-report", sink=self._name, files=len(files))
        return all(self._found(uids) for uids in map(_uids, files))

    def probe(self) -> str:
        """C-ECHO: DICOM has nothing that could be written and removed."""
        with self._told(), Scu(_Asked.of(self._settings), self._calling_ae) as scu:
            scu.echo()
        return f"answers C-ECHO: {UNTRIED}"

    def close(self) -> None:
        self._scu.close()
        self._forget()

    def _forget(self) -> None:
        self._series, self._held = ("", ""), set()

    def _holds(self, uids: Mapping[str, str]) -> bool:
        """Whether it is there; False of an archive that cannot be asked."""
        try:
            return self._found(uids)
        except Retry as err:
            if err.reason != "sink.context-refused":
                raise
            self._series = (uids["StudyInstanceUID"], uids["SeriesInstanceUID"])
            return False

    def _found(self, uids: Mapping[str, str]) -> bool:
        """C-FIND, once for the files of one series that come one after the other."""
        series = (uids["StudyInstanceUID"], uids["SeriesInstanceUID"])
        if series != self._series:
            keys = {k: uids[k] for k in UIDS[:2]}
            with self._told(), Scu(_Asked.of(self._settings), self._calling_ae) as scu:
                rows = scu.find(identifier("IMAGE", keys, frozenset({"SOPInstanceUID"})), row_cap=MOST_IMAGES)
            self._series, self._held = series, {text(row, "SOPInstanceUID") for row in rows}
        return uids["SOPInstanceUID"] in self._held

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A PACS's errors as an archive's."""
        try:
            yield
        except Retry as err:
            reason = f"sink.{err.reason.partition('.')[2]}"
            raise Retry(reason, f"{self._name}: {err.detail}", after=err.after, charge=False) from None


def _uids(file: Path) -> dict[str, str]:
    values = header.read(file, UIDS)
    if not all(values.values()):
        raise Refused("deliver.path", "a clean file lacks one of its UIDs")
    return values
