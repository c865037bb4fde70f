"""One receiver for a module, one rig for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cmove.rig import Receiver, Rig, receiving, rig_at
from tests.dicom.serving import Serving


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Receiver, Serving]]:
    with receiving() as started:
        yield started


@pytest.fixture
def rig(running: tuple[Receiver, Serving], tmp_path: Path) -> Iterator[Rig]:
    with rig_at(running, tmp_path) as made:
        yield made
