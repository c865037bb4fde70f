"""pynetdicom's reactor is really held, so that it takes no answer that is ours."""

from __future__ import annotations

import threading
import time

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from gateway.dicom.reactor import Gate

ROUNDS = 2000


def stolen(make_gate: type[threading.Event] | None) -> int:
    """Plays pynetdicom: a reactor that takes what lies there when its gate is open, and a user who closes the gate first."""
    taken: list[int] = []
    mine: list[int] = []
    stop = threading.Event()

    def reactor() -> None:
        while not stop.is_set():
            gate.wait(1)
            if mine:
                taken.append(mine.pop())

    thread = threading.Thread(target=reactor)
    gate: threading.Event = Gate(thread) if make_gate is None else make_gate()
    gate.set()
    thread.start()
    for n in range(ROUNDS):
        gate.clear()
        mine.append(n)
        time.sleep(0)
        if mine:
            mine.pop()
        gate.set()
    stop.set()
    thread.join(5)
    return len(taken)


def test_nothing_is_taken_behind_a_closed_gate() -> None:
    assert stolen(None) == 0


def test_a_plain_event_would_not_hold_it() -> None:
    """Why the gate exists; should this fail one day, pynetdicom's own way may do as well."""
    assert any(stolen(threading.Event) for _ in range(5))


def test_closing_does_not_wait_for_a_reactor_that_does_not_run() -> None:
    gate = Gate(threading.Thread())
    start = time.monotonic()
    gate.clear()
    assert time.monotonic() - start < 1
    assert not gate.is_set()
    assert not gate.wait(0.01)


@pytest.mark.parametrize("name", ["_reactor_checkpoint", "_is_paused"])
def test_pynetdicom_still_has_what_is_leaned_on(name: str) -> None:
    assert hasattr(Association(AE(), "requestor"), name)
