"""What the meter shows when the clock is set."""

from __future__ import annotations

from gateway.run.meter import WINDOW, Meter
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
