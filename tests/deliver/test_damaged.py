"""A clean file that the disk has spoilt while it waited: it goes nowhere, somebody is told, and it can come again."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from gateway.deliver import courier
from gateway.model import LedgerLine, Outcome
from gateway.state.checksum import of_parts
from tests.deliver.conftest import KEY, Bench
from tests.deliver.test_courier import deliveries


def test_what_the_disk_has_spoilt_goes_nowhere(bench: Bench) -> None:
    spoilt, whole = bench.keep(1), bench.keep(2)
    for number, file in ((1, spoilt), (2, whole)):
        checksum = of_parts([file.read_bytes()]).hex()
        bench.outbox.note(KEY, LedgerLine(f"hash-{number}", Outcome.KEPT, file=file.name, checksum=checksum))
    raw = bytearray(spoilt.read_bytes())
    raw[-1] ^= 1
    spoilt.write_bytes(raw)
    bench.store.add()
    assert bench.deliver.step()
    assert bench.events() == [] and len(bench.outbox.files(KEY)) == 2
    bench.now = bench.store.not_before[KEY, "first"]
    assert bench.deliver.step()
    assert bench.events()[-1] == ("failed", "outbox.damaged")
    assert bench.archive.visible() == {}
    assert deliveries(bench)["refused"] == 1
    assert [file.name for file in bench.outbox.files(KEY)] == [whole.name]  # so that a retry retrieves it again
    assert bench.outbox.ledger(KEY).keys() == {"hash-2"}


def test_a_series_without_what_was_set_aside_is_not_whole(bench: Bench) -> None:
    lost = bench.keep(1)
    bench.keep(2)
    bench.outbox.set_aside(KEY, lost.name)
    bench.store.add()
    assert bench.deliver.step()
    assert bench.events() == [("failed", "outbox.damaged")] and bench.archive.visible() == {}
    bench.keep(1)
    other = bench.outbox.path("S-BBBB", lost.name)
    lost.parent.rename(other.parent)  # as a retry has it, for all that the courier sees
    bench.store.add("S-BBBB")
    assert bench.deliver.step() and len(bench.archive.visible()) == 2


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_what_the_disk_cannot_read_is_spoilt_and_what_it_cannot_rename_is_still_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Not just missing: the series fails first, whatever becomes of the file."""
    file = bench.keep(1)
    bench.outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=file.name, checksum="00"))
    bench.store.add()

    def broken(*args: Any) -> Any:
        raise OSError(code, "")

    monkeypatch.setattr(courier, "of_file", broken)
    if code == errno.ENOSPC:
        monkeypatch.setattr(courier, "of_file", lambda opened: b"other")
        monkeypatch.setattr(bench.outbox, "set_aside", broken)
    assert bench.deliver.step()
    bench.now = bench.store.not_before[KEY, "first"]
    assert bench.deliver.step()
    assert bench.events() == [("failed", "outbox.damaged")]
    assert bench.outbox.damaged(KEY) == ([] if code == errno.ENOSPC else [file.name])


def test_what_cannot_be_read_for_now_is_not_spoilt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, a folder that is closed: nobody has seen what is in it."""
    file = bench.keep(1)
    checksum = of_parts([file.read_bytes()]).hex()
    bench.outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=file.name, checksum=checksum))
    bench.store.add()

    def closed(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "")

    with monkeypatch.context() as patched:
        patched.setattr(courier, "of_file", closed)
        for _ in range(2):
            assert bench.deliver.step()
            bench.now = bench.store.not_before[KEY, "first"]
    assert bench.outbox.files(KEY) == [file]
    assert bench.deliver.step() and bench.store.states[KEY] == "delivered"


def test_a_file_whose_line_comes_after_it_is_delivered(bench: Bench) -> None:
    """It was kept anew with other bytes, and the courier looked in between."""
    file = bench.keep(1)
    bench.outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=file.name, checksum="00"))
    bench.store.add()
    assert bench.deliver.step()
    checksum = of_parts([file.read_bytes()]).hex()
    bench.outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=file.name, checksum=checksum))
    bench.now = bench.store.not_before[KEY, "first"]
    assert bench.deliver.step()
    assert len(bench.archive.visible()) == 1
