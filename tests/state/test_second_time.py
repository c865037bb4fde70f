"""What is asked a second time: nothing of the first time may stand in for what is still missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.model import AccessionNumber, FoundSeries, LedgerLine, Outcome, Plan, PlannedSeries, Verdict, Wanted
from gateway.run import upkeep
from gateway.run.opening import State
from gateway.state import db, receipts
from gateway.state.outbox import Outbox
from gateway.state.rows import Pushed, Tally
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, plan
from tests.support.carried import claim_row

THREE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def confirm(state: Opened, now: float) -> None:
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=now)
    assert claim is not None
    state.store.settle_retrieved(claim.rows[0], THREE, now=now)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=now)
        assert row is not None
        state.store.settle_row(row, event, now=now)


def fail(state: Opened, now: float) -> None:
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=now)
    assert claim is not None
    state.store.fail_series(claim.rows[0], reason="move.unable", now=now)


@pytest.mark.catalogue("M15")
def test_what_is_only_looked_at_once_more_has_not_waited_since_it_was_asked_for(state: Opened) -> None:
    """Else each examination that the RIS names days before raises QueueAgeing on the day that it is done."""
    state.ask("A1", now=100)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=5e5)
    assert state.store.settle_found(claim, replace(plan("1.1"), again=6e5), now=5e5)
    assert state.views.counts().oldest_pending == {PROJECT: 100}, "while it is fetched it has"
    confirm(state, 5e5)
    view = state.views.request(claim.key)
    assert view and (view.state, view.reason) == ("new", "study.young")
    assert state.views.counts().oldest_pending == {}
    (sheet,) = state.views.balances()
    assert sheet.adds_up and sheet.parts["in progress"] == {"find once more": 1}
    state.ask("A2", now=200)
    assert state.views.counts().oldest_pending == {PROJECT: 200}
    (again,) = state.store.claim_requests(projects=[PROJECT], limit=9, lease=60, now=6e5)[:1]
    state.store.release_request(again, reason="find.unable", not_before=7e5, charge=True, now=6e5)
    assert state.views.counts().oldest_pending == {PROJECT: 200}


@pytest.mark.catalogue("M15")
def test_a_study_of_today_of_which_nothing_is_wanted_yet_is_looked_at_once_more(state: Opened) -> None:
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_found(claim, replace(plan("1.1", keep=False), again=200.0), now=100)
    assert state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=199) == []
    assert state.plan("1.2", now=200) == claim.key and state.views.requests()[0].state == "planned"


@pytest.mark.catalogue("M16")
def test_a_failed_series_that_the_pacs_leaves_out_now_is_still_missing(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.1", "1.2")
    fail(state, 101)
    confirm(state, 102)
    assert state.store.retry(keys=[key], now=110) == 1
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=111)
    state.store.settle_found(claim, plan("1.2"), now=112)
    view = state.views.request(key)
    assert view is not None
    assert (view.state, view.reason) == ("failed", "series.failed")
    assert state.store.retry(keys=[key], now=120) == 1, "what it takes to ask again is still there"


@pytest.mark.catalogue("M16", "O7")
def test_a_series_that_moved_to_another_study_is_expected_there(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.1", study="9.9.1")
    fail(state, 101)
    state.store.retry(keys=[key], now=110)
    state.plan("1.1", study="8.8.1", now=111)
    assert [e.state for e in state.store.expected("8.8.1")] == ["planned"]


def test_files_of_a_confirmed_series_are_resumed_but_not_while_it_is_being_removed(
    state: Opened, tmp_path: Path
) -> None:
    state.ask("A1")
    key = state.plan("1.1")
    confirm(state, 100)
    (series,) = state.views.series(key)
    outbox = Outbox(tmp_path / "outbox")
    outbox.keep(series.key, "2.25.9", [b"late"])
    outbox.set_aside(series.key, outbox.keep(series.key, "2.25.8", [b"spoilt here, confirmed by another node"]).name)
    opened = cast(State, SimpleNamespace(store=state.store, outbox=outbox))
    assert upkeep.resume_outbox(opened, 200, quiet=600) == 0
    assert upkeep.resume_outbox(opened, 701, quiet=600) == 1
    assert state.views.series(key)[0].state == "retrieved"
    assert outbox.damaged(series.key) == []


def test_what_another_node_has_delivered_meanwhile_does_not_follow(state: Opened, tmp_path: Path) -> None:
    """By another version it has other bytes under its name: `deliver.conflict` ended a series that was whole in its archive."""
    state.ask("A1")
    key = state.plan("1.1")
    confirm(state, 100)
    (series,) = state.views.series(key)
    outbox = Outbox(tmp_path / "outbox")
    for name in ("2.25.7", "2.25.8"):
        stored = outbox.keep(series.key, name, [b"by the version before"])
        outbox.note(series.key, LedgerLine(name[-1] * 32, Outcome.KEPT, file=stored.name))
    with state.database.write() as c:
        receipts.note(c, 1, ["7" * 32])
    back = Store(state.database, KEY, node="gw9")
    opened = cast(State, SimpleNamespace(store=back, outbox=outbox))
    assert upkeep.resume_outbox(opened, 701, quiet=600) == 1, "the other one is late"
    assert [file.name for file in outbox.files(series.key)] == ["2.25.8.dcm"]
    assert state.views.series(key)[0].state == "retrieved"


def test_files_that_no_row_knows_are_told(state: Opened, tmp_path: Path) -> None:
    """Pushed, and acknowledged, after the back-up of a database that was restored beside them: nothing said that they stay."""
    outbox = Outbox(tmp_path / "outbox")
    outbox.keep("S-UNKNOWN", "2.25.9", [b"pushed"])
    (tmp_path / "outbox" / "S-EMPTY").mkdir()
    with capture_logs() as told:
        opened = cast(State, SimpleNamespace(store=state.store, outbox=outbox))
        assert upkeep.resume_outbox(opened, 200) == 0
    assert [(line["event"], line["series"]) for line in told] == [("outbox.unknown", ["S-UNKNOWN"])]
    assert len(outbox.files("S-UNKNOWN")) == 1


@pytest.mark.parametrize(("since", "stays"), [(3600, True), (0, False)])
@pytest.mark.parametrize("is_held", [False, True])
def test_what_was_pushed_after_an_older_database_left_its_series_out_stays(
    state: Opened, tmp_path: Path, since: int, stays: bool, is_held: bool
) -> None:
    """Too few instances that day, enough by now: at the start beside that database the only copy was cleared."""
    state.store.push(Pushed(PROJECT, "1.2.9", "1.2.9.1", None, "PID", "20260101", "CT", "{}"), now=100)
    (waiting,) = state.store.pushed([PROJECT])
    held = Outbox(tmp_path / "held")
    outbox = Outbox(tmp_path / "outbox", held)
    file = (held if is_held else outbox).keep(waiting.key, "2.25.9", [b"pushed"]).path
    with state.database.write() as c:
        c.execute(update(db.series).values(state="excluded", updated=file.stat().st_mtime - since))
    opened = cast(State, SimpleNamespace(store=state.store, outbox=outbox))
    with capture_logs() as told:
        upkeep.clear_outbox(opened)
        upkeep.resume_outbox(opened, 200)
    assert file.exists() == stays
    assert upkeep.unknown(opened) == ([waiting.key] if stays else []), "cleared if the patient is withdrawn"
    assert [line["series"] for line in told] == ([[waiting.key]] if stays else [])


def test_what_is_cleared_while_the_outbox_is_swept_ends_no_sweep(state: Opened, tmp_path: Path) -> None:
    state.store.push(Pushed(PROJECT, "1.2.9", "1.2.9.1", None, "PID", "20260101", "CT", "{}"), now=100)
    (waiting,) = state.store.pushed([PROJECT])
    with state.database.write() as c:
        c.execute(update(db.series).values(state="excluded"))
    outbox = Outbox(tmp_path / "outbox")
    outbox.keep(waiting.key, "2.25.9", [b"pushed"])
    listed = [tmp_path / "gone.dcm"]
    gone = SimpleNamespace(series=outbox.series, clear=outbox.clear, files=lambda _: listed, held=None)
    assert upkeep.clear_outbox(cast(State, SimpleNamespace(store=state.store, outbox=gone))) == 1
    assert outbox.series() == []


def test_what_is_cleared_while_somebody_looks_is_no_fault(
    state: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hourly sweep clears what the hourly look at what is unknown has just listed."""
    state.store.push(Pushed(PROJECT, "1.2.9", "1.2.9.1", None, "PID", "20260101", "CT", "{}"), now=100)
    (waiting,) = state.store.pushed([PROJECT])
    outbox = Outbox(tmp_path / "outbox")
    outbox.keep(waiting.key, "2.25.9", [b"pushed"])
    with state.database.write() as c:
        c.execute(update(db.series).values(state="excluded", updated=100))
    listed = outbox.files(waiting.key)
    monkeypatch.setattr(Outbox, "files", lambda *_: listed)
    outbox.clear(waiting.key)
    monkeypatch.setattr(Outbox, "series", lambda _: [waiting.key])
    assert upkeep.unknown(cast(State, SimpleNamespace(store=state.store, outbox=outbox))) == []


def test_what_is_retried_while_the_outbox_is_swept_keeps_what_comes(
    state: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many series have failed, and their folders take minutes: meanwhile all are asked for again."""
    state.ask("A1")
    key = state.plan("1.1", "1.2")
    fail(state, 101)
    fail(state, 102)
    outbox = Outbox(tmp_path / "outbox")
    for series in state.views.series(key):
        outbox.keep(series.key, "2.25.9", [b"of the first time"])
    clear = outbox.clear

    def slowly(series: str) -> None:
        clear(series)
        if state.store.retry(keys=[key], now=110):
            (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=111)
            state.store.settle_found(claim, plan("1.1", "1.2"), now=112)
            for one in state.views.series(key):
                outbox.keep(one.key, "2.25.10", [b"acknowledged"])

    monkeypatch.setattr(outbox, "clear", slowly)
    upkeep.clear_outbox(cast(State, SimpleNamespace(store=state.store, outbox=outbox)))
    assert [s.state for s in state.views.series(key)] == ["planned", "planned"]
    assert all("2.25.10.dcm" in [f.name for f in outbox.files(s.key)] for s in state.views.series(key))


def test_a_request_that_failed_for_what_came_late_can_be_retried_once_the_ris_names_it_again(state: Opened) -> None:
    """When it was done its number was dropped."""
    state.ask("A1")
    key = state.plan("1.1")
    confirm(state, 101)
    (series,) = [e.key for e in state.store.expected("1.2.3")]
    assert state.store.late(series, now=102)
    row = claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=103)
    assert row is not None and state.store.settle_row(row, "failed", reason="sink.refused", now=104)
    view = state.views.request(key)
    assert view is not None and view.state == "failed" and state.store.retry(keys=[key], now=105) == 0
    state.ask("A1")
    assert state.store.retry(keys=[key], now=106) == 1
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=107)
    assert (claim.key, claim.accession.value) == (key, "A1")


@pytest.mark.catalogue("A10", "D6")
def test_what_came_unasked_and_is_asked_for_names_the_patient_of_the_pacs(state: Opened) -> None:
    """Each question and each move in the Patient Root does, and the receiver compares the header with it."""
    came = Pushed(PROJECT, "1.2.3", "1.2.3.1", AccessionNumber("P1"), "PID-P1", "20260101", "CT", "{}")
    assert state.store.push(came, now=90)
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    (series,) = plan("1.2.3.1").series
    asked = replace(series, found=replace(series.found, PatientID="PID-A1"))
    assert state.store.settle_found(claim, Plan((asked,), studies=1), now=100)
    move = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert move is not None
    assert (move.PatientID, move.StudyInstanceUID, move.SeriesInstanceUID) == ("PID-A1", "1.2.3", "1.2.3.1")
    assert [e.patient for e in state.store.expected("1.2.3")] == ["PID-A1"]
    assert state.store.pushed([PROJECT]) == []


@pytest.mark.catalogue("F5", "D6")
@pytest.mark.parametrize(("told", "expected"), [("", "PID-A1"), ("PID-B2", "PID-B2")])
def test_f5_d6_where_the_pacs_tells_no_patient_the_header_has_to_name_that_of_the_ris(
    state: Opened, told: str, expected: str
) -> None:
    """Nothing spoke against the study: all the more has its header to agree with what was asked for."""
    wanted = Wanted(PROJECT, AccessionNumber("A1"), "PID-A1")
    state.store.add_requests([wanted], (), project=PROJECT, cursor=None, now=100)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    found = FoundSeries("1.2.3", "1.2.3.1", {"Modality": "CT"}, 3, PatientID=told)
    assert state.store.settle_found(claim, Plan((PlannedSeries("main", found, Verdict(True)),), studies=1), now=100)
    assert [e.patient for e in state.store.expected("1.2.3")] == [expected]
    moved = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=100)
    assert moved and moved.PatientID == told, (
        "the PACS is asked by what it has told: the RIS may spell it in another way"
    )
