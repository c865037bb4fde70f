"""What the meter shows when the clock is set."""

from __future__ import annotations

from gateway.run.meter import DEFERRING, WINDOW, Meter
from gateway.run.watched import REJECTED


def add(meter: Meter, now: float) -> None:
    meter.add("instances_received_total", 1.0, {"result": "kept"}, now)


def test_a_clock_set_back_leaves_nothing_that_is_still_to_come() -> None:
    meter = Meter()
    for n in range(600):
        add(meter, 10_000.0 + n)
    assert meter.rates(10_599.0)["instances_per_minute"] == (WINDOW + 1) / (WINDOW / 60)
    add(meter, 7_000.0)
    assert meter.rates(7_000.0)["instances_per_minute"] == 1 / (WINDOW / 60)


def test_what_our_receiver_refuses_for_now_is_no_fault_of_a_series() -> None:
    """Else a move that was answered while no name server did would be charged, though the receiver only put its PACS off."""
    meter = Meter()
    for reason in REJECTED:
        meter.add("associations_rejected_total", 1.0, {"reason": reason}, 0.0)
    assert meter.crowded() == len(set(REJECTED) - {"calling-ae", "called-ae", "plain", "tls"})


def test_while_our_receiver_defers_what_comes_nothing_is_asked_for() -> None:
    """Its database was full for a night: each series was charged eight times with what the PACS made of it, and had failed."""
    meter, at = Meter(), 10_000.0
    told = {"project": "chest", "result": "deferred"}
    meter.add("instances_received_total", 0.0, {**told, "project": ""}, at)
    meter.add("instances_received_total", 1.0, told, at)
    assert not meter.deferring(at), "a disk's fault with one file"
    meter.add("instances_received_total", 1.0, {**told, "project": ""}, at)
    assert meter.deferring(at) and meter.deferring(at + DEFERRING - 1)
    assert not meter.deferring(at + DEFERRING) and not meter.deferring(at - 3600), "the clock was set back"
