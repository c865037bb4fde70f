"""Who may have the state: one daemon, of the account that the state belongs to."""

from __future__ import annotations

import os

import pytest

from tests.run.command_line import Place
from tests.support.daemon import command

DAEMON = 12345


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write where it may not")
def test_root_runs_no_daemon_on_the_state_of_another_account(place: Place) -> None:
    """What it leaves there would keep the daemon's own account out, until somebody finds out why."""
    state = place.folder / "state"
    state.mkdir()
    os.chown(state, DAEMON, DAEMON)
    told = command(place.config, "run")
    assert told.returncode == 1 and f"belongs to {DAEMON}: run this command as that user" in told.stderr
    assert not list(state.iterdir())
