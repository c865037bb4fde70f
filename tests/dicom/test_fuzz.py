"""Some hundred hostile streams; `python -m tests.dicom.fuzz --count 100000` is the long form."""

from __future__ import annotations

import pytest

from tests.dicom.fuzz import fuzz
from tests.dicom.hostile import KINDS


@pytest.mark.timeout(120)
def test_hostile_streams() -> None:
    found = fuzz(300, "1")
    assert not found.hung and not found.wrong, str(found)
    assert found.kinds.total() == 300 and len(found.kinds) == len(KINDS) and found.sent > 0
