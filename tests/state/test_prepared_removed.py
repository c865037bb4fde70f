"""What was removed from the outbox on purpose: no prepared name brings it back."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.state.outbox import Outbox
from tests.support.journals import KEY, OTHER, READY, after_power_cut, berths, contents, keep, opened


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = opened(tmp_path / "outbox", ready=READY)
    yield made
    made.close()


@pytest.mark.parametrize("way", ["remove", "drop", "clear"])
def test_what_was_removed_stays_away(outbox: Outbox, tmp_path: Path, way: str) -> None:
    for series, name in ((KEY, "2.25.1"), (KEY, "2.25.2"), (OTHER, "2.25.3")):
        keep(outbox, name, series)
    other = Outbox(tmp_path / "outbox")  # another process
    if way == "clear":
        other.clear(KEY)
    elif way == "drop":
        other.drop(KEY, "2.25.1.dcm")
    else:
        assert not other.remove(KEY, other.files(KEY)[:1])
    left = b"".join(beginnings(tmp_path / "outbox"))
    assert [left.count(name) > 0 for name in (b"2.25.1", b"2.25.2", b"2.25.3")] == [False, way != "clear", True]
    after = set(contents(after_power_cut(tmp_path / "outbox")))
    assert after == set(contents(outbox)) and len(after) == (1 if way == "clear" else 2)


def test_nothing_comes_back_while_others_are_received(outbox: Outbox, tmp_path: Path) -> None:
    """The settling goes on all the time meanwhile."""
    over, other, number = threading.Event(), Outbox(tmp_path / "outbox"), random.Random(21)

    def traffic() -> None:
        for i in range(10**6):
            if over.is_set():
                return
            keep(outbox, f"2.25.9{i}", OTHER)
            if number.random() < 0.5:
                other.drop(OTHER, f"2.25.9{i}.dcm")

    busy = threading.Thread(target=traffic)
    busy.start()
    try:
        for i in range(60):
            keep(outbox, f"2.25.{i}")
            other.remove(KEY, other.files(KEY))
            assert not any(found.startswith(b"2.25.%d\0" % i) for found in beginnings(tmp_path / "outbox"))
    finally:
        over.set()
        busy.join()
    assert {name.split("/")[0] for name in contents(after_power_cut(tmp_path / "outbox"))} <= {OTHER}


def beginnings(root: Path) -> list[bytes]:
    """Of all that has a prepared name, but for what goes this moment."""
    found = []
    for path in berths(root):
        with contextlib.suppress(FileNotFoundError):
            found.append(path.read_bytes()[:8])
    return found
