"""What comes of a pushed series after it was settled, or after its disk has failed."""

from __future__ import annotations

from pathlib import Path

from gateway.model import Dropped, Outcome
from tests.cstore.test_push import QUIET, Site
from tests.support.carried import claim_row


def test_the_request_that_it_is_opened_for_ends_with_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.cleaner.dropped = Dropped(Outcome.EXCLUDED, "select.instance")
    assert site.send(1) == 0
    site.now += QUIET
    assert site.settle.step() and site.states() == [("excluded", "select.instance")]
    site.cleaner.dropped, site.now = None, site.now + 2
    assert site.send(2, AccessionNumber="SYNPUSHOTHER") == 0
    assert sorted(state for state, _ in site.requests()) == ["planned", "planned"]
    site.now += QUIET
    assert site.settle.step()
    row = claim_row(site.state.store, "retrieved", projects=["chest"], lease=60, now=site.now)
    assert row is not None and site.state.store.fail_series(row, reason="deliver.refused", now=site.now)
    assert sorted(state for state, _ in site.requests()) == ["failed", "failed"]


def test_what_was_set_aside_has_come(tmp_path: Path) -> None:
    """A rule on counts would drop the rest, which nobody can be asked for; the courier waits for what is missing."""
    site = Site(tmp_path, series="NumberOfSeriesRelatedInstances >= 3")
    assert [site.send(n) for n in range(3)] == [0, 0, 0]
    (key,) = site.series()
    site.outbox.set_aside(key, site.outbox.files(key)[0].name)
    site.now += QUIET
    assert site.settle.step() and site.states() == [("retrieved", "")]
