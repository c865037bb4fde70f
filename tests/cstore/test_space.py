"""Room: nothing is taken while the disk is nearly full or too much waits, and a little more room is needed to begin again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.cstore.page import Page
from gateway.cstore.space import Bounds, Filled, Room, WhileRoom, free_bytes
from gateway.dicom.server import Incoming
from tests.cstore.rig import incoming
from tests.dicom.serving import Counts

NONE, DISK, OUTBOX = frozenset[str](), frozenset({"disk"}), frozenset({"outbox"})


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(1)
    yield made
    made.close()


def test_takes_while_there_is_room_and_defers_when_there_is_none(tmp_path: Path) -> None:
    taken: list[Incoming] = []
    counts = Counts()

    def store(one: Incoming) -> int:
        taken.append(one)
        return 0x0000

    def room(minimum: int) -> WhileRoom:
        return WhileRoom(store, folder=tmp_path, minimum=minimum, count=counts, clock=lambda: 0.0)

    assert room(1).store(incoming()) == 0x0000 and len(taken) == 1
    with structlog.testing.capture_logs() as said:
        full = room(1 << 60)
        assert [full.store(incoming()), full.store(incoming())] == [0xA700, 0xA700]
        assert full.paused() == "disk"
    assert len(taken) == 1 and counts.added["instances_received_total", "", "deferred"] == 2
    assert [one["event"] for one in said if one["log_level"] == "error"] == ["disk.low"], "once, not for each"
    assert abs(said[0]["free_bytes"] - free_bytes(tmp_path)) < 1 << 30, "others write to that disk, too"


def test_a_disk_that_does_not_tell_has_no_room(tmp_path: Path, page: Page) -> None:
    """A stale mount, a broken disk: as any other trouble of ours, 0xA700, and no association is taken."""
    gone = tmp_path / "gone"
    process = WhileRoom(lambda _: 0, folder=gone, minimum=1, count=Counts(), clock=lambda: 0.0, page=page)
    node = Room(folder=gone, bounds=Bounds(1), filled=Filled(int, frozenset), page=page, clock=lambda: 0.0)
    assert (process.store(incoming()), process.paused()) == (0xA700, "disk")
    assert not node.look(Counts()) and page.reason == "disk"
    gone.mkdir()
    assert node.look(Counts()) and (process.store(incoming()), process.paused()) == (0x0000, "")


def test_a_receive_process_does_as_the_page_says(tmp_path: Path, page: Page) -> None:
    room = WhileRoom(lambda _: 0, folder=tmp_path, minimum=1, count=Counts(), clock=lambda: 0.0, page=page)
    assert (room.paused(), room.store(incoming())) == ("", 0)
    page.pause("outbox")
    assert (room.paused(), room.store(incoming())) == ("outbox", 0xA700)
    page.pause("")
    assert (room.paused(), room.store(incoming())) == ("", 0)


@pytest.mark.parametrize(
    ("free", "waiting", "before", "reasons"),
    [
        (1000, 0, NONE, NONE),
        (999, 0, NONE, DISK),
        (1099, 0, DISK, DISK),
        (1100, 0, DISK, NONE),
        (1099, 0, OUTBOX, NONE),
        (5000, 499, NONE, NONE),
        (5000, 500, NONE, OUTBOX),
        (5000, 450, OUTBOX, OUTBOX),
        (5000, 449, OUTBOX, NONE),
        (5000, 450, DISK, NONE),
        (0, 500, NONE, DISK | OUTBOX),
    ],
)
def test_it_takes_more_room_to_begin_again(
    free: int, waiting: int, before: frozenset[str], reasons: frozenset[str]
) -> None:
    assert Bounds(1000, 500).reasons(free, waiting, before) == reasons


def test_without_a_bound_the_outbox_is_neither_measured_nor_full(tmp_path: Path, page: Page) -> None:
    assert Bounds(0).reasons(0, 1 << 60, NONE) == NONE
    measured: list[int] = []

    def size() -> int:
        measured.append(1)
        return 1

    room = Room(folder=tmp_path, bounds=Bounds(0), filled=Filled(size, frozenset), page=page, clock=lambda: 0.0)
    assert not room.measure()
    assert measured == [] and room.look(Counts())


def test_the_nodes_decision_is_told_once_to_the_log_and_always_to_page_and_gauge(tmp_path: Path, page: Page) -> None:
    size, counts = [500], Counts()
    room = Room(
        folder=tmp_path, bounds=Bounds(1, 500), filled=Filled(lambda: size[0], frozenset), page=page, clock=lambda: 0.0
    )
    with structlog.testing.capture_logs() as said:
        assert room.look(counts), "not measured yet"
        assert room.measure()
        assert not room.look(counts) and not room.look(counts)
        assert (room.reasons, page.reason) == (OUTBOX, "outbox")
        assert counts.now["receiver_paused", "outbox"] == 1 and counts.now["receiver_paused", "disk"] == 0
        size[0] = 449
        assert room.measure() and room.look(counts)
        assert (room.reasons, page.reason, counts.now["receiver_paused", "outbox"]) == (NONE, "", 0)
    assert [(one["event"], one["reason"]) for one in said] == [
        ("receiver.paused", "outbox"), ("receiver.resumed", "outbox"),
    ]  # fmt: skip


def test_measuring_takes_a_twentieth_of_the_time_at_most(tmp_path: Path, page: Page) -> None:
    now = [0.0]

    def slow() -> int:
        now[0] += 3.0
        return 0

    room = Room(folder=tmp_path, bounds=Bounds(1, 500), filled=Filled(slow, frozenset), page=page, clock=lambda: now[0])
    assert room.measure() and now[0] == 3.0
    now[0] = 62.9
    assert not room.measure()
    now[0] = 63.0
    assert room.measure()


def test_what_fills_it_by_itself_goes_on_and_nothing_else_begins(tmp_path: Path, page: Page) -> None:
    """A series larger than the bound leaves when it is whole, and would never be."""
    size, begun, counts = [499], [frozenset({"S-1"})], Counts()
    filled = Filled(lambda: size[0], lambda: begun[0])
    room = Room(folder=tmp_path, bounds=Bounds(1, 500), filled=filled, page=page, clock=lambda: 0.0)

    def looked(bytes_: int, *keys: str) -> tuple[bool, str, frozenset[str] | None]:
        size[0], begun[0] = bytes_, frozenset(keys)
        assert room.measure()
        return room.look(counts), page.reason, room.only

    with structlog.testing.capture_logs() as said:
        assert looked(499, "S-1") == (True, "", None), "there is room"
        assert looked(500, "S-1", "S-2") == (True, "", frozenset({"S-1", "S-2"}))
        assert looked(900, "S-1") == (True, "", frozenset({"S-1"}))
        assert looked(450, "S-1") == (True, "", frozenset({"S-1"})), "not a tenth less yet"
        assert looked(900) == (False, "outbox", None), "one of them is whole, and on its way to the archive"
        assert looked(460, "S-1") == (True, "", frozenset({"S-1"})), "which it is now"
        assert looked(449, "S-1") == (True, "", None)
    assert [one["event"] for one in said] == [
        "outbox.only-begun", "outbox.any-again", "receiver.paused", "outbox.only-begun", "receiver.resumed", "outbox.any-again",
    ]  # fmt: skip


def test_nothing_is_paused_while_what_has_begun_is_being_looked_up(tmp_path: Path, page: Page) -> None:
    """Another thread looks between the size and the names, which a database has to be asked for."""
    looked: list[tuple[bool, str]] = []

    def begun() -> frozenset[str]:
        looked.append((room.look(Counts()), page.reason))
        return frozenset({"S-1"})

    room = Room(folder=tmp_path, bounds=Bounds(1, 500), filled=Filled(lambda: 900, begun), page=page, clock=lambda: 0.0)
    assert room.measure()
    assert looked == [(True, "")]
    assert room.look(Counts()) and room.only == frozenset({"S-1"})


def test_receive_processes_know_who_has_most_to_do(page: Page) -> None:
    other = Page(1, page.fileno())
    assert not page.ahead(0, 2, 0) and page.ahead(0, 2, 1), "the other has none yet"
    assert not other.ahead(1, 2, 1) and other.ahead(1, 2, 2) and not page.ahead(0, 2, 1)
    assert not page.ahead(0, 1, 9), "alone"
    assert [page.ahead(0, 2, 400), other.ahead(1, 2, 300)] == [True, False], "beyond 255 nobody knows"
    assert not page.ahead(0, 300, 9), "nor of so many"
    assert page.reason == "" and page.change(0, lambda number: number) == 0.0
