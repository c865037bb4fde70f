"""A file that is acknowledged while its folder is being removed stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.state.outbox import Outbox

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
