"""When a pushed study is quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cstore.test_push import Site


@pytest.mark.catalogue("O3")
def test_what_came_while_the_clock_was_ahead_is_not_waited_for_until_it_is_there_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.now += 86400
    assert site.send(1) == 0
    site.now -= 86400
    assert site.settle.step() and site.states() == [("retrieved", "")]
