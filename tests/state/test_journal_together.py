"""Several instances enter the journal at once: none waits for another's file, and one flush is enough for all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.state.outbox import Outbox
from gateway.state.segment import Segment
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


def test_one_flush_is_enough_for_all_that_was_entered_before(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    made, flushed = journal_of(outbox), list[int]()
    entries = [made.put(KEY, f"2.25.{n}.dcm", [b"bytes"], bytes(16)) for n in (2, 1)]
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    for own, end in reversed(entries):
        assert own and made.flush(own, end)
        made.over(own)
    assert len(flushed) == 1


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
