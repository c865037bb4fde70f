"""How much memory a receive process takes: `python -m tests.bench.memory [--large BYTES] [--count N]`. The whole job, one process.

First an enhanced multi-frame object of `--large` bytes arrives while 31 other associations send CT objects; then `--count`
small instances arrive on four associations. The outbox lies on a RAM disk where there is one and is emptied meanwhile, as a courier
does. Prints the peak resident set of the first part, and for the second the resident set at each tenth of the way.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.uid import UID

from gateway.state.outbox import Outbox
from tests.bench.receive import corpus
from tests.bench.targets import Target, high_water, ours
from tests.dicom import wire
from tests.support.dicomfiles import StudyFacts

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CONTEXTS = ((wire.CT, (wire.EXPLICIT,)), (ENHANCED_CT, (wire.EXPLICIT,)))
LONGEST = 131072
LIMIT = 200e6  # bytes


def resident(pid: int) -> int:
    """Resident set in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def data_set(file: Path) -> bytes:
    """Of a Part 10 file."""
    return data_set_of(file.read_bytes())


def large(file: Path, size: int) -> Iterator[bytes]:
    """A C-STORE request of about `size` bytes, piece by piece: the header of `file`, and as many frames as it takes."""
    ds = dcmread(file)
    frames = size // (ds.Rows * ds.Columns * 2)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.NumberOfFrames = UID(ENHANCED_CT), UID("2.25.4711"), frames
    ds.PixelData = b"\0\0"
    whole = io.BytesIO()
    dcmwrite(whole, ds, enforce_file_format=True)
    header = data_set_of(whole.getvalue())[:-6]
    pixels = frames * ds.Rows * ds.Columns * 2
    rq = wire.request(sop_class=ENHANCED_CT, instance="2.25.4711")
    yield wire.pdu(4, wire.pdv(3, 3, rq))
    yield wire.pdu(4, wire.pdv(3, 0, header + struct.pack("<I", pixels)))
    frame = os.urandom(LONGEST - 6)
    for at in range(0, pixels, len(frame)):
        piece = frame[: pixels - at]
        yield wire.pdu(4, wire.pdv(3, 2 if at + len(piece) == pixels else 0, piece))


def data_set_of(raw: bytes) -> bytes:
    return raw[144 + struct.unpack_from("<I", raw, 140)[0] :]


class Senders:
    """Associations that send an instance again and again, each time under another UID."""

    def __init__(self, port: int, file: Path, *, pause: float = 0) -> None:
        ds = dcmread(file, stop_before_pixels=True)
        self._port, self._data, self._uid = port, data_set(file), str(ds.SOPInstanceUID)
        self._numbers = itertools.count(10 ** (len(self._uid) - 6))
        self._pause = pause  # seconds between two
        self.sent, self.bad, self.stop = 0, 0, threading.Event()

    def run(self, count: int | None = None) -> None:
        """One association, until `count` instances were sent by all, or `stop`."""
        with wire.associate(self._port, CONTEXTS, timeout=120) as sock:
            while not self.stop.is_set() and (count is None or self.sent < count):
                uid = f"2.25.{next(self._numbers)}"
                assert len(uid) == len(self._uid)
                data = self._data.replace(self._uid.encode(), uid.encode())
                sock.sendall(wire.store(data, instance=uid, longest=LONGEST))
                self.bad += wire.status(sock) != 0
                self.sent += 1
                self.stop.wait(self._pause)
            sock.sendall(wire.RELEASE)
            wire.read_pdu(sock)

    @contextlib.contextmanager
    def running(self, number: int, count: int | None = None) -> Iterator[list[threading.Thread]]:
        threads = [threading.Thread(target=self.run, args=(count,)) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield threads
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)


@contextlib.contextmanager
def emptied(target: Target) -> Iterator[None]:
    """Clean files are removed as soon as they are there, with their ledger, as by a courier."""
    assert target.folder is not None
    stop, outbox = threading.Event(), Outbox(target.folder / "outbox")

    def empty() -> None:
        while not stop.wait(0.2):
            for key in outbox.series():
                outbox.remove(key, outbox.files(key))

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def peak(study: StudyFacts, size: int, associations: int) -> int:
    """Bytes: the highest resident set while an object of `size` bytes and `associations` - 1 others arrive."""
    with ours(1)(study) as target, emptied(target):
        senders = Senders(target.port, study.files[0])
        with senders.running(associations - 1), wire.associate(target.port, CONTEXTS, timeout=300) as sock:
            for piece in large(study.files[0], size):
                sock.sendall(piece)
            assert wire.status(sock) == 0, "the large object was not kept"
        assert senders.sent > associations and not senders.bad, (senders.sent, senders.bad)
        return high_water(target.pids[0])


def walk(study: StudyFacts, count: int) -> list[int]:
    """Bytes: the resident set at each tenth of `count` instances."""
    found = []
    with ours(1)(study) as target, emptied(target):
        senders = Senders(target.port, study.files[0])
        with senders.running(4, count) as threads:
            for tenth in range(1, 11):
                while senders.sent < count * tenth // 10 and any(t.is_alive() for t in threads):
                    threading.Event().wait(0.05)
                found.append(resident(target.pids[0]))
        assert not senders.bad, senders.bad
    return found


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--large", type=int, default=1 << 30)
    wants.add_argument("--count", type=int, default=10000)
    asked = wants.parse_args()
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    with tempfile.TemporaryDirectory() as folder:
        high = peak(corpus(Path(folder) / "ct", 1, 512), asked.large, 32)
        word = "met" if high < LIMIT else "NOT MET"
        print(
            f"peak with {asked.large / 1e6:.0f} MB and 31 others: {high / 1e6:.0f} MB; target below 200 MB: {word}",
            flush=True,
        )
        found = walk(corpus(Path(folder) / "small", 1, 144), asked.count)
        print(f"{asked.count} instances: " + " ".join(f"{size / 1e6:.0f}" for size in found) + " MB", flush=True)


if __name__ == "__main__":
    main()
