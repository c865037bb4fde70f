"""The journal of the outbox: what it holds comes back after a power cut, what was removed never does."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state import journal, recovery
from gateway.state.journal import LARGEST
from gateway.state.outbox import JOURNAL, Outbox
from gateway.state.segment import BLOCK
from tests.support.journals import KEY, OTHER, SIZE, after_power_cut, contents, journal_of, opened, segments, until


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = opened(tmp_path / "outbox")
    yield made
    made.close()


def test_what_was_kept_comes_back(outbox: Outbox, tmp_path: Path) -> None:
    outbox.keep(KEY, "2.25.1", [b"head", memoryview(b"pixels")])
    outbox.keep(KEY, "2.25.2", [b"x" * (2 * BLOCK)])
    outbox.keep(OTHER, "2.25.3", [b""])
    after = after_power_cut(tmp_path / "outbox")
    expected = {f"{KEY}/2.25.1.dcm": b"headpixels", f"{KEY}/2.25.2.dcm": b"x" * (2 * BLOCK), f"{OTHER}/2.25.3.dcm": b""}
    assert contents(after) == contents(outbox) == expected
    assert after.series() == outbox.series() == [KEY, OTHER]
    assert {path.stat().st_mode & 0o777 for path in after.files(KEY)} == {0o640}


def test_nothing_is_synced_where_it_was_entered(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", synced.append)
        stored = outbox.keep(KEY, "2.25.1", [b"whole"])
    assert stored.new
    assert not synced


def test_another_arrival_of_what_somebody_else_entered_is_synced(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.keep(KEY, "2.25.1", [b"whole"])
    inodes = {(tmp_path / "outbox" / KEY / "2.25.1.dcm").stat().st_ino, (tmp_path / "outbox" / KEY).stat().st_ino}
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda fd: synced.add(os.fstat(fd).st_ino))
    assert not Outbox(tmp_path / "outbox").keep(KEY, "2.25.1", [b"whole"]).new
    assert inodes <= synced


def test_what_is_kept_again_after_it_was_removed_comes_back(outbox: Outbox, tmp_path: Path) -> None:
    outbox.keep(KEY, "2.25.1", [b"first"])
    outbox.clear(KEY)
    outbox.keep(KEY, "2.25.1", [b"second"])
    assert contents(after_power_cut(tmp_path / "outbox")) == {f"{KEY}/2.25.1.dcm": b"second"}


@pytest.mark.parametrize("at", [BLOCK + 3, 2 * BLOCK + 3], ids=["its block", "its bytes"])
def test_what_is_torn_was_not_acknowledged(outbox: Outbox, tmp_path: Path, at: int) -> None:
    outbox.keep(KEY, "2.25.1", [b"whole"])
    outbox.keep(KEY, "2.25.2", [b"torn"])
    with next(p for p in segments(tmp_path / "outbox") if b"torn" in p.read_bytes()).open("r+b") as file:
        file.seek(2 * BLOCK + at)
        file.write(b"?")
    assert set(contents(after_power_cut(tmp_path / "outbox"))) == {f"{KEY}/2.25.1.dcm"}


def test_a_full_segment_begins_anew_when_all_is_synced(outbox: Outbox, tmp_path: Path) -> None:
    large = b"x" * (SIZE // 4)
    for i in range(40):
        outbox.keep(KEY, f"2.25.{i}", [large, bytes([i])])
        after = contents(after_power_cut(tmp_path / "outbox"))
        assert contents(outbox).items() >= after.items()
    assert len(outbox.files(KEY)) == 40
    assert len(segments(tmp_path / "outbox")) == 2
    assert len(after) < 8


def test_when_it_is_quiet_nothing_is_in_it(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox", quiet=0.05)
    outbox.keep(KEY, "2.25.1", [b"unmistakable"])
    until(lambda: not any(b"unmistakable" in path.read_bytes() for path in segments(tmp_path / "outbox")))
    assert contents(after_power_cut(tmp_path / "outbox")) == {}
    assert contents(outbox) == {f"{KEY}/2.25.1.dcm": b"unmistakable"}
    outbox.close()
    assert segments(tmp_path / "outbox") == []
    assert contents(Outbox(tmp_path / "outbox")) == {f"{KEY}/2.25.1.dcm": b"unmistakable"}


def test_what_is_large_is_synced_itself(outbox: Outbox, tmp_path: Path) -> None:
    outbox.keep(KEY, "2.25.1", [bytes(LARGEST + 1)])
    outbox.keep(KEY, "2.25.2", [bytes(SIZE)])  # not larger than that, but than a segment here
    assert contents(after_power_cut(tmp_path / "outbox")) == {}


def test_without_room_for_segments_all_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    outbox = Outbox(tmp_path / "outbox")
    outbox.open_journal(size=1 << 50)
    until((tmp_path / "outbox" / JOURNAL).exists)
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", synced.append)
        outbox.keep(KEY, "2.25.1", [b"whole"])
    assert len(synced) > 1
    outbox.close()
    assert segments(tmp_path / "outbox") == []


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
def test_a_journal_that_fails_is_left_for_the_sync_and_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    outbox, synced = opened(tmp_path / "outbox", quiet=0.05), []
    real = os.fsync

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    def sync(fd: int) -> None:
        synced.append(fd)
        real(fd)

    outbox.keep(KEY, "2.25.1", [b"before"])
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", sync)
        m.setattr(os, call, full)
        outbox.keep(KEY, "2.25.2", [b"meanwhile"])
        assert len(synced) > 1
    until(lambda: not any(own.full for own in journal_of(outbox)._own), 30)
    outbox.keep(KEY, "2.25.3", [b"afterwards"])
    assert {"2.25.1.dcm", "2.25.2.dcm", "2.25.3.dcm"} == {path.name for path in outbox.files(KEY)}
    outbox.close()


def test_what_a_failed_sync_may_have_lost_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN", 0.05)
    outbox = opened(tmp_path / "outbox", quiet=0.05)
    failing = iter([True, True])
    real = recovery.sync_file_system

    def sync(fd: int) -> None:
        if next(failing, False):
            raise OSError(errno.EIO, "bad sector")
        real(fd)

    monkeypatch.setattr(journal, "sync_file_system", sync)
    path = outbox.keep(KEY, "2.25.1", [b"whole"]).path
    gone = outbox.keep(KEY, "2.25.2", [b"removed"]).path
    outbox.drop(KEY, gone.name)
    path.write_bytes(b"\0")  # what is left of it on the disk
    until(lambda: path.read_bytes() == b"whole")
    assert not gone.exists()
    outbox.close()


DIES = """
import os, signal, sys
from pathlib import Path
from tests.support.journals import KEY, opened
outbox = opened(Path(sys.argv[1]))
outbox.keep(KEY, "2.25.1", [b"whole"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_segments_of_a_dead_process_are_taken_over(tmp_path: Path) -> None:
    root = tmp_path / "outbox"
    died = subprocess.run([sys.executable, "-c", DIES, str(root)], cwd=Path(__file__).parents[2], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(segments(root)) == 2
    assert contents(after_power_cut(root)) == {f"{KEY}/2.25.1.dcm": b"whole"} == contents(Outbox(root))
    before = (root / KEY / "2.25.1.dcm").stat().st_ino
    alive = opened(root)
    assert len(segments(root)) == 2
    assert contents(after_power_cut(root)) == {}  # it synced what the dead one had entered
    assert (root / KEY / "2.25.1.dcm").stat().st_ino != before, "the dead one may have been told of a sync that failed"
    alive.close()


def test_a_start_leaves_the_segments_of_who_still_lives(outbox: Outbox, tmp_path: Path) -> None:
    outbox.keep(KEY, "2.25.1", [b"whole"])
    Outbox(tmp_path / "outbox").sweep()
    outbox.keep(KEY, "2.25.2", [b"after that"])
    assert len(contents(after_power_cut(tmp_path / "outbox"))) == 2


def test_two_processes_have_segments_of_their_own(outbox: Outbox, tmp_path: Path) -> None:
    second = opened(tmp_path / "outbox")
    outbox.keep(KEY, "2.25.1", [b"one"])
    second.keep(KEY, "2.25.2", [b"two"])
    assert len(segments(tmp_path / "outbox")) == 4
    assert len(contents(after_power_cut(tmp_path / "outbox"))) == 2
    second.remove(KEY, second.files(KEY))
    assert contents(after_power_cut(tmp_path / "outbox")) == {}
    second.close()
    assert len(segments(tmp_path / "outbox")) == 2


WHAT = st.sampled_from(["keep", "keep", "keep", "remove", "drop", "clear", "cut"])
STEP = st.tuples(WHAT, st.sampled_from([KEY, OTHER]), st.integers(0, 5), st.integers(0, 3 * BLOCK))
STEPS = st.lists(STEP, max_size=40)


@settings(max_examples=25)
@given(STEPS)
def test_whatever_happens_the_outbox_is_the_same_after_a_power_cut(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int, int]]
) -> None:
    """What is synced by itself is not in the journal; here nothing is: segments are large enough, and nobody is quiet."""
    root = tmp_path_factory.mktemp("model") / "outbox"
    outbox, other = opened(root), Outbox(root)
    model: dict[str, bytes] = {}
    for number, (what, key, name, size) in enumerate([*steps, ("cut", KEY, 0, 0)]):
        file = f"2.25.{name}"
        if what == "keep":
            raw = number.to_bytes(2, "little") * size
            outbox.keep(key, file, [raw])
            model.setdefault(f"{key}/{file}.dcm", raw)
        elif what == "drop":
            other.drop(key, f"{file}.dcm")
            model.pop(f"{key}/{file}.dcm", None)
        elif what == "cut":
            assert contents(after_power_cut(root)) == contents(outbox) == model
        else:
            (other.clear(key) if what == "clear" else other.remove(key, other.files(key)))
            model = {path: raw for path, raw in model.items() if not path.startswith(key)}
    outbox.close()
    shutil.rmtree(root.parent)
