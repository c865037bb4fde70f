"""`balance`: what was asked for, and what became of all of it; it adds up, or says that it does not."""

from __future__ import annotations

import time

from sqlalchemy import update

from gateway.model import AccessionNumber, FoundSeries, Plan, PlannedSeries, Verdict, Wanted
from gateway.run.commands.options import settings_for
from gateway.run.opening import State, open_state
from gateway.state.db import request
from gateway.state.rows import RequestClaim, Tally
from tests.run.command_line import Place
from tests.support.carried import claim_row

SECRETS = ("SYNACC", "SYNPATIENT", "1.2.826.0.1")
KEPT = Tally(expected=3, kept=2, excluded=1, refused=0, reasons={"select.instance": 1})
REFUSED = Tally(expected=3, kept=2, excluded=0, refused=1, reasons={"verify.PatientName": 1})


def found(state: State, claim: RequestClaim, *, keep: bool = True) -> None:
    one = FoundSeries("1.2.826.0.1", f"1.2.826.0.1.{claim.id}", {"Modality": "CT"}, 3)
    planned = PlannedSeries("main", one, Verdict(True) if keep else Verdict(False, "select.series"))
    assert state.store.settle_found(claim, Plan((planned,), studies=1), now=time.time())


def retrieved(state: State, tally: Tally) -> None:
    claim = state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=time.time())
    assert claim is not None
    assert state.store.settle_retrieved(claim.rows[0], tally, now=time.time())


def carried(state: State, before: str, event: str) -> None:
    row = claim_row(state.store, before, projects=["chest"], lease=60, now=time.time())
    assert row is not None
    assert state.store.settle_row(row, event, now=time.time())


def filled(place: Place) -> None:
    """Six requests: one of each fate, and one that nothing has happened to."""
    settings = settings_for(place.config)
    state = open_state(settings)
    wanted = [Wanted("chest", AccessionNumber(f"SYNACC{n}"), patient_id=f"SYNPATIENT{n}") for n in range(6)]
    state.store.add_requests(wanted, (), project="chest", cursor=None, now=time.time())
    claims = state.store.claim_requests(projects=["chest"], limit=5, lease=60, now=time.time())
    found(state, claims[0])
    retrieved(state, KEPT)
    carried(state, "retrieved", "delivered")
    carried(state, "delivered", "confirmed")
    found(state, claims[1], keep=False)
    assert state.store.settle_empty(claims[2], not_before=None, now=time.time())
    found(state, claims[3])
    retrieved(state, REFUSED)
    found(state, claims[4])
    state.close()


def test_every_fate_is_told_and_the_sum_is_what_was_asked(place: Place) -> None:
    filled(place)
    told = place.say("balance", "--json")
    (sheet,) = told.json
    assert told.code == 0 and sheet["adds_up"] is True
    assert (
        sheet["asked"]
        == 6
        == sum(part["total"] for part in sheet.values() if isinstance(part, dict) and "total" in part)
    )
    assert {part: sheet[part]["reasons"] for part in ("delivered", "excluded", "empty", "failed", "in_progress")} == {
        "delivered": {"": 1}, "excluded": {"select.series": 1}, "empty": {"final": 1},
        "failed": {"verify.PatientName": 1}, "in_progress": {"find": 1, "retrieve": 1},
    }  # fmt: skip
    assert sheet["instances"] == {"kept": 4, "excluded": 1, "refused": 1, "held": 0}
    shown = place.say("balance", "--project", "chest")
    assert shown.code == 0 and "6 asked for" in shown.out
    assert not [secret for secret in SECRETS if secret in told.out + shown.out]


def test_work_that_was_lost_is_seen(place: Place) -> None:
    filled(place)
    state = open_state(settings_for(place.config))
    with state.database.write() as c:
        c.execute(update(request).where(request.c.state == "done").values(state="planned"))
    state.close()
    told = place.say("balance")
    assert told.code == 1
    assert "does not add up" in told.out and "planned 2" in told.err


def test_nothing_asked_is_no_sheet(place: Place) -> None:
    open_state(settings_for(place.config)).close()
    assert place.say("balance", "--json").json == []


def test_what_is_left_of_a_project_that_was_removed_is_told_and_can_be_called_off(place: Place) -> None:
    """Its requests wait for its section to come back, and their age raises an alert until somebody cancels them."""
    filled(place)
    place.change('name = "chest"', 'name = "thorax"')
    (place.folder / "list.csv").write_text("accession_number\nSYNACC5\n")
    mine = ("--project", "chest")
    assert place.say("balance", *mine, "--json").json[0]["asked"] == 6
    assert len(place.say("requests", "list", *mine, "--json").json) == 6
    assert place.say("held", "list", *mine).code == 0
    assert place.say("requests", "trace", *mine, str(place.folder / "list.csv"), "--json").json[0]["state"] == "new"
    for state in ("new", "planned"):
        assert place.say("requests", "cancel", "--all", "--state", state, *mine).out == "1 cancelled\n"
    assert place.say("requests", "retry", "--all", "--state", "cancelled", *mine).code == 2, "nobody would ask for them"
    for words in (
        ["balance"],
        ["held", "list"],
        ["requests", "list"],
        ["requests", "cancel", "--all", "--state", "new"],
    ):
        told = place.say(*words, "--project", "nobody")
        assert (told.code, told.err.count("no project of that name")) == (2, 1)


def test_a_list_says_why_in_the_words_of_the_sheet(place: Place) -> None:
    """`series.failed` is no answer to why an examination is missing."""
    filled(place)
    (place.folder / "list.csv").write_text("accession_number\n" + "".join(f"SYNACC{n}\n" for n in range(6)))
    rows = place.say("requests", "trace", str(place.folder / "list.csv"), "--json").json
    assert [(row["state"], row["reason"]) for row in rows] == [
        ("done", ""), ("done", "select.series"), ("empty", "find.empty.final"), ("failed", "verify.PatientName"),
        ("planned", "retrieve"), ("new", ""),
    ]  # fmt: skip
    assert "verify.PatientName" in place.say("requests", "list", "--state", "failed").out
    assert [r["why"] for r in place.say("requests", "list", "--state", "failed", "--json").json] == [
        "verify.PatientName"
    ]
