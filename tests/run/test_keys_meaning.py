"""What a key stands for (docs/adr/0017-keys.md): one gives one archive, another project another, and no other key is taken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date

import pydicom
import pytest

from gateway.dicom.part10 import read_file
from gateway.errors import Fatal
from gateway.model import Kept
from gateway.run import wiring
from gateway.run.nodes import kept_keys
from gateway.run.opening import open_state
from gateway.settings import project_named
from tests.run.broker_site import Site
from tests.run.command_line import Place
from tests.support.dicomfiles import StudyFacts

SHIFTED = '[project.deidentify]\noptions = ["retain-longitudinal-modified-dates"]\n'
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def cleaned(place: Place, facts: StudyFacts, project: str = "chest") -> Mapping[str, str]:
    """What the project makes of the first file."""
    settings = wiring.load_settings(place.config)
    cleaner = wiring.make_cleaner(project_named(settings, project), kept_keys(settings))
    made = cleaner.clean(*read_file(facts.files[0]), frozenset())
    assert isinstance(made, Kept)
    file = place.folder / "made.dcm"
    file.write_bytes(b"".join(made.parts))
    ds = pydicom.dcmread(file)
    return {keyword: str(ds[keyword].value) for keyword in ("PatientID", "StudyDate", *UIDS)}


def days(text: str) -> int:
    return date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal()


def test_the_same_key_makes_the_same_of_it_on_any_node_at_any_time(place: Place, anna: StudyFacts) -> None:
    place.change("[project.deidentify]\n", SHIFTED)
    first = cleaned(place, anna)
    place.change('node = "gw1"', 'node = "gw2"')
    assert cleaned(place, anna) == first


def test_another_project_has_nothing_in_common(place: Place, anna: StudyFacts) -> None:
    """Neither pseudonym nor UID nor shift; the template is the same."""
    place.change("[project.deidentify]\n", SHIFTED)
    first = cleaned(place, anna)
    place.change('name = "chest"', 'name = "chest-2"')
    second = cleaned(place, anna, "chest-2")
    assert all(first[k] != second[k] for k in first)
    assert len({days(v["StudyDate"]) for v in (first, second)} | {days(anna.patient["study_date"])}) == 3


def test_another_key_makes_something_else(place: Place, anna: StudyFacts) -> None:
    first = cleaned(place, anna)
    (place.folder / "pseudonym.key").write_bytes(bytes(range(1, 33)))
    second = cleaned(place, anna)
    assert all(first[k] != second[k] for k in ("PatientID", *UIDS))


def test_a_state_takes_no_other_key_and_stays_as_it_is(place: Place, anna: StudyFacts) -> None:
    site = Site(place)
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    assert place.say("reidentify", "--project", "chest", pseudonym).code == 0
    site.close()
    before = {
        p: p.read_bytes() for p in (place.folder / "state").rglob("*") if p.is_file() and ".sqlite-" not in p.name
    }
    key = place.folder / "pseudonym.key"
    right = key.read_bytes()
    key.write_bytes(os.urandom(32))
    for words in (
        ("reidentify", "--project", "chest", pseudonym), ("audit", "verify"), ("requests", "list"),
        ("withdraw", "--project", "chest", "--pseudonym", pseudonym, "--reason", "x"),
    ):  # fmt: skip
        told = place.say(*words)
        assert told.code == 1 and "state.key" in told.err and pseudonym not in told.out
    with pytest.raises(Fatal, match=r"state\.key"):
        open_state(wiring.load_settings(place.config))
    assert {p: p.read_bytes() for p in before} == before
    key.write_bytes(right)
    assert place.say("audit", "verify").code == 0
