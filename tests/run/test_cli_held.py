"""`held ...`: what waits is shown without a word about a patient, and what a person decides is done, and told by whom."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import update

from gateway.dicom.part10 import read_file
from gateway.model import AccessionNumber, FoundSeries, Held, LedgerLine, Outcome, Plan, PlannedSeries, Verdict, Wanted
from gateway.run import caller, wiring
from gateway.run.opening import State, open_state
from gateway.state import holding
from gateway.state.db import series as series_table
from gateway.state.rows import tally
from tests.run.command_line import Place, Told
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import leaks

SPEC = SeriesSpec("US", "Thorax sono", 3)


class Waiting:
    """A place with one held ultrasound series of three, made by the project's own cleaner from real files."""

    def __init__(self, place: Place, state: State, study: StudyFacts) -> None:
        self.place, self.state, self.study = place, state, study
        self.request = self._plan()
        (self.series,) = [s.key for s in state.views.series(self.request)]
        self._arrive()
        claim = state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=101)
        assert claim is not None
        state.store.settle_retrieved(claim.rows[0], tally(state.outbox.ledger(self.series)), now=102)

    def _plan(self) -> str:
        wanted = [Wanted("chest", AccessionNumber(self.study.patient["accession"]))]
        self.state.store.add_requests(wanted, (), project="chest", cursor=None, now=100)
        (claim,) = self.state.store.claim_requests(projects=["chest"], limit=1, lease=60, now=100)
        ds = pydicom.dcmread(self.study.files[0])
        found = FoundSeries(ds.StudyInstanceUID, ds.SeriesInstanceUID, {"Modality": "US"}, instances=3)
        plan = Plan(series=(PlannedSeries("main", found, Verdict(True)),), studies=1)
        assert self.state.store.settle_found(claim, plan, now=100)
        return claim.key

    def _arrive(self) -> None:
        cleaner = wiring.make_cleaner(wiring.load_settings(self.place.config).project[0], self.state.keys)
        assert self.state.outbox.held is not None
        for n, path in enumerate(self.study.files):
            made = cleaner.clean(*read_file(path), frozenset())
            assert isinstance(made, Held)
            stored = self.state.outbox.held.keep(self.series, made.SOPInstanceUID, made.parts)
            line = LedgerLine(f"hash-{n}", Outcome.HELD, made.reason, stored.path.name, stored.size, "", made.profile)
            self.state.outbox.note(self.series, line)

    @property
    def keys(self) -> list[str]:
        return [h.key for h in holding.holdings(self.state.outbox)]

    def say(self, *words: str) -> Told:
        return self.place.say("held", *words)

    @property
    def series_state(self) -> str:
        return self.state.views.series(self.request)[0].state

    def history(self) -> list[tuple[str, str]]:
        return [(e.event, e.reason) for e in self.state.views.history(self.request)]


@pytest.fixture
def waiting(place: Place, tmp_path: Path) -> Iterator[Waiting]:
    study = make_study(
        tmp_path / "in", series=(SPEC,), patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19501110",
        accession="SYNACC4711", study_date="20240503",
    )  # fmt: skip
    place.change("series = \"Modality == 'CT'\"\n", "")
    state = open_state(wiring.load_settings(place.config))
    yield Waiting(place, state, study)
    state.close()


def test_the_list_and_its_json(waiting: Waiting) -> None:
    told = waiting.say("list", "--json")
    assert told.code == 0
    assert [one["key"] for one in told.json["held"]] == waiting.keys and len(waiting.keys) == 3
    one = told.json["held"][0]
    assert (one["project"], one["series"], one["modality"]) == ("chest", waiting.series, "US")
    assert (one["class"], one["reason"], one["waits_for"]) == ("Ultrasound Image Storage", "pixels.at-risk", "a person")
    assert one["since"].endswith("Z") and one["size"] > 1000
    table = waiting.say("list").out
    assert all(key in table for key in waiting.keys)


def test_of_one_project_only(waiting: Waiting) -> None:
    assert len(waiting.say("list", "--project", "chest", "--json").json["held"]) == 3
    assert waiting.say("list", "--project", "knee").code == 2


def test_one_is_shown_with_the_place_of_its_file(waiting: Waiting) -> None:
    told = waiting.say("show", waiting.keys[1].lower(), "--json")
    assert told.code == 0
    assert pydicom.dcmread(told.json["file"]).Modality == "US"
    assert told.json["profile"] and told.json["frames"] == "1"
    assert "Ultrasound" in waiting.say("show", waiting.keys[1]).out
    assert waiting.say("show", "H-NOBODY").code == 1
    mistyped = waiting.say("show", "SYNPID4711")
    assert mistyped.code == 1 and "SYNPID" not in mistyped.out + mistyped.err


def test_a_screened_project_waits_for_the_screening(waiting: Waiting) -> None:
    waiting.place.change("[project.deidentify]", '[project.deidentify]\noptions = ["clean-pixel-data"]')
    first, *_ = holding.holdings(waiting.state.outbox)
    holding.leave(waiting.state.outbox, first, "text.unsure")
    listed = waiting.say("list", "--json").json["held"]
    assert [one["waits_for"] for one in listed] == ["a person", "the screening", "the screening"]
    assert listed[0]["reason"] == "text.unsure"


def test_released_one_by_one_the_last_one_sends_the_series(waiting: Waiting) -> None:
    first, *others = waiting.keys
    before = {h.key: h.path.read_bytes() for h in holding.holdings(waiting.state.outbox)}
    told = waiting.say("release", first, "--by", "anna", "--reason", "looked-at")
    assert (told.code, told.out) == (0, "1 released\n") and waiting.series_state == "held"
    assert waiting.say("release", *others).code == 0
    assert waiting.series_state == "retrieved" and waiting.keys == []
    files = waiting.state.outbox.files(waiting.series)
    assert sorted(f.read_bytes() for f in files) == sorted(before.values())
    assert waiting.say("list", "--json").json == {"held": [], "studies": []}


def test_the_history_tells_who_why_and_by_which_profile(waiting: Waiting) -> None:
    first, second, third = waiting.keys
    project = wiring.load_settings(waiting.place.config).project[0]
    profile = wiring.make_cleaner(project, waiting.state.keys).profile.version
    waiting.say("release", first, "--by", "anna", "--reason", "looked-at")
    waiting.say("discard", second, third)
    lines = waiting.history()
    assert ("release-ordered", f"{first} profile={profile} by=anna reason=looked-at") in lines
    me = pwd.getpwuid(os.getuid()).pw_name
    assert [reason for event, reason in lines if event == "discard-ordered"] == [
        f"{key} profile={profile} by={me}" for key in (second, third)
    ]
    assert ("cleaned", profile) in lines and lines[-1] == ("released", "")
    assert "by=anna" in waiting.place.say("explain", waiting.study.patient["accession"]).out


def test_discarded_altogether_by_the_key_of_the_series(waiting: Waiting) -> None:
    told = waiting.say("discard", waiting.series, "--json")
    assert told.code == 0 and len(told.json["discarded"]) == 3 and told.json["left"] == []
    assert waiting.series_state == "excluded" and waiting.keys == []
    assert waiting.state.outbox.series() == []
    assert waiting.state.views.requests()[0].state == "done"


def test_what_cannot_be_decided_is_told(waiting: Waiting) -> None:
    first, *_ = waiting.keys
    told = waiting.say("release", first, "H-NOBODY", "--json")
    assert told.code == 1
    assert told.json == {"released": [first], "left": [{"key": "H-NOBODY", "why": "held.unknown"}]}
    with holding.locked(next(holding.holdings(waiting.state.outbox))):
        told = waiting.say("discard", waiting.series)
        assert told.code == 1 and "1 discarded" in told.out and "being screened" in told.err
    assert waiting.series_state == "held"


@pytest.mark.parametrize("over", ["withdrawn", "failed", "excluded"])
def test_a_series_that_is_over_is_not_brought_back(waiting: Waiting, over: str) -> None:
    with waiting.state.database.write() as c:
        c.execute(update(series_table).values(state=over))
    told = waiting.say("release", waiting.series)
    assert told.code == 1 and "held.series-over" in told.err
    assert waiting.state.outbox.files(waiting.series) == []


@pytest.mark.parametrize("word", ["Testperson Synthia", "", "a/b", "x" * 65, "-x", "two\nlines"])
def test_the_reason_is_a_word_that_can_hold_no_name(waiting: Waiting, word: str) -> None:
    told = waiting.say("release", waiting.series, f"--reason={word}")
    assert told.code == 2 and "one word" in told.err
    assert waiting.series_state == "held"


def test_only_the_owner_of_the_state_decides(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    told = waiting.say("release", waiting.series)
    assert told.code == 1 and "run this command as that user" in told.err
    assert len(waiting.keys) == 3


def test_who_logged_in_is_who_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = tmp_path / "loginuid"
    monkeypatch.setattr(caller, "LOGIN", login)
    assert caller.user() == pwd.getpwuid(os.getuid()).pw_name
    login.write_text("4294967295")
    assert caller.user() == pwd.getpwuid(os.getuid()).pw_name
    login.write_text("1")
    assert caller.user() == pwd.getpwuid(1).pw_name
    login.write_text("54321")
    assert caller.user() == "user-54321"


@pytest.mark.parametrize("words", [("list",), ("release", "H-X"), ("show", "H-X")])
def test_without_a_state_there_is_nothing_to_hold(place: Place, words: tuple[str, ...]) -> None:
    told = place.say("held", *words)
    assert told.code == 1 and "no state yet" in told.err


def test_nothing_shown_identifies(waiting: Waiting) -> None:
    said = [waiting.say("list"), waiting.say("list", "--json"), waiting.say("show", waiting.keys[0])]
    said += [waiting.say("release", waiting.keys[0]), waiting.say("discard", waiting.series)]
    places = [("said", "".join(t.out + t.err for t in said).encode())]
    assert leaks(waiting.study.identifiers, places) == []


def test_of_a_project_that_was_removed_it_is_listed_and_discarded(waiting: Waiting) -> None:
    waiting.place.change('name = "chest"', 'name = "thorax"')
    assert len(waiting.say("list", "--project", "chest", "--json").json["held"]) == 3
    assert waiting.say("discard", waiting.series).code == 0
    assert (waiting.series_state, waiting.keys) == ("excluded", [])
