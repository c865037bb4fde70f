"""`deid` and `profile`: offline, by the project's own rules, with nothing of the patient left or shown."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest

from gateway.model import Buffer
from gateway.run import wiring
from gateway.settings.kinds import OPTIONS
from tests.run.command_line import Place
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import files_below, leaks

SERIES = (SeriesSpec("CT", "Thorax", 4), SeriesSpec("CT", "Captures", 2, image_type=("DERIVED", "SECONDARY")))


@pytest.fixture
def study(tmp_path: Path) -> StudyFacts:
    return make_study(
        tmp_path / "in", series=SERIES, patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19501110",
        accession="SYNACC4711", study_date="20240503",
    )  # fmt: skip


def results(place: Place) -> list[Path]:
    return sorted(p for p in (place.folder / "out").rglob("*") if p.is_file())


def deid(place: Place, *words: str) -> tuple[str, ...]:
    return ("deid", "--project", "chest", str(place.folder / "in"), str(place.folder / "out"), *words)


def test_kept_files_are_clean_and_where_they_belong(place: Place, study: StudyFacts) -> None:
    told = place.say(*deid(place, "--json"))
    assert told.code == 0
    assert told.json["files"] == 6
    assert told.json["outcomes"] == [
        {"outcome": "excluded", "reason": "select.instance", "files": 2}, {"outcome": "kept", "reason": "", "files": 4},
    ]  # fmt: skip
    made = results(place)
    assert len(made) == 4
    for path in made:
        ds = pydicom.dcmread(path)
        assert str(ds.PatientID).startswith("CHEST-")
        assert (path.parent.name, path.stem) == (ds.PatientID, ds.SOPInstanceUID)
    assert not [p for p in (place.folder / "out").iterdir() if p.name.startswith(".")]
    spoken = [("spoken", (told.out + told.err).encode())]
    assert leaks(study.identifiers, [*files_below(place.folder / "out"), *spoken]) == []
    assert leaks(study.identifiers, files_below(place.folder / "in"))  # the search can find them


def test_a_second_time_changes_nothing(place: Place, study: StudyFacts) -> None:
    place.say(*deid(place))
    before = {p: p.read_bytes() for p in results(place)}
    told = place.say(*deid(place, "--json"))
    assert told.code == 0
    assert {"outcome": "kept", "reason": "there already", "files": 4} in told.json["outcomes"]
    assert {p: p.read_bytes() for p in results(place)} == before


def test_one_file_will_do(place: Place, study: StudyFacts) -> None:
    told = place.say("deid", "--project", "chest", str(study.files[0]), str(place.folder / "out"))
    assert told.code == 0
    assert len(results(place)) == 1


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:900])


def no_dicom(file: Path) -> None:
    file.write_bytes(b"no DICOM")


def gone_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize(
    ("spoil", "outcome", "code"),
    [(cut, ("refused", "dataset.malformed"), 1), (no_dicom, ("unreadable", "file.not-dicom"), 1), (gone_link, None, 0)],
)
def test_what_cannot_be_cleaned_is_counted_with_its_reason(
    place: Place, study: StudyFacts, spoil: Callable[[Path], None], outcome: tuple[str, str] | None, code: int
) -> None:
    spoil(study.files[1])
    told = place.say(*deid(place, "--json"))
    assert told.code == code
    assert len(results(place)) == 3
    outcomes = {(o["outcome"], o["reason"]): o["files"] for o in told.json["outcomes"]}
    assert outcome is None or outcomes[outcome] == 1
    assert study.files[1].name not in told.out + told.err


def test_a_folder_that_cannot_be_read_is_counted(
    place: Place, study: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, scandir = str(study.files[-1].parent), os.scandir

    def refuse(path: str) -> object:
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told = place.say(*deid(place, "--json"))
    assert told.code == 1
    assert {"outcome": "unreadable", "reason": "folder.unreadable", "files": 1} in told.json["outcomes"]
    assert len(results(place)) == 4


@pytest.mark.parametrize("why", [errno.EACCES, errno.ESTALE, errno.ENAMETOOLONG])
def test_a_file_that_is_listed_and_cannot_be_looked_at_is_counted(
    place: Place, study: StudyFacts, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    """In a folder of mode 0744, for another account (the tests may run as root, whom nothing is closed to), say."""
    for name in ("stat", "open"):
        real = getattr(Path, name)

        def refuse(path: Path, *words: Any, real: Callable[..., Any] = real, **more: Any) -> Any:
            if path == study.files[1]:
                raise OSError(why, os.strerror(why), str(path))
            return real(path, *words, **more)

        monkeypatch.setattr(Path, name, refuse)
    told = place.say(*deid(place, "--json"))
    assert told.code == 1
    assert {"outcome": "unreadable", "reason": "file.unreadable", "files": 1} in told.json["outcomes"]
    assert len(results(place)) == 3


SONO = SeriesSpec("US", "Thorax sono", 2)


class Scripted:
    """Stands for the recogniser: releases what has this instance number, masked."""

    def __init__(self, released: int) -> None:
        self.released = released

    def screen(self, parts: Sequence[Buffer]) -> SimpleNamespace:
        whole = b"".join(bytes(part) for part in parts)
        ds = pydicom.dcmread(BytesIO(whole))
        if ds.InstanceNumber == self.released:
            return SimpleNamespace(verdict="release", parts=(whole,), reason="", masked=1)
        return SimpleNamespace(verdict="hold", parts=(), reason="pixels.low-confidence", masked=0)


@pytest.fixture
def sono(tmp_path: Path) -> StudyFacts:
    return make_study(
        tmp_path / "in", series=(SONO,), patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19501110",
        accession="SYNACC4711", study_date="20240503",
    )  # fmt: skip


def test_what_is_not_to_be_screened_is_held_and_not_written(place: Place, sono: StudyFacts) -> None:
    told = place.say(*deid(place, "--json"))
    assert told.code == 1
    assert told.json["outcomes"] == [{"outcome": "held", "reason": "pixels.at-risk", "files": 2}]
    assert results(place) == []


def test_where_pixels_are_cleaned_it_is_screened_here_and_now(
    place: Place, sono: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.change("[project.deidentify]", '[project.deidentify]\noptions = ["clean-pixel-data"]')
    monkeypatch.setattr(wiring, "make_screeners", lambda projects: {p.name: Scripted(1) for p in projects})
    told = place.say(*deid(place, "--json"))
    assert told.code == 1
    assert told.json["outcomes"] == [
        {"outcome": "held", "reason": "pixels.low-confidence", "files": 1}, {"outcome": "kept", "reason": "", "files": 1},
    ]  # fmt: skip
    assert [pydicom.dcmread(path).InstanceNumber for path in results(place)] == [1]


def test_nothing_to_do_is_not_well(place: Place) -> None:
    (place.folder / "in").mkdir()
    assert place.say(*deid(place)).code == 1


def test_other_content_under_the_same_name_is_refused_and_stays(place: Place, study: StudyFacts) -> None:
    place.say(*deid(place))
    victim = results(place)[0]
    victim.write_bytes(b"somebody's own")
    told = place.say(*deid(place, "--json"))
    assert told.code == 1
    assert {"outcome": "refused", "reason": "deliver.conflict", "files": 1} in told.json["outcomes"]
    assert victim.read_bytes() == b"somebody's own"


def test_explain_tells_each_element_its_action_and_rule_without_a_value(place: Place, study: StudyFacts) -> None:
    told = place.say(*deid(place, "--explain", "--json"))
    elements = told.json["explained"][0]["elements"]
    name = next(e for e in elements if e["keyword"] == "PatientName")
    assert set(name) == {"path", "keyword", "action", "rule"}
    assert "PS3.15" in name["rule"]
    table = place.say(*deid(place, "--explain")).out
    assert "(0040,0275)[0].(0008,0050)" in table or "(0040,0275)" in table
    assert leaks(study.identifiers, [("json", told.out.encode()), ("table", table.encode())]) == []


def test_it_needs_the_key_and_no_state(place: Place, study: StudyFacts) -> None:
    place.say(*deid(place))
    assert not (place.folder / "state").exists()
    (place.folder / "pseudonym.key").unlink()
    told = place.say(*deid(place))
    assert told.code == 2
    assert "key init" in told.err


def test_the_archive_of_another_run_is_not_read_again(place: Place, study: StudyFacts) -> None:
    inside = str(place.folder / "in" / "out")
    assert place.say("deid", "--project", "chest", str(place.folder / "in"), inside).code == 2


def test_a_destination_that_cannot_be_made_is_a_sentence(place: Place, study: StudyFacts) -> None:
    (place.folder / "file").write_text("")
    told = place.say("deid", "--project", "chest", str(place.folder / "in"), str(place.folder / "file" / "out"))
    assert told.code == 2
    assert "DEST: cannot be made, or not written (Not a directory)" in told.err


def test_profile_as_table_and_json(place: Place) -> None:
    told = place.say("profile", "--project", "chest", "--json")
    assert told.code == 0
    rows = {r["keyword"]: r for r in told.json["rows"]}
    assert rows["PatientName"]["tag"] == "(0010,0010)"
    table = place.say("profile", "--project", "chest").out
    assert told.json["version"] in table
    assert "(0010,0010)" in table and rows["PatientName"]["rule"] in table
    assert len(table.splitlines()) > len(told.json["rows"]) > 1000


def test_the_profile_follows_the_project(place: Place) -> None:
    before = place.say("profile", "--project", "chest", "--json").json
    place.change('patient_id = "CHEST-{pseudonym}"', 'patient_id = "CHEST-{pseudonym}"\nkeep = ["PatientSex"]')
    after = place.say("profile", "--project", "chest", "--json").json
    assert before["version"] != after["version"]
    assert next(r for r in after["rows"] if r["keyword"] == "PatientSex")["rule"] == "project: keep"


@pytest.mark.parametrize("option", [o for o in OPTIONS if o != "clean-recognizable-visual-features"])
def test_profile_and_explain_work_with_every_option(place: Place, study: StudyFacts, option: str) -> None:
    place.change("[project.deidentify]", f'[project.deidentify]\noptions = ["{option}"]')
    shown = place.say("profile", "--project", "chest", "--json")
    assert shown.code == 0 and shown.json["options"] == [option]
    told = place.say(
        "deid", "--project", "chest", str(study.files[0]), str(place.folder / "out"), "--explain", "--json"
    )
    assert told.code == 0
    rules = {e["rule"] for e in told.json["explained"][0]["elements"]}
    assert any("PS3.15" in rule for rule in rules)


def test_explain_says_which_type_in_which_iod_decided(place: Place, study: StudyFacts) -> None:
    """X/Z and the like depend on the attribute's type in the instance's own IOD (PS3.15 E.1)."""
    told = place.say(
        "deid", "--project", "chest", str(study.files[0]), str(place.folder / "out"), "--explain", "--json"
    )
    rules = {e["keyword"]: e["rule"] for e in told.json["explained"][0]["elements"]}
    shown = {r["keyword"]: r["rule"] for r in place.say("profile", "--project", "chest", "--json").json["rows"]}
    varying = [k for k, rule in shown.items() if "by the type in the IOD" in rule and k in rules]
    assert varying and all(rules[k] for k in varying)


def test_the_profile_of_one_class_of_objects(place: Place) -> None:
    def rules(*words: str) -> dict[str, tuple[str, str]]:
        told = place.say("profile", "--project", "chest", "--json", *words)
        assert told.code == 0
        return {r["keyword"]: (r["action"], r["rule"]) for r in told.json["rows"]}

    anywhere, ct = rules(), rules("--sop-class", "CTImageStorage")
    assert ct == rules("--sop-class", "1.2.840.10008.5.1.4.1.1.2") and list(ct) == list(anywhere)
    assert "in this IOD" in ct["InstanceCreationDate"][1] and ct["PatientName"] == anywhere["PatientName"]
    told = place.say("profile", "--project", "chest", "--sop-class", "1.2.840.10008.1.2")
    assert told.code == 2 and "no SOP class" in told.err
