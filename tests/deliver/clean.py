"""Clean files as the outbox holds them, and the archives that the conformance suite runs against."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing.synchronize import Semaphore
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from gateway import settings
from gateway.deliver.directory import DirectorySink
from gateway.deliver.sink import Sink

LAYOUT = settings.DirectorySink(path=Path("/srv/any")).layout
CT = "1.2.840.10008.5.1.4.1.1.2"


def clean_bytes(number: int = 1, *, pixels: int = 512, fill: int = 7, **values: str) -> bytes:
    """A whole Part 10 file; `values`: keywords to set, on top of plausible pseudonymous ones."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(CT)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.1000{number}")
    ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "CHEST-ABC", "2.25.1", "2.25.11"
    ds.Modality, ds.StudyDate, ds.InstanceNumber = "CT", "19700101", str(number)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.add_new("PixelData", "OW", bytes([fill]) * pixels)
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def clean_file(folder: Path, number: int = 1, *, pixels: int = 512, fill: int = 7, **values: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"2.25.1000{number}.dcm"
    file.write_bytes(clean_bytes(number, pixels=pixels, fill=fill, **values))
    return file


def forked(act: Callable[[], object]) -> int:
    """Runs `act` in a child process, which then ends without any clean-up. Returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        act()
    finally:
        os._exit(0)


class Putting:
    """A process that puts files in a life of its own: from a server that forks, for threads of ours would be lost in a fork."""

    def __init__(self, reopen: Callable[[], Sink], files: Sequence[Path]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.deliver.peers"])
        self._done = context.Semaphore(0)
        self.process = context.Process(target=_put_all, args=(reopen, files, self._done), daemon=True)
        self.process.start()

    def kill_after(self, files: int, seconds: float) -> None:
        """SIGKILL, `seconds` after the beginning of the file behind so many."""
        for _ in range(files + 1):
            assert self._done.acquire(timeout=60)
        time.sleep(seconds)
        self.process.kill()
        self.process.join()


def _put_all(reopen: Callable[[], Sink], files: Sequence[Path], done: Semaphore) -> None:
    sink = reopen()
    done.release()
    for file in files:
        sink.put(file)
        done.release()


def same(content: bytes) -> bytes:
    return content


@dataclass(frozen=True)
class Archive:
    """One kind of archive under test. `reopen`: the sink of another life; `visible`: place -> content, as seen."""

    sink: Sink
    reopen: Callable[[], Sink]
    visible: Callable[[], dict[str, bytes]]
    hidden: Callable[[], int]  # leftovers that users do not see
    change: Callable[[str, bytes], None]  # place, new content
    lose: Callable[[str], None]
    form: Callable[[bytes], bytes] = same  # of a file, what the archive keeps
    careless: frozenset[int] = frozenset()  # of bytes of the head that archives may write as they like


def directory_archive(folder: Path) -> Archive:
    root = folder / "archive"
    root.mkdir(exist_ok=True)

    reopen = partial(DirectorySink, settings.DirectorySink(path=root))

    def change(place: str, content: bytes) -> None:
        (root / place).write_bytes(content)

    def files() -> list[Path]:
        return [p for p in root.rglob("*") if p.is_file()]

    return Archive(
        reopen(),
        reopen,
        lambda: {str(p.relative_to(root)): p.read_bytes() for p in files() if not p.name.startswith(".")},
        lambda: sum(p.name.startswith(".") for p in files()),
        change,
        lambda place: (root / place).unlink(),
    )
