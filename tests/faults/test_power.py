"""The power goes: a few times here; `python -m tests.faults.power --count N` is the long form."""

from __future__ import annotations

import pytest

from tests.faults.mounts import inside


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_power_cut() -> None:
    done = inside("tests.faults.power", "--count", "2", "--seed", "2")
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "wrong=[]" in done.stdout and "acknowledged=0" not in done.stdout


@pytest.mark.slow
def test_a_missing_fsync_is_found_out() -> None:
    done = inside("tests.faults.power", "--count", "1", "--seed", "2", "--unsynced")
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "acknowledged, but not in the ledger" in done.stdout
