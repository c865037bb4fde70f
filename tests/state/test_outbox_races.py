"""A file that is acknowledged while its series is being removed stays, and so does its line in the ledger."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from gateway.model import LedgerLine, Outcome
from gateway.state.outbox import Outbox
from gateway.state.recovery import Journals

KEY = "S-ABCDEFGH23456"


def test_what_is_kept_between_the_last_look_and_the_removal_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path)
    first = outbox.keep(KEY, "2.25.1", [b"x"]).path
    rmdir = Path.rmdir

    def late(folder: Path) -> None:
        outbox.keep(KEY, "2.25.2", [b"late"])
        rmdir(folder)

    monkeypatch.setattr(Path, "rmdir", late)
    assert not outbox.remove(KEY, [first])
    assert [p.read_bytes() for p in outbox.files(KEY)] == [b"late"]


def arrive(outbox: Outbox, number: int) -> str:
    """Kept and noted, as a receive process does; the name of its file."""
    stored = outbox.keep(KEY, f"2.25.{number}", [b"x"])
    outbox.note(KEY, LedgerLine(f"hash-{number}", Outcome.KEPT, "", stored.path.name, stored.size, stored.checksum))
    return stored.path.name


def in_ledger(outbox: Outbox) -> set[str]:
    return {line.file for line in outbox.ledger(KEY).values()}


def test_its_line_stays_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, void = Outbox(tmp_path), Journals.void
    arrive(outbox, 1)
    confirmed = outbox.files(KEY)

    def late(self: Journals, series: str, names: frozenset[str] | None = None) -> None:
        void(self, series, names)
        arrive(outbox, 2)

    with monkeypatch.context() as m:
        m.setattr(Journals, "void", late)
        assert not outbox.remove(KEY, confirmed)
    assert in_ledger(outbox) == {"2.25.2.dcm"}
    assert outbox.remove(KEY, outbox.files(KEY))
    assert not (tmp_path / KEY).exists()


def test_a_start_that_finds_late_files_leaves_their_lines(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    arrive(outbox, 1)
    assert not outbox.remove(KEY, ())
    assert in_ledger(outbox) == {"2.25.1.dcm"}


def test_no_line_is_lost_between_one_who_receives_and_one_who_removes(tmp_path: Path) -> None:
    receiving, delivering = Outbox(tmp_path), Outbox(tmp_path)
    noted: set[str] = set()
    over = threading.Event()
    removed: set[str] = set()

    def receive() -> None:
        try:
            for number in range(800):
                noted.add(arrive(receiving, number))
        finally:
            over.set()

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        ended = False
        while not ended:
            ended = over.wait(0.001)
            before = noted.copy()
            files = delivering.files(KEY)
            lost = before.intersection(file.name for file in files) - in_ledger(delivering)
            assert not lost
            delivering.remove(KEY, files)
            removed.update(file.name for file in files)
    finally:
        thread.join()
    assert removed == noted and len(noted) == 800
    assert not (tmp_path / KEY).exists()


def test_half_a_file_does_not_count_as_something_that_waits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    first = outbox.keep(KEY, "2.25.1", [b"x"]).path
    (tmp_path / KEY / ".aa.part").write_bytes(b"half")
    assert outbox.remove(KEY, [first])


def test_a_series_that_is_delivered_while_the_outbox_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path)
    for key in (KEY, "S-ABCDEFGH23457"):
        outbox.keep(key, "2.25.1", [b"four"])
    scandir = os.scandir

    def late(folder: Path) -> object:
        if KEY in str(folder):
            shutil.rmtree(folder, ignore_errors=True)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", late)
    assert outbox.size() == len(b"four")
    assert outbox.files(KEY) == []
