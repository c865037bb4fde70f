"""A held series, on a real state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cstore.held import HeldRig
from tests.state.conftest import Opened


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HeldRig]:
    state = Opened(tmp_path)
    yield HeldRig(tmp_path, state)
    state.database.close()
