"""The list of merged patients as the crosswalk's file is: private, beside the configuration, and told of before anything starts."""

from __future__ import annotations

import pytest

from gateway.errors import BadConfiguration
from gateway.run import wiring
from gateway.run.crosswalk import load_aliases
from tests.run.command_line import Place
from tests.run.test_crosswalk import TEMPLATE, private
from tests.support.dicomfiles import SeriesSpec, make_study

MERGED = "patient_id,survivor\nPX-1,PX-2\n"


def test_others_may_not_read_it(place: Place) -> None:
    file = private(place.folder / "m.csv", MERGED)
    assert load_aliases(file) == {"PX-1": "PX-2"} and load_aliases(None) == {}
    file.chmod(0o644)
    with pytest.raises(BadConfiguration, match="lets others read it"):
        load_aliases(file)


@pytest.mark.catalogue("R12")
def test_r12_deid_makes_one_patient_of_two(place: Place) -> None:
    about = {"name": "Testperson^Synthia", "birth_date": "19501110", "study_date": "20240503"}
    one = SeriesSpec("CT", "Thorax", 1)
    for number, patient in enumerate(("PX-1", "PX-2", "PX-3")):
        make_study(
            place.folder / "in", series=(one,), seed=number, patient_id=patient, accession=f"SYNX{number}", **about
        )
    private(place.folder / "m.csv", MERGED)
    place.change(TEMPLATE, f'aliases = "m.csv"\n{TEMPLATE}')
    (project,) = wiring.load_settings(place.config).project
    assert project.deidentify.aliases == place.folder / "m.csv"
    told = place.say("deid", "--project", "chest", str(place.folder / "in"), str(place.folder / "out"), "--json")
    assert told.code == 0
    folders = [p.relative_to(place.folder / "out").parts[0] for p in (place.folder / "out").rglob("*.dcm")]
    assert (len(folders), len(set(folders))) == (3, 2)


def test_a_mistake_in_it_is_one_of_the_configuration(place: Place) -> None:
    private(place.folder / "m.csv", MERGED + "PX-2,PX-1\n")
    place.change(TEMPLATE, f'aliases = "m.csv"\n{TEMPLATE}')
    told = place.say("check")
    assert told.code == 2 and "circle" in told.err and "PX-" not in told.err + told.out
