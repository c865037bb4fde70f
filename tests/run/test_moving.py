"""What `status` says of the series that are still to come."""

from __future__ import annotations

from gateway.run.moving import eta, standing


def test_series_of_a_pacs_that_has_gone_from_the_configuration_are_told_and_have_no_end() -> None:
    told = standing({}, {"old": 3, "": 2}, now=1000.0)
    assert {name: (of["series"], of["breaker"], of["eta_s"]) for name, of in told.items()} == {
        "old": (3, "not configured", None)
    }
    assert eta(told) is None
    assert eta(standing({}, {"": 2}, now=1000.0)) == 0.0, "what was pushed comes by itself"
