"""The power goes: a few times here; `python -m tests.faults.power --count N` is the long form."""

from __future__ import annotations

import pytest

from tests.faults.mounts import inside


@pytest.mark.slow
@pytest.mark.parametrize("journal", [["--journal"], []], ids=["journal", "prepared"])
def test_what_was_acknowledged_survives_a_power_cut(journal: list[str]) -> None:
    done = inside("tests.faults.power", "--count", "2", "--seed", "2", *journal)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "wrong=[]" in done.stdout and "acknowledged=0" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant",
    [["--journal", "--unrecovered"], ["--unrecovered", "--count", "2"], ["--unsynced"]],
    ids=["journal", "prepared", "fsync"],
)
def test_what_is_missing_is_found_out(mutant: list[str]) -> None:
    done = inside("tests.faults.power", "--count", "1", "--seed", "2", *mutant)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "acknowledged, but " in done.stdout
