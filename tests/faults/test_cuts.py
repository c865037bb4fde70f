"""Cut at random moments: a few times here; `python -m tests.faults.cuts --count N [--daemon]` is the long form."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cuts import Cutting, corpus
from tests.faults.receivers import Warm
from tests.faults.site import Search, Site

CUTS = 6
MOST = 60  # until one came in the middle of something


@pytest.fixture
def cutting(tmp_path: Path) -> Iterator[Cutting]:
    studies, site = corpus(tmp_path / "source", studies=2), Site(tmp_path / "site")
    site.plan(studies)
    receivers = Warm(site)
    yield Cutting(site, studies, receivers, random.Random(20))
    receivers.close()


def test_what_was_acknowledged_is_there_whole_clean_and_once(cutting: Cutting) -> None:
    for _ in range(CUTS):
        cutting.cut()
    while not cutting.tally.halves + cutting.tally.untold and cutting.tally.cuts < MOST:
        cutting.cut()
    cutting.finish()
    tally = cutting.tally
    print(tally)
    assert tally.wrong == []
    assert tally.acknowledged > CUTS
    assert tally.halves + tally.untold > 0, "no cut came in the middle of anything"


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    (study,) = corpus(tmp_path / "source", studies=1)
    search = Search([study])
    assert search.hits(tmp_path / "source")
    there = tmp_path / "there"
    there.mkdir()
    uid, name = study.StudyInstanceUID, study.patient["patient_id"]
    for planted in (uid.encode(), uid.encode("utf-16-le"), name.encode(), name.encode("utf-16-be")):
        (there / "file").write_bytes(bytes(100) + planted)
        assert search.hits(there) == ["file"]
    (there / "file").write_bytes(bytes(100) + b"2.25." + b"7" * 38)
    assert search.hits(there) == []
