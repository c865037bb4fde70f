"""When a pushed study is quiet."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import Retry
from gateway.model import Dropped, Outcome
from tests.cstore.test_push import OTHER, QUIET, Site


@pytest.mark.catalogue("O3")
def test_what_came_while_the_clock_was_ahead_is_not_waited_for_until_it_is_there_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.now += 86400
    assert site.send(1) == 0
    site.now -= 86400
    assert not site.settle.step()
    site.now += QUIET
    assert site.settle.step() and site.states() == [("retrieved", "")]


@pytest.mark.catalogue("O3")
def test_what_is_still_coming_while_the_clock_is_set_back_is_judged_when_all_of_it_has_come(tmp_path: Path) -> None:
    """It was judged at once, on half of it: excluded, and what had been acknowledged was cleared."""
    site = Site(tmp_path, series="NumberOfSeriesRelatedInstances >= 4")
    assert [site.send(n) for n in (1, 2)] == [0, 0]
    site.now -= 3600
    assert not site.settle.step()
    assert site.send(3) == 0
    site.now += QUIET - 1
    assert not site.settle.step()
    assert site.send(4) == 0
    site.now += QUIET - 1
    assert not site.settle.step()
    site.now += 1
    assert site.settle.step() and site.states() == [("retrieved", "")]
    assert len(site.outbox.files(*site.series())) == 4
    site.now += 3600
    assert not site.settle.step() and not site.settle.ahead, "nothing is remembered for good"


def test_one_whose_folder_is_closed_to_us_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another owner, as somebody restored it: nothing that was pushed was settled any more, each time as worker.bug."""
    site = Site(tmp_path)
    assert site.send(1) == 0
    (closed,) = site.series()
    assert site.send(2, series=OTHER, StudyInstanceUID="2.25.884") == 0
    site.now += QUIET
    path = site.outbox.path

    def refused(series: str, name: str) -> Path:
        if series == closed:
            raise PermissionError(13, "")
        return path(series, name)

    with monkeypatch.context() as patch:
        patch.setattr(site.outbox, "path", refused)
        with pytest.raises(Retry, match=r"^outbox\.unreadable.* 1 pushed"):
            site.settle.step()
        assert site.states() == [("planned", ""), ("retrieved", "")]
    assert site.settle.step() and site.states() == [("retrieved", ""), ("retrieved", "")]


def test_what_could_not_be_cleaned_is_in_the_log_with_its_reason(tmp_path: Path) -> None:
    """The runbook of the alert PacsGatewayLeakBlocked looks for it there."""
    site = Site(tmp_path)
    site.cleaner.dropped = Dropped(Outcome.REFUSED, "verify.name@00081030")
    assert site.send(1) == 0
    site.now += QUIET
    with capture_logs() as logs:
        assert site.settle.step()
    told = [(entry["event"], entry["log_level"], entry["reason"]) for entry in logs]
    assert told == [("series.failed", "error", "verify.name@00081030")]
