"""Three nodes share one PostgreSQL and one Orthanc; one is killed, one partitioned, the database restarted: all is there, once.

The long form, against a single node's archive, and a rolling restart: `python -m tests.faults.several --count 300`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import several
from tests.support.world import pixel_digest

COUNT = 24

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(400)]


def test_three_nodes_fill_the_archive_whatever_happens_to_them(tmp_path: Path) -> None:
    with several.site(tmp_path, COUNT) as here:
        archive = several.disturbed(here)
    wanted = sorted(pixel_digest(file) for study in here.studies for file in study.files)
    found = sorted(pixel_digest(tmp_path / "disturbed" / "archive" / name) for name in archive)
    assert len(wanted) == COUNT * several.INSTANCES
    assert found == wanted
