"""The screener: a deadline, a place for what is large, and projects that do not ask for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.cstore import screener as screener_
from gateway.cstore.screener import Left, NotAsked, PixelScreener, Scratch, make_screener
from gateway.settings import Deidentify


@dataclass
class Cleaner:
    """Notes what it was asked."""

    files: list[bytes] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)

    def clean(self, file: memoryview, *, late: Callable[[], bool], scratch: Callable[[], Scratch]) -> Left:
        self.files.append(bytes(file))
        self.late += [late(), late()]
        written = scratch()
        written.write(b"ab")
        return Left("seen", parts=(written.view(),))


def test_the_cleaner_is_opened_with_the_first_file_and_once() -> None:
    opened: list[Cleaner] = []

    def open_cleaner() -> Cleaner:
        opened.append(Cleaner())
        return opened[-1]

    screener = make_screener(Deidentify(options=("clean-pixel-data",)), open_cleaner)
    assert opened == []
    screened = [screener.screen(parts) for parts in ((b"one", b"two"), (bytearray(b"three"),))]
    assert [cleaner.files for cleaner in opened] == [[b"onetwo", b"three"]]
    assert [bytes(s.parts[0]) for s in screened] == [b"ab", b"ab"]


def test_projects_that_do_not_ask() -> None:
    screener = make_screener(Deidentify(options=("clean-descriptors",)), Cleaner)
    assert isinstance(screener, NotAsked)
    screened = screener.screen((b"x",))
    assert (screened.verdict, screened.reason, screened.parts) == ("hold", "pixels.not-asked", ())


def test_a_deadline_for_each_file() -> None:
    cleaner, times = Cleaner(), iter([0.0, 9.0, 11.0, 100.0, 101.0, 110.5])
    screener = PixelScreener(lambda: cleaner, seconds=10, clock=lambda: next(times))
    screener.screen((b"x",))
    screener.screen((b"x",))
    assert cleaner.late == [False, True, False, True]


@pytest.mark.parametrize("limit", [0, 5, 1 << 20])
def test_large_things_go_through_a_file_without_a_name(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screener_, "IN_MEMORY", limit)
    scratch = Scratch(tmp_path)
    for part in (b"abcd", memoryview(b"efgh"), bytearray(b"ij")):
        scratch.write(part)
    view = scratch.view()
    assert bytes(view) == b"abcdefghij"
    assert list(tmp_path.iterdir()) == []
    assert isinstance(view.obj, bytes) is (limit > 10)


def test_no_recogniser_before_the_first_file() -> None:
    """What a receive process imports. numpy and codecs are there all the same: pydicom loads what it finds."""
    code = (
        "import sys, gateway.cstore.screener, gateway.cstore.screening, gateway.deidentify.cleaner;"
        "sys.exit(bool({'onnxruntime', 'gateway.deidentify.screen', 'gateway.deidentify.codecs'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
