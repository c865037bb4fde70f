"""Several instances enter the journal at once: none waits for another's file, and one flush is enough for all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Buffer
from gateway.state import journal
from gateway.state.journal import Journal, _Own
from gateway.state.outbox import Outbox
from gateway.state.segment import Record, Segment
from tests.support.journals import KEY, after_power_cut, journal_of, opened, until


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = opened(tmp_path / "outbox")
    yield made
    made.close()


def two_at_once(outbox: Outbox, monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> int:
    """Keeps one file, whose flush lasts until a second one has been entered as well. How often was flushed."""
    entered, flushed, flush = threading.Event(), [], Segment.flush

    def slowly(self: Segment) -> None:
        flushed.append(self)
        if len(flushed) == 1:
            assert entered.wait(10)
            if fails:
                raise OSError(errno.EIO, "no")
        flush(self)

    def put(self: Segment, *args: Any) -> None:
        write(self, *args)
        if flushed:
            entered.set()

    write = Segment.put
    monkeypatch.setattr(Segment, "flush", slowly)
    monkeypatch.setattr(Segment, "put", put)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(outbox.keep, KEY, "2.25.1", [b"first"])
        until(lambda: flushed)
        second = pool.submit(outbox.keep, KEY, "2.25.2", [b"second"])
        assert first.result(20).new and second.result(20).new
    monkeypatch.undo()
    return len(flushed)


def test_what_was_entered_while_another_was_flushed_is_flushed_too(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert two_at_once(outbox, monkeypatch, fails=False) == 2
    assert {f.name for f in after_power_cut(tmp_path / "outbox").files(KEY)} == {"2.25.1.dcm", "2.25.2.dcm"}


def entered(outbox: Outbox, number: int) -> tuple[_Own, int]:
    """One whose bytes are in a segment, and not flushed; and where they end there."""
    made = journal_of(outbox)
    entry = made.begin(5)
    assert entry is not None
    return entry._own, made.put(entry._own, Record(0, 5, bytes(16), KEY, f"2.25.{number}.dcm", live=True), [b"bytes"])


def test_one_flush_is_enough_for_all_that_was_entered_before(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    made, flushed = journal_of(outbox), list[int]()
    entries = [entered(outbox, number) for number in (2, 1)]
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    for own, end in reversed(entries):
        assert made.flush(own, end)
        made.over(own)
    assert len(flushed) == 1


@pytest.mark.parametrize("write", ["fails", "is short"])
def test_a_write_that_fails_leaves_no_flush_to_the_others(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """What the flush behind it is told of may be about bytes that others have entered, and they would not be told."""
    made, real = journal_of(outbox), os.pwritev
    own, end = entered(outbox, 1)

    def fail(fd: int, parts: Sequence[Buffer], at: int) -> int:
        if write == "fails":
            raise OSError(errno.ENOSPC, "full")
        return real(fd, parts, at) - 1

    monkeypatch.setattr(os, "pwritev", fail)
    assert entered(outbox, 2)[1] == 0
    monkeypatch.undo()
    assert not made.flush(own, end)
    made.over(own)
    made.over(own)


def test_what_was_begun_before_a_sync_failed_is_synced_itself(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That sync may have been about its file, and the next one would not tell it again."""
    made, fsync, synced, write = journal_of(outbox), os.fsync, list[int](), Journal.put

    def sync(fd: int) -> None:
        synced.append(fd)
        fsync(fd)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "no")

    def put(self: Journal, *args: Any) -> int:
        with monkeypatch.context() as m:
            m.setattr(journal, "sync_file_system", fail)
            with pytest.raises(OSError, match="no"):
                made._sync()
        settling = threading.Thread(target=made._settle, kwargs={"over": True})
        settling.start()
        settling.join(0.2)
        assert settling.is_alive(), "nothing begins anew before it is over"
        return write(self, *args)

    outbox.keep(KEY, "2.25.1", [b"before"])
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Journal, "put", put)
    assert outbox.keep(KEY, "2.25.2", [b"meanwhile"]).new and len(synced) >= 2
    monkeypatch.undo()
    until(lambda: not any(own.full or own.doubtful for own in made._own))
    assert {f.name for f in outbox.files(KEY)} == {"2.25.1.dcm", "2.25.2.dcm"}


def test_what_has_no_name_yet_is_made_anew_when_it_has(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own file would take the name from one that was made anew before."""
    made, restored = journal_of(outbox), list[Segment]()
    monkeypatch.setattr(journal, "restored_from", lambda segment, *_, **__: restored.append(segment))
    own, _ = entered(outbox, 1)
    own.doubtful = own.full = True
    made._sync()
    assert own.doubtful and not restored
    made.over(own)
    made._sync()
    assert not own.doubtful and restored == [own.segment]


def test_a_flush_that_fails_fails_all_that_it_was_for(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one would not tell what the first one lost: the second file is not trusted to it, but synced itself."""
    synced, real = [], os.fsync

    def sync(fd: int) -> None:
        synced.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    assert two_at_once(outbox, monkeypatch, fails=True) == 1 and len(synced) >= 4, (
        "both files, and their folder for each"
    )
