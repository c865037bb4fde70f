"""What was removed from the outbox on purpose: no journal brings it back, and none holds a byte of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from gateway.model import Buffer
from gateway.state.keeping import Keeper
from gateway.state.outbox import Outbox
from gateway.state.segment import BLOCK
from tests.support.journals import KEY, OTHER, SIZE, after_power_cut, contents, journal_of, opened, segments


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = opened(tmp_path / "outbox")
    yield made
    made.close()


def in_journals(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in segments(root))


@pytest.mark.parametrize("way", ["remove", "drop", "clear"])
def test_what_was_removed_stays_away(outbox: Outbox, tmp_path: Path, way: str) -> None:
    for series, name in ((KEY, "2.25.1"), (KEY, "2.25.2"), (OTHER, "2.25.3")):
        outbox.keep(series, name, [b"unmistakable " + name.encode()])
    other = Outbox(tmp_path / "outbox")  # another process
    if way == "clear":
        other.clear(KEY)
    elif way == "drop":
        other.drop(KEY, "2.25.1.dcm")
    else:
        assert not other.remove(KEY, other.files(KEY)[:1])
    there = in_journals(tmp_path / "outbox")
    assert [there.count(name) > 0 for name in (b"2.25.1", b"2.25.2", b"2.25.3")] == [False, way != "clear", True]
    assert (KEY.encode() in there) == (way != "clear")
    outbox.keep(KEY, "2.25.4", [b"late"])
    left = {"2.25.4"} if way == "clear" else {"2.25.2", "2.25.4"}
    after = after_power_cut(tmp_path / "outbox")
    assert set(contents(after)) == {f"{KEY}/{name}.dcm" for name in left} | {f"{OTHER}/2.25.3.dcm"}


def test_nothing_of_it_is_left_while_others_are_received(outbox: Outbox, tmp_path: Path) -> None:
    """The segments begin anew many times meanwhile, are never quiet, and files of all sizes follow one another in them."""
    other, over, kept = Outbox(tmp_path / "outbox"), threading.Event(), count()

    def traffic() -> None:
        while not over.is_set():
            name = f"2.25.9{next(kept)}"
            outbox.keep(OTHER, name, [b"traffic" * (next(kept) * 37 % SIZE // 64)])
            other.drop(OTHER, f"{name}.dcm")

    busy = threading.Thread(target=traffic)
    busy.start()
    try:
        for i in range(100):
            mark = b"unmistakable %03d " % i
            outbox.keep(KEY, f"2.25.{i}", [mark * (i * 53 % (SIZE // 4 // len(mark)) + 1)])
            assert in_journals(tmp_path / "outbox").count(mark) or i
            other.remove(KEY, other.files(KEY))
            assert b"unmistakable" not in in_journals(tmp_path / "outbox")
    finally:
        over.set()
        busy.join()
    assert next(kept) > 100


def test_what_was_begun_and_not_entered_is_overwritten(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a new series is not there yet: its first file is begun twice, and others may come in between."""
    make = Keeper._make

    def crowded(self: Keeper, folder: str) -> None:
        outbox.keep(OTHER, "2.25.8", [bytes(BLOCK + 1)])
        make(self, folder)

    for i in range(4):
        outbox.keep(OTHER, f"2.25.{i}", [bytes(47 * BLOCK)])
    with monkeypatch.context() as m:
        m.setattr(Keeper, "_make", crowded)
        outbox.keep(KEY, "2.25.9", [b"unmistakable".ljust(16) * (60 * BLOCK // 16)])  # has room before, and none behind
    assert b"unmistakable" in in_journals(tmp_path / "outbox")
    other = Outbox(tmp_path / "outbox")
    assert other.remove(KEY, other.files(KEY))
    assert b"unmistakable" not in in_journals(tmp_path / "outbox")


def test_what_could_not_be_entered_is_overwritten_as_well(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are there, its record is not, and nobody who removes the file would find them."""

    write, met = os.pwritev, []

    def full(fd: int, parts: Sequence[Buffer], at: int) -> int:
        met.append(write(fd, [bytes(len(parts[0])), *parts[1:]], at))
        raise OSError(28, "full")

    with monkeypatch.context() as m:
        m.setattr(os, "pwritev", full)
        outbox.keep(KEY, "2.25.1", [b"unmistakable" * BLOCK])
    assert met and b"unmistakable" not in in_journals(tmp_path / "outbox")
    outbox.clear(KEY)
    journal_of(outbox)._settle()
    assert b"unmistakable" not in in_journals(tmp_path / "outbox")
