"""A small day in the life; the long form is `python -m tests.flow.day --count 2000`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow import daily
from tests.flow.day import days

pytestmark = pytest.mark.timeout(300)


def test_the_balance_adds_up_after_a_day_with_kills(tmp_path: Path) -> None:
    (day,) = days(tmp_path, 60, kills=2, number=1)
    print(day.failed, day.killed_at)
    assert day.wrong == []
    assert day.failed.total() > 3 and day.moves > len(day.files) / 2, "nothing failed that day"


def test_two_thousand_have_their_real_proportions() -> None:
    wanted = daily.exams(2000)
    kinds = {kind: sum(exam.kind == kind for exam in wanted) for kind in daily.PARTS}
    assert kinds == {"empty": 400, "several": 100, "wrong": 60, "excluded": 140}
    assert sum(bool(exam.fails) for exam in wanted) == 200
    assert {exam.fails for exam in wanted if exam.fails} == set(daily.FAILURES)
    assert sum(daily.expected(wanted).values()) == 2000
