"""The opt-out list names a patient whose IDs were merged: all of them are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.run import broker
from tests.run.broker_site import ANNA, PROJECT, Site, study
from tests.run.command_line import Place
from tests.run.test_cli_broker import no_trace


@pytest.mark.parametrize("listed", ["SYNPID9000", ANNA])
def test_the_opt_out_of_who_was_merged_is_that_of_the_survivor(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    """`aliases` make one patient of two IDs: whichever the list names, the images of the other go, too, and stay away."""
    monkeypatch.setattr(broker, "SETTLES", 0.0)
    merged = place.folder / "merged.csv"
    merged.write_text(f"patient_id,survivor\nSYNPID9000,{ANNA}\n")
    merged.chmod(0o600)
    place.change('patient_id = "CHEST-{pseudonym}"', 'patient_id = "CHEST-{pseudonym}"\naliases = "merged.csv"')
    site = Site(place)
    facts = site.delivered(study(tmp_path, "SYNPID9000" if listed == ANNA else ANNA))
    desk = broker.make_desk(site.settings, site.state)
    assert desk.opted_out(PROJECT, [listed]) == 1 and desk.opted_out(PROJECT, [listed]) == 0
    assert site.states() == ["withdrawn", "withdrawn"]
    assert broker.Rounds(desk).step() and site.archive() == []
    no_trace(site, facts, "CHEST-")
    site.close()


def test_an_opt_out_holds_for_who_is_merged_later(place: Place, tmp_path: Path) -> None:
    """The list named the old ID before anybody knew of the new one."""
    site = Site(place)
    broker.make_desk(site.settings, site.state).opted_out(PROJECT, ["SYNPID9000"])
    site.close()
    merged = place.folder / "merged.csv"
    merged.write_text(f"patient_id,survivor\nSYNPID9000,{ANNA}\n")
    merged.chmod(0o600)
    place.change('patient_id = "CHEST-{pseudonym}"', 'patient_id = "CHEST-{pseudonym}"\naliases = "merged.csv"')
    again = Site(place)
    again.delivered(study(tmp_path))
    desk = broker.make_desk(again.settings, again.state)
    assert desk.opted_out(PROJECT, ["SYNPID9000"]) == 1 and again.states() == ["withdrawn", "withdrawn"]
    again.close()
