"""What a child process does besides its work: it shows that it lives, and collects what lies about."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.run import process
from gateway.run.process import BEAT, BEATS_PER_COLLECTION, READY, Begun
from gateway.settings import Settings
from tests.support.journals import until


class Loop:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collector() -> Iterator[None]:
    """As it was, afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_a_child_that_lives_says_so_and_collects_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.001)
    reading, writing = os.pipe()
    stop = threading.Event()
    try:
        Begun(cast(Settings, None), 0, writing, stop).ready()
        left = weakref.ref(Loop())
        until(lambda: left() is None)
        expected = READY + BEAT * BEATS_PER_COLLECTION  # are there: it has collected once
        assert os.read(reading, len(expected)) == expected
    finally:
        stop.set()
        until(lambda: all(thread.name != "beat" for thread in threading.enumerate()))
        os.close(writing)
        os.close(reading)
