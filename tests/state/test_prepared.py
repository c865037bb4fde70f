"""Files that were prepared: after a power cut what was acknowledged is there, what was removed is not, and nothing else is left."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state import prepared
from gateway.state.checksum import SIZE, of_parts
from gateway.state.mark import MARK, Marked, packed, unpacked
from gateway.state.outbox import JOURNAL, Outbox
from tests.support.journals import (
    KEY,
    LARGE,
    NEVER,
    OTHER,
    READY,
    after_power_cut,
    berths,
    contents,
    keep,
    opened,
    ready_in,
    until,
    used,
)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = opened(tmp_path / "outbox", ready=READY)
    yield made
    made.close()


def without_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is a folder's, and would have been synced before the sender is told."""
    synced: list[str] = []

    def note(folder: object) -> int:
        synced.append(str(folder))
        return 0

    monkeypatch.setattr("gateway.state.keeping.sync_folder", note)
    return synced


def test_one_flush_and_no_folders(outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = without_syncs(monkeypatch), os.fsync
    flushed: list[int] = []

    def flush(fd: int) -> None:
        flushed.append(fd)
        fsync(fd)

    with monkeypatch.context() as m:
        m.setattr(os, "fsync", flush)
        first = keep(outbox, "2.25.1")
    assert (len(flushed), synced) == (1, [])
    assert contents(outbox) == {f"{KEY}/2.25.1.dcm": first}
    assert outbox.files(KEY)[0].stat().st_mode & 0o777 == 0o640
    assert len(used(outbox)) == 1


def test_after_a_power_cut_it_has_its_name(outbox: Outbox, tmp_path: Path) -> None:
    for i in range(READY // 2 - 1):
        keep(outbox, f"2.25.{i}", (KEY, OTHER)[i % 2])
    after = after_power_cut(tmp_path / "outbox")
    assert contents(after) == contents(outbox)
    assert berths(after._root) == [] and not list((after._root / JOURNAL).glob("*.prepared"))


def test_when_more_come_than_are_ready_they_are_synced_themselves(outbox: Outbox, tmp_path: Path) -> None:
    for i in range(5 * READY):
        keep(outbox, f"2.25.{i}")
        after = contents(after_power_cut(tmp_path / "outbox"))
        assert contents(outbox).items() >= after.items()
    assert len(outbox.files(KEY)) == 5 * READY
    until(lambda: len(used(outbox)) < READY and len(berths(tmp_path / "outbox")) >= READY)


def test_when_it_is_quiet_only_empty_ones_are_there(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox", quiet=0.05, ready=READY)
    for i in range(3):
        keep(outbox, f"2.25.{i}")
    until(lambda: not used(outbox) and len(berths(tmp_path / "outbox")) == ready_in(outbox) == READY)
    assert all(path.stat().st_size == 0 for path in berths(tmp_path / "outbox"))
    outbox.close()
    assert list((tmp_path / "outbox" / JOURNAL).glob("*.prepared")) == []
    assert len(outbox.files(KEY)) == 3


def test_what_is_torn_was_not_acknowledged(outbox: Outbox, tmp_path: Path) -> None:
    keep(outbox, "2.25.1")
    keep(outbox, "2.25.2")
    [torn] = [path for path in used(outbox) if path.read_bytes().startswith(b"2.25.2")]
    torn.write_bytes(b"2.25.2 and no more")
    assert set(contents(after_power_cut(tmp_path / "outbox"))) == {f"{KEY}/2.25.1.dcm"}


def test_what_a_dead_process_left_is_seen_to_at_the_next_start(tmp_path: Path) -> None:
    """Its successor leaves it alone, and who removes finds it."""
    root = tmp_path / "outbox"
    code = f"""
import os, pathlib
from tests.support.journals import KEY, opened
outbox = opened(pathlib.Path({str(root)!r}), ready={READY})
for name in ("2.25.1", "2.25.2"):
    outbox.keep(KEY, name, [bytes({len(LARGE)})])
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    following = opened_beside(root)
    assert len(berths(root)) == 2 * READY
    following.drop(KEY, "2.25.1.dcm")
    following.close()
    after = Outbox(root)
    after.sweep()
    assert set(contents(after)) == {f"{KEY}/2.25.2.dcm"} and berths(root) == []
    assert not list((root / JOURNAL).glob("*.prepared"))


def opened_beside(root: Path) -> Outbox:
    outbox = Outbox(root)
    outbox.open_journal(quiet=NEVER, ready=READY)
    until(lambda: len(berths(root)) == 2 * READY)
    return outbox


def test_what_has_its_name_at_the_next_start_is_made_anew(outbox: Outbox, tmp_path: Path) -> None:
    """Whatever the disk knows of the two names: nothing is taken away before its copy is there."""
    kept = keep(outbox, "2.25.1")
    image = tmp_path / "image"
    shutil.copytree(tmp_path / "outbox", image)
    (marked,) = [path for path in berths(image) if path.stat().st_size]
    marked.unlink()
    os.link(image / KEY / "2.25.1.dcm", marked)
    os.setxattr(marked, MARK, packed(Marked(of_parts([kept]), KEY, "2.25.1.dcm")))
    inode = marked.stat().st_ino
    after = Outbox(image)
    after.sweep()
    assert contents(after) == {f"{KEY}/2.25.1.dcm": kept} and berths(image) == []
    assert after.files(KEY)[0].stat().st_ino != inode


def test_a_folder_whose_sync_failed_is_seen_to_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells it once: afterwards a sync succeeds and the name may not be there."""
    root = tmp_path / "outbox"
    outbox = opened(root, ready=READY)
    kept = keep(outbox, "2.25.1")

    def broken(_: object) -> int:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as m:
        m.setattr("gateway.state.keeping.sync_folder", broken)
        assert outbox._keeper._prepared is not None
        outbox._keeper._prepared._settle(READY)
    keep(outbox, "2.25.2")  # into the same folder, of which the kernel says now that all is well
    outbox.close()
    assert len(berths(root)) == 2
    (root / KEY / "2.25.1.dcm").unlink()  # what a power cut would do
    again = Outbox(root)
    again.sweep()
    assert contents(again)[f"{KEY}/2.25.1.dcm"] == kept and berths(root) == []


@pytest.mark.parametrize("call", ["setxattr", "link"])
def test_a_file_system_that_cannot_do_it_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    def unable(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "not here")

    monkeypatch.setattr(os, call, unable)
    outbox = Outbox(tmp_path / "outbox")
    outbox.open_journal(quiet=NEVER)
    assert outbox._keeper._prepared is not None
    outbox._keeper._prepared._thread.join(20)
    keep(outbox, "2.25.1")
    assert not list((tmp_path / "outbox" / JOURNAL).glob("*.prepared"))
    outbox.close()
    assert "journal.failed" not in capsys.readouterr().out


@pytest.mark.parametrize("call", ["setxattr", "link", "fsync", "writev"])
def test_what_fails_leaves_nothing_visible(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as m:
        m.setattr(os, call, full)
        with pytest.raises(OSError, match="full"):
            keep(outbox, "2.25.1")
    assert outbox.files(KEY) == [] and contents(after_power_cut(tmp_path / "outbox")) == {}
    keep(outbox, "2.25.1")


def test_the_same_instance_twice_at_the_same_time_is_one(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    link, content = os.link, [b"2.25.1", LARGE]

    def late(path: str, target: Path) -> None:
        with monkeypatch.context() as m:
            m.setattr(os, "link", link)
            assert outbox.keep(KEY, "2.25.1", content).new
        link(path, target)

    monkeypatch.setattr(os, "link", late)
    stored = outbox.keep(KEY, "2.25.1", content)
    assert not stored.new and stored.size == len(b"".join(content))
    assert len(used(outbox)) == 1


def test_what_cannot_be_made_leaves_nothing_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "AGAIN", 0.01)
    tries, fsync = [0], os.fsync

    def broken(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".prepared"):
            tries[0] += 1
            if tries[0] < 5:
                raise OSError(errno.EIO, "broken")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", broken)
    outbox = opened(tmp_path / "outbox", ready=READY)
    until(lambda: tries[0] >= 5)
    assert len(berths(tmp_path / "outbox")) == READY
    outbox.close()


def test_where_no_attributes_are_a_start_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it was tried out."""
    left = tmp_path / "outbox" / JOURNAL / "aa.prepared"
    left.mkdir(parents=True)
    (left / "bb").touch()

    def unable(*_: object) -> bytes:
        raise OSError(errno.ENOTSUP, "not here")

    monkeypatch.setattr(os, "getxattr", unable)
    outbox = Outbox(tmp_path / "outbox")
    outbox.clear(KEY)
    outbox.sweep()
    assert not left.exists()


def test_a_name_that_is_none_is_not_given_back(outbox: Outbox, tmp_path: Path) -> None:
    keep(outbox, "2.25.1")
    [path] = used(outbox)
    outbox.files(KEY)[0].unlink()
    os.setxattr(path, MARK, packed(Marked(os.getxattr(path, MARK)[:16], "..", "2.25.1.dcm")))
    assert contents(after_power_cut(tmp_path / "outbox")) == {}


NAMES = st.one_of(
    st.integers(0, 2**130).map("2.25.{}.dcm".format), st.from_regex(r"\A[0-9A-Za-z.-]{1,60}\Z").map("{}.dcm".format)
)


@given(st.binary(min_size=16, max_size=16), NAMES)
def test_what_an_attribute_says(digest: bytes, name: str) -> None:
    assert unpacked(packed(Marked(digest, KEY, name))) == Marked(digest, KEY, name)


def test_of_our_own_names_it_fits_into_the_inode() -> None:
    assert len(packed(Marked(bytes(16), KEY, f"2.25.{2**128 - 1}.dcm"))) <= 68
    assert SIZE == 16
