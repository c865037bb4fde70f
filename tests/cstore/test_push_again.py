"""What comes of a pushed series after it was settled, or after its disk has failed."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

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


def test_what_comes_late_and_cannot_be_cleaned_is_told_of_its_series(tmp_path: Path) -> None:
    """No ledger that counts takes it any more: it was dropped, and nobody could say why it is missing. Once for all times."""
    site = Site(tmp_path)
    assert site.send(1) == 0
    site.now += QUIET
    assert site.settle.step() and site.states() == [("retrieved", "")]
    site.cleaner.dropped, site.now = Dropped(Outcome.REFUSED, "verify.name@00081030"), site.now + 2
    with capture_logs() as logs:
        assert [site.send(2) for _ in range(3)] == [0, 0, 0]
    assert site.states() == [("retrieved", "")]
    (key,), (request,) = site.series(), site.state.views.requests()
    refused = [line for line in site.state.views.history(request.key) if line.event == "refused"]
    assert [(line.subject, line.reason) for line in refused] == [(key, "verify.name@00081030")]
    told = [(e["series"], e["reason"]) for e in logs if e["log_level"] == "error"]
    assert told == [(key, "verify.name@00081030")]
