"""A file system that fills up and is emptied again, with the real daemon in a mount namespace of its own."""

from __future__ import annotations

import pytest

from tests.faults.mounts import inside


@pytest.mark.slow
@pytest.mark.real
def test_full_it_pauses_and_with_room_again_it_goes_on_by_itself() -> None:
    done = inside("tests.faults.full")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "paused and resumed" in done.stdout
