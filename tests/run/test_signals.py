"""What the daemon is told by signals: the first one drains, the second one ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from gateway.run.signals import Signals

TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    before, codes = [signal.getsignal(number) for number in TOLD], list[int]()
    monkeypatch.setattr(os, "_exit", codes.append)
    yield codes
    for number, handler in zip(TOLD, before, strict=True):
        signal.signal(number, handler)


def test_the_second_one_ends_it_at_once(exits: list[int]) -> None:
    signals = Signals()
    signal.raise_signal(signal.SIGTERM)
    assert signals.stop.is_set() and exits == []
    signal.raise_signal(signal.SIGINT)
    assert exits == [1]


def test_the_first_one_cuts_no_drain_short_that_a_fault_began(exits: list[int]) -> None:
    signals = Signals()
    signals.stop.set()  # as for `Fatal`
    signal.raise_signal(signal.SIGTERM)
    assert exits == []
    signal.raise_signal(signal.SIGTERM)
    assert exits == [1]
