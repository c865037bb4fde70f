"""A Receive on a real outbox, with a store and cleaners that say what the test wants, and instances to feed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.cstore.receive import Receive
from gateway.dicom.part10 import EXPLICIT_LE, peek
from gateway.dicom.server import Incoming
from gateway.model import Buffer, Dropped, Kept, LedgerLine
from gateway.state.outbox import Outbox
from tests.dicom.serving import Counts

STUDY, SERIES, INSTANCE = "2.25.71001", "2.25.71002", "2.25.71003"


@dataclass(frozen=True)
class Expects:
    """A row of the store."""

    key: str = "S-1"
    project: str = "chest"
    state: str = "planned"
    series_hash: str = f"hash of {SERIES}"
    own: frozenset[str] = frozenset({"SYN-AN-1"})
    again: bool = False
    patient: str = ""


class FakeStore:
    """`rows` by study; `asked` counts the questions."""

    def __init__(self, rows: Sequence[Expects] = ()) -> None:
        self.rows: dict[str, Sequence[Expects]] = {STUDY: rows}
        self.asked, self.receipts = 0, frozenset[tuple[str, str]]()
        self.error: Exception | None = None
        self.told: list[tuple[str, str, str]] = []

    def expected(self, StudyInstanceUID: str) -> Sequence[Expects]:
        self.asked += 1
        if self.error:
            raise self.error
        return self.rows.get(StudyInstanceUID, ())

    def instance_hash(self, SOPInstanceUID: str) -> str:
        return f"hash of {SOPInstanceUID}"

    def series_hash(self, SeriesInstanceUID: str) -> str:
        return f"hash of {SeriesInstanceUID}"

    def has_receipt(self, series_key: str, instance: str) -> bool:
        return (series_key, instance) in self.receipts

    def tell(self, series_key: str, event: str, *, reason: str, now: float, once: bool) -> bool:
        self.told.append((series_key, event, reason))
        return True


class FakeCleaner:
    """Keeps everything as `clean <data>` under a name made from the old one, or answers `dropped`."""

    def __init__(self, dropped: Dropped | None = None) -> None:
        self.dropped, self.own = dropped, frozenset[str]()
        self.cleaned = 0

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Dropped:
        self.cleaned, self.own = self.cleaned + 1, own
        return self.dropped or Kept(
            (b"clean ", dataset), f"{peek(dataset, transfer_syntax).SOPInstanceUID}.9", "profile-1"
        )


class Rig:
    """`receive` and everything around it."""

    def __init__(self, folder: Path, *rows: Expects, cleaners: dict[str, FakeCleaner] | None = None) -> None:
        self.store, self.counts, self.now = FakeStore(rows), Counts(), 1000.0
        self.outbox = Outbox(folder / "outbox")
        self.cleaners = {"chest": FakeCleaner(), "lung": FakeCleaner()} if cleaners is None else cleaners
        self.receive = Receive(
            store=self.store, outbox=self.outbox, cleaners=self.cleaners, count=self.counts, clock=lambda: self.now
        )

    def send(self, instance: str = INSTANCE, **more: str) -> int:
        return self.receive.store(incoming(instance, **more))

    def results(self, result: str, project: str = "chest") -> int:
        return self.counts.added["instances_received_total", project, result]

    def line(self, key: str = "S-1", instance: str = INSTANCE) -> LedgerLine | None:
        return self.outbox.ledger(key).get(f"hash of {instance}")

    def files(self, key: str = "S-1") -> list[bytes]:
        return [file.read_bytes() for file in self.outbox.files(key)]


def incoming(instance: str = INSTANCE, *, series: str = SERIES, study: str = STUDY) -> Incoming:
    data = dataset(instance, series, study)
    return Incoming("PACS", "127.0.0.1", "1.2.840.10008.5.1.4.1.1.2", instance, EXPLICIT_LE, memoryview(data))


def dataset(instance: str, series: str, study: str) -> bytes:
    ds = Dataset()
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = instance, study, series, "SYN-PID"
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, ds)
    return stream.getvalue()


def once(error: Exception, then: Callable[..., object]) -> Callable[..., object]:
    """A stand-in that fails the first time."""
    left = [error]

    def call(*args: object) -> object:
        if left:
            raise left.pop()
        return then(*args)

    return call
