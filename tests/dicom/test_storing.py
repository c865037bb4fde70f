"""A large object on its way to an archive: it takes its time, is never in memory as a whole, and ends with the archive."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom.association import Association

from gateway.dicom import storing
from gateway.dicom.association import Deadlines
from gateway.dicom.storing import StoreScu, read_instance
from gateway.errors import Retry
from tests.dicom import wire
from tests.support.process import HOST
from tests.support.raw_pacs import associate_ac, word

LARGE = 8 << 20
PIECE = 1 << 16


@dataclass
class SlowArchive:
    """Takes one association. `pause`: seconds before each `PIECE` that it reads; `most`: bytes after which it reads no more.

    `longest`: the maximum length that it announces; `lengths`: those of the PDVs that came.
    """

    pause: float = 0.0
    most: int = 1 << 40
    longest: int = 16384
    lengths: set[int] = field(default_factory=set)
    ae_title: str = "ARCHIVE"
    host: str = HOST
    port: int = 0
    tls: None = None
    taken: int = 0

    def serve(self, listener: socket.socket, over: threading.Event) -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as sock:
            plain = associate_ac(wire.read_pdu(sock)[1])
            sock.sendall(plain.replace(announced(16384), announced(self.longest)))
            while not over.is_set():
                kind, body = self._read_pdu(sock, over)
                if kind == 5:
                    sock.sendall(struct.pack(">BxI4x", 6, 4))
                if kind != 4:
                    return
                self.lengths.add(len(body))
                if body[5] == 2:
                    sock.sendall(stored(body[4]))

    def _read_pdu(self, sock: socket.socket, over: threading.Event) -> tuple[int, bytes]:
        if self.taken >= self.most:
            over.wait()
        kind, body = wire.read_pdu(sock)
        if self.taken // PIECE != (self.taken + len(body)) // PIECE:
            over.wait(self.pause)
        self.taken += len(body)
        return kind, body


def announced(longest: int) -> bytes:
    return wire.item(0x51, struct.pack(">I", longest))


def stored(context: int) -> bytes:
    elements = {
        0x0002: wire.CT.encode(), 0x0100: word(0x8001), 0x0120: word(1), 0x0800: word(0x0101), 0x0900: word(0),
        0x1000: b"2.25.7",
    }  # fmt: skip
    return wire.pdu(4, wire.pdv(context, 3, wire.command(elements)))


@contextlib.contextmanager
def listening(archive: SlowArchive) -> Iterator[SlowArchive]:
    over = threading.Event()
    with socket.create_server((HOST, 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # else the kernel takes all of it at once
        archive.port = listener.getsockname()[1]
        thread = threading.Thread(target=archive.serve, args=(listener, over), daemon=True)
        thread.start()
        yield archive
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ds, path = Dataset(), tmp_path_factory.mktemp("large") / "large.dcm"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(wire.EXPLICIT)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(wire.CT)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID("2.25.7")
    ds.add_new(0x7FE00010, "OW", bytes(LARGE))
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces waited whenever one more was to leave. The kernel takes few besides."""
    seen: list[int] = []
    plain: Callable[[Association, Callable[[], None]], None] = storing._pace

    def pace(assoc: Association, alive: Callable[[], None]) -> None:
        plain(assoc, alive)
        paced, wrapper = assoc.dul.send_pdu, assoc.dul.socket
        assert wrapper is not None and wrapper.socket is not None
        wrapper.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)

        def send(primitive: object) -> None:
            paced(primitive)  # type: ignore[arg-type]
            seen.append(assoc.dul.to_provider_queue.qsize())

        assoc.dul.send_pdu = send  # type: ignore[method-assign]

    monkeypatch.setattr(storing, "_pace", pace)
    return seen


def test_one_that_takes_longer_than_an_answer_may_arrives(
    file: Path, queued: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "STORED", 1.0)
    monkeypatch.setattr(storing, "LOOK", 0.01)
    signs: list[float] = []
    with listening(SlowArchive(pause=0.02)) as archive:
        scu, began = StoreScu(archive, "GW", alive=lambda: signs.append(time.monotonic())), time.monotonic()
        assert scu.store(read_instance(file)) == 0x0000
        scu.close()
    assert time.monotonic() - began > 2 * storing.STORED
    assert signs and max(queued) <= storing.AHEAD
    assert archive.taken > LARGE


def test_an_archive_that_takes_no_more_is_given_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "STORED", 0.5)
    deadlines = Deadlines(pdu=2.0)
    with listening(SlowArchive(most=1 << 20)) as archive:
        scu, began = StoreScu(archive, "GW", deadlines=deadlines), time.monotonic()
        with pytest.raises(Retry, match=r"^sink\.timeout") as caught:
            scu.store(read_instance(file))
        assert not caught.value.charge and time.monotonic() - began < 5


def test_one_that_is_on_its_way_is_given_up_by_who_sends_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "LOOK", 0.01)

    signs = iter((True, True))

    def stop() -> None:
        if not next(signs, False):
            raise Retry("daemon.stopping", "", charge=False)

    with listening(SlowArchive(pause=0.3, longest=0)) as archive:
        scu, began = StoreScu(archive, "GW", alive=stop), time.monotonic()
        with pytest.raises(Retry, match=r"^daemon\.stopping"):
            scu.store(read_instance(file))
        assert time.monotonic() - began < 2, "what waits to leave is not waited for"
    assert 0 < archive.taken < LARGE


def test_who_asked_the_archive_for_long_is_heard_of_before_it_stores(file: Path) -> None:
    """What it holds may take it a minute to say, and a C-STORE two: together more than a watchdog waits."""

    def stop() -> None:
        raise Retry("daemon.stopping", "", charge=False)

    with listening(SlowArchive()) as archive, pytest.raises(Retry, match=r"^daemon\.stopping"):
        StoreScu(archive, "GW", alive=stop).store(read_instance(file))
    assert archive.taken == 0


def test_an_archive_that_hangs_up_amid_one_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(SlowArchive()) as archive:
        monkeypatch.setattr(archive, "_read_pdu", lambda *_: (0, b""))
        began = time.monotonic()
        with pytest.raises(Retry, match=r"^sink\.aborted"):
            StoreScu(archive, "GW").store(read_instance(file))
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("longest", "sent"), [(0, 1 << 17), (0xFFFFFFFF, 1 << 17), (65535, 65534), (16384, 16384), (4097, 4096)]
)
def test_pieces_are_even_and_no_larger_than_need_be(file: Path, longest: int, sent: int) -> None:
    """Whoever takes PDUs of any length (0) is not sent a file in one, which would be in memory as often as pynetdicom copies it."""
    with listening(SlowArchive(longest=longest)) as archive:
        scu = StoreScu(archive, "GW")
        assert scu.store(read_instance(file)) == 0x0000
        scu.close()
    assert max(archive.lengths) == sent
    assert not any(length & 1 for length in archive.lengths)
