"""The crosswalk's file: private, beside the configuration, and told of before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import BadConfiguration
from gateway.run import crosswalk, wiring
from gateway.run.crosswalk import load_crosswalk
from tests.run.command_line import Place
from tests.support.dicomfiles import SeriesSpec, make_study

TEMPLATE = 'patient_id = "CHEST-{pseudonym}"'
LISTED = "patient_id,pseudonym\nPX-1,S001\n"


def private(file: Path, content: str = LISTED) -> Path:
    file.write_text(content)
    file.chmod(0o640)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(BadConfiguration) as caught:
        load_crosswalk(file)
    (mistake,) = caught.value.mistakes
    assert mistake.file == str(file) and mistake.line == 0 and "mode 0640" in mistake.allowed
    return mistake.found


def test_none_named_is_none() -> None:
    assert load_crosswalk(None) is None


def test_a_private_file_is_read(tmp_path: Path) -> None:
    assert load_crosswalk(private(tmp_path / "x.csv")) == {b"PX-1": b"S001"}


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = private(tmp_path / "x.csv")
    file.chmod(0o644)
    assert refusal(file) == "its mode 0644 lets others read it"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert refusal(tmp_path / "pipe") == refusal(tmp_path) == "no file"
    assert refusal(tmp_path / "missing.csv") == "cannot be read (No such file or directory)"


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosswalk, "MAX_SIZE", len(LISTED) - 1)
    assert "more than" in refusal(private(tmp_path / "x.csv"))


@pytest.mark.parametrize("name", ["x.csv", "{folder}/x.csv"])
def test_a_relative_path_is_beside_the_configuration(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = private(place.folder / "x.csv")
    place.change(TEMPLATE, f'crosswalk = "{name.format(folder=place.folder)}"')
    monkeypatch.chdir("/")
    (project,) = wiring.load_settings(place.config).project
    assert project.deidentify.crosswalk == file


def test_a_mistake_in_it_is_one_of_the_configuration(place: Place) -> None:
    file = private(place.folder / "x.csv", LISTED + "PX-1,S002\n")
    place.change(TEMPLATE, 'crosswalk = "x.csv"')
    told = place.say("check")
    assert told.code == 2 and f"{file}:3: patient_id: the patient ID of line 2" in told.err.replace("\n", "")
    assert "PX-1" not in told.err + told.out


def test_without_a_crosswalk_nothing_changes(place: Place) -> None:
    (project,) = wiring.load_settings(place.config).project
    assert project.deidentify.crosswalk is None


def test_deid_takes_its_pseudonyms_from_it_and_refuses_whom_it_does_not_know(place: Place) -> None:
    about = {"name": "Testperson^Synthia", "birth_date": "19501110", "study_date": "20240503"}
    one = SeriesSpec("CT", "Thorax", 1)
    for number, patient_id in enumerate(("PX-1", "PX-9")):
        make_study(
            place.folder / "in", series=(one,), seed=number, patient_id=patient_id, accession=f"SYNX{number}", **about
        )
    private(place.folder / "x.csv")
    place.change(TEMPLATE, 'crosswalk = "x.csv"')
    told = place.say("deid", "--project", "chest", str(place.folder / "in"), str(place.folder / "out"), "--json")
    assert told.code == 1
    outcomes = [(o["outcome"], o["reason"], o["files"]) for o in told.json["outcomes"]]
    assert outcomes == [("kept", "", 1), ("refused", "crosswalk.no-such-patient", 1)]
    assert [p.parent.name for p in (place.folder / "out").rglob("*.dcm")] == ["S001"]
    assert place.say("profile", "--project", "chest", "--json").json["crosswalk"] is True


def test_deid_tells_what_is_wrong_with_it(place: Place) -> None:
    (place.folder / "in").mkdir()
    place.change(TEMPLATE, 'crosswalk = "x.csv"')
    words = ("deid", "--project", "chest", str(place.folder / "in"), str(place.folder / "out"))
    told = place.say(*words)
    assert told.code == 2 and "x.csv:0: crosswalk: cannot be read" in told.err
    file = private(place.folder / "x.csv", "patient_id,pseudonym\nPX-1,PX-1\n")
    told = place.say(*words)
    assert told.code == 2 and f"{file}:2: pseudonym: a patient ID of this file" in told.err and "PX-1" not in told.err
