"""Studies held for a person: listed, shown and explained without a value, and decided about by `held`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import AccessionNumber, Agreement, Candidate, Evidence, Plan, Wanted
from gateway.run import wiring
from gateway.run.opening import State, open_state
from tests.cfind.archive import archive, study
from tests.run.command_line import Place, Told, furnish
from tests.support.scripted_pacs import ScriptedPacs

SECRETS = ("SYNACC0001", "SYNPATIENT7", "1.2.826.0.1.99")
FACTS = Evidence(Agreement.AGREES, Agreement.DIFFERS, Agreement.AGREES, Agreement.UNKNOWN)


class Waiting:
    """One request with two studies, both of another patient than the RIS names."""

    def __init__(self, place: Place, state: State) -> None:
        self.place, self.state = place, state
        wanted = Wanted("chest", AccessionNumber("SYNACC0001"), "SYNPATIENT7")
        state.store.add_requests([wanted], (), project="chest", cursor=None, now=100)
        (claim,) = state.store.claim_requests(projects=["chest"], limit=1, lease=60, now=100)
        held = [
            Candidate(f"1.2.826.0.1.99.{n}", "{an}", FACTS, "held", "evidence.patient", "main") for n in range(2)
        ]  # fmt: skip
        plan = Plan(candidates=tuple(held), doubt="evidence.patient")
        assert state.store.hold_request(claim, plan, now=101)
        self.request = claim.key

    def say(self, *words: str) -> Told:
        told = self.place.say(*words)
        assert not [secret for secret in SECRETS if secret in told.out + told.err and secret not in words]
        return told

    @property
    def studies(self) -> list[str]:
        return [str(one["key"]) for one in self.say("held", "list", "--json").json["studies"]]

    @property
    def state_now(self) -> str:
        view = self.state.views.request(self.request)
        assert view is not None
        return view.state


@pytest.fixture
def waiting(place: Place) -> Iterator[Waiting]:
    state = open_state(wiring.load_settings(place.config))
    yield Waiting(place, state)
    state.close()


def test_they_are_listed_and_shown(waiting: Waiting) -> None:
    first, second = waiting.studies
    assert first.startswith("C-") and first != second
    told = waiting.say("held", "list")
    assert "may be what was asked for" in told.out
    shown = waiting.say("held", "show", first, "--json").json
    facts = {
        name: shown[name]
        for name in ("request", "accession", "patient", "date", "modality", "standing", "reason", "decision")
    }
    assert facts == {
        "request": waiting.request, "accession": "agrees", "patient": "differs", "date": "agrees", "modality": "unknown",
        "standing": "held", "reason": "evidence.patient", "decision": "",
    }  # fmt: skip
    assert waiting.say("held", "show", first).code == 0
    assert waiting.say("held", "list", "--project", "chest", "--json").json["studies"]


def test_explain_and_requests_tell_what_agreed(waiting: Waiting) -> None:
    (request,) = waiting.say("explain", "SYNACC0001", "--json").json["requests"]
    assert (request["state"], request["reason"]) == ("held", "evidence.patient")
    assert [(e["patient"], e["date"]) for e in request["evidence"]] == [("differs", "agrees")] * 2
    assert "differs" in waiting.say("explain", "SYNACC0001").out
    (listed,) = waiting.say("requests", "list", "--state", "held", "--json").json
    assert listed["key"] == waiting.request


def test_one_is_released_and_the_request_goes_on(waiting: Waiting) -> None:
    first, _ = waiting.studies
    told = waiting.say("held", "release", first.lower(), "--by", "anna", "--reason", "merged", "--json")
    assert (told.code, told.json) == (0, {"released": [first], "left": []})
    assert waiting.state_now == "new" and waiting.studies == []
    history = [(e.event, e.reason) for e in waiting.state.views.history(waiting.request)]
    assert ("study-accepted", f"{first} by=anna reason=merged") in history
    (claim,) = waiting.state.store.claim_requests(projects=["chest"], limit=1, lease=60, now=1e10)
    assert claim.decided == {waiting.state.store.study_hash("1.2.826.0.1.99.0"): "accepted"}
    assert waiting.say("held", "release", first).code == 1, "it waits for nobody any more"


def test_all_of_a_request_are_discarded(waiting: Waiting) -> None:
    told = waiting.say("held", "discard", waiting.request, "C-UNKNOWN")
    assert told.code == 1 and "2 discarded" in told.out and "held.unknown" in told.err
    assert waiting.state_now == "new"


def test_it_is_cancelled_or_asked_for_again(waiting: Waiting) -> None:
    assert waiting.say("requests", "retry", waiting.request).code == 0
    assert waiting.state_now == "new"
    assert waiting.say("requests", "cancel", waiting.request).code == 0
    assert waiting.state_now == "cancelled" and waiting.studies == []


def test_it_is_not_under_way(waiting: Waiting) -> None:
    """It would raise the alarm of what waits for too long; that is not the daemon's fault."""
    assert waiting.state.views.under_way() == 0
    assert waiting.state.views.counts().oldest_pending == {}


def test_find_tells_that_several_patients_have_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None
) -> None:
    studies = [study(f"1.2.826.0.1.99.{n}", "SYNACC0001", f"SYNPATIENT{n}") for n in range(2)]
    with ScriptedPacs(find=archive(*studies)) as pacs:
        furnish(tmp_path, pacs=pacs.port, ae=pacs.ae_title)
        place = Place(tmp_path, capsys)
        told = place.say("find", "--project", "chest", "SYNACC0001", "--json")
        (answer,) = told.json["answers"]
        shown = place.say("find", "--project", "chest", "SYNACC0001").out
    assert (told.code, answer["held"], answer["series"], answer["pacs"]) == (0, "evidence.several-patients", [], "main")
    assert "held" in shown and "evidence.several-patients" in shown and "SYNPATIENT" not in shown + told.out
