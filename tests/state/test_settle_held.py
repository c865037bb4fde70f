"""What becomes of a held series: in its row, its history, and the request behind it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.model import LedgerLine, Outcome
from gateway.state import db, settle
from gateway.state.rows import Tally, tally
from gateway.state.settle import Step
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, plan, reopened
from tests.state.test_store import carry, retrieve
from tests.support.carried import claim_row

PROFILE = "0123456789abcdef"


def counted(
    *, kept: int = 0, excluded: int = 0, refused: int = 0, held: int = 0, reason: str = "pixels.at-risk"
) -> Tally:
    """The balance of a ledger with so many lines of each outcome."""
    numbers = {Outcome.KEPT: kept, Outcome.EXCLUDED: excluded, Outcome.REFUSED: refused, Outcome.HELD: held}
    lines = [
        LedgerLine(f"{outcome}{n}", outcome, "" if outcome is Outcome.KEPT else reason, profile=PROFILE)
        for outcome, number in numbers.items()
        for n in range(number)
    ]
    return tally({line.instance: line for line in lines})


@pytest.fixture
def held(state: Opened) -> tuple[Opened, str, str]:
    """(state, key of the request, key of its one series), which is held: one of three kept, two held."""
    state.ask("A1")
    request = state.plan("1.1")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None
    assert state.store.settle_retrieved(claim.rows[0], counted(kept=1, held=2), now=102)
    return state, request, claim.rows[0].key


LEFT_OUT = "select.instance"


@pytest.mark.parametrize(
    ("arrived", "ends"),
    [
        ({Outcome.REFUSED: "verify.PatientName", Outcome.EXCLUDED: LEFT_OUT}, ("failed", "verify.PatientName")),
        ({Outcome.HELD: "pixels.at-risk", Outcome.EXCLUDED: LEFT_OUT}, ("held", "pixels.at-risk")),
        ({Outcome.REFUSED: "verify.PatientName", Outcome.HELD: "pixels.at-risk"}, ("failed", "verify.PatientName")),
    ],
)
def test_its_reason_is_of_what_decides_and_not_of_what_there_is_more_of(
    state: Opened, arrived: dict[Outcome, str], ends: tuple[str, str]
) -> None:
    """A series of which a rule left out more than could not be cleaned was `failed`, `select.instance`."""
    state.ask("A1")
    request = state.plan("1.1")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None
    ledger = [
        LedgerLine(f"{outcome}{n}", outcome, reason)
        for times, (outcome, reason) in enumerate(arrived.items(), start=1)
        for n in range(times)
    ]
    assert state.store.settle_retrieved(claim.rows[0], tally({line.instance: line for line in ledger}), now=102)
    (view,) = state.views.series(request)
    assert (view.state, view.reason) == ends
    assert view.reasons == {reason: times for times, reason in enumerate(arrived.values(), start=1)}


def lines(state: Opened, request: str, series: str) -> list[tuple[str, str, str]]:
    return [(e.event, e.after, e.reason) for e in state.views.history(request) if e.subject == series]


def test_it_waits_and_so_does_its_request(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    (view,) = state.views.series(request)
    assert (view.state, view.reason, view.kept, view.held) == ("held", "pixels.at-risk", 1, 2)
    assert state.store.held_series() == [series]
    assert claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=103) is None
    assert state.views.requests()[0].state == "planned"
    assert ("held", "held", "pixels.at-risk") in lines(state, request, series)


def test_released_it_goes_to_the_courier(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    assert state.store.settle_held(series, counted(kept=3), now=103) == "released"
    row = claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=104)
    assert row is not None and row.key == series
    (view,) = state.views.series(request)
    assert (view.kept, view.held) == (3, 0)


def test_discarded_it_is_excluded_and_its_request_done(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    assert state.store.settle_held(series, counted(excluded=3, reason="held.discarded"), now=103) == "discarded"
    (view,) = state.views.series(request)
    assert (view.state, view.reason) == ("excluded", "held.discarded")
    assert state.views.requests()[0].state == "done"
    assert state.store.settle_held(series, counted(kept=3), now=104) == "", "it is over"


def test_what_is_refused_fails_it(held: tuple[Opened, str, str]) -> None:
    state, _, series = held
    assert state.store.settle_held(series, counted(kept=2, refused=1), now=103) == "failed"
    assert state.views.requests()[0].state == "failed"


def test_some_decided_and_some_not_is_still_held(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    assert state.store.settle_held(series, counted(kept=2, held=1), now=103) == ""
    (view,) = state.views.series(request)
    assert (view.state, view.kept, view.held) == ("held", 2, 1)
    before = lines(state, request, series)
    assert state.store.settle_held(series, counted(kept=2, held=1), now=104) == ""
    assert lines(state, request, series) == before, "the same again is no news"
    state.store.settle_held(series, counted(kept=2, held=1, reason="screening.died"), now=105)
    assert lines(state, request, series)[-1] == ("screened", "held", "screening.died")


def test_what_is_said_of_one_is_said_of_no_other(held: tuple[Opened, str, str]) -> None:
    state, _, series = held
    state.ask("A2")
    request = state.plan("1.2")
    retrieve(state, counted(kept=1, held=2))
    assert state.store.settle_held(series, counted(kept=2, held=1), now=103) == ""
    assert state.store.settle_held(series, counted(excluded=3), now=104) == "discarded"
    (view,) = state.views.series(request)
    assert (view.state, view.kept, view.held, view.excluded) == ("held", 1, 2, 0)


def test_files_taken_away_behind_our_back_fail_it(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    assert state.store.settle_held(series, counted(kept=2), now=103) == "failed"
    assert state.views.series(request)[0].reason == "held.lost"


@pytest.mark.parametrize(
    ("tally", "event"),
    [(counted(kept=1, held=2), ""), (counted(kept=3), "released"), (counted(excluded=3), "discarded")],
    ids=["held", "released", "discarded"],
)
def test_the_history_tells_the_profile_once(held: tuple[Opened, str, str], tally: Tally, event: str) -> None:
    state, request, series = held
    for now in (103, 104):
        state.store.settle_held(series, tally, now=now)
    told = [reason for name, _, reason in lines(state, request, series) if name == "cleaned"]
    assert told == [PROFILE]
    assert not event or event in [name for name, _, _ in lines(state, request, series)]


def test_another_profile_is_told_beside_the_first(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    ledger = {
        n: LedgerLine(n, Outcome.KEPT, profile=p) for n, p in (("a", PROFILE), ("b", "fedcba9876543210"), ("c", ""))
    }
    state.store.settle_held(series, tally(ledger), now=103)
    told = {reason for name, _, reason in lines(state, request, series) if name == "cleaned"}
    assert told == {PROFILE, "fedcba9876543210"}


def test_a_series_that_is_not_held_is_left_alone(state: Opened) -> None:
    state.ask("A1")
    request = state.plan("1.1")
    (series,) = state.views.series(request)
    assert state.store.settle_held(series.key, counted(kept=3), now=103) == ""
    assert state.store.settle_held("S-UNKNOWN", counted(kept=3), now=103) == ""
    assert state.views.series(request)[0].state == "planned"


def test_told_without_a_change_of_state(held: tuple[Opened, str, str]) -> None:
    state, request, series = held
    state.store.tell(series, "release-ordered", reason="H-1 by=anna", now=103)
    state.store.tell("S-UNKNOWN", "release-ordered", reason="H-1 by=anna", now=103)
    assert lines(state, request, series)[-1] == ("release-ordered", "held", "H-1 by=anna")


def test_told_once_of_each(held: tuple[Opened, str, str]) -> None:
    state, _, series = held
    state.ask("A2")
    state.plan("1.2")
    other = retrieve(state).rows[0].key
    told = [state.store.tell(key, "refused", reason="verify", now=103, once=True) for key in (series, other, series)]
    assert told == [True, True, False]


def test_an_empty_answer_leaves_alone_what_another_request_has_brought_and_a_person_must_look_at(state: Opened) -> None:
    """It is released later, and the request is done with it: as empty for good it would say that there is nothing."""
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_found(claim, replace(plan("1.2.3.1"), again=500.0), now=100)
    retrieve(state)
    carry(state, "retrieved", "delivered")
    carry(state, "delivered", "confirmed")
    state.ask("A2")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    (grown,) = plan("1.2.3.1").series
    grown = replace(grown, found=replace(grown.found, instances=4))
    assert state.store.settle_found(claim, replace(plan(), series=(grown,)), now=100)
    retrieve(state, counted(kept=3, held=1))
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=500)
    assert claim.accession.value == "A1" and state.store.settle_empty(claim, not_before=None, now=501)
    assert {(r.state, s.state) for r in state.views.requests() for s in state.views.series(r.key)} == {
        ("planned", "held")
    }


@pytest.mark.parametrize("ends", ["confirmed", "excluded", "discarded"])
def test_its_uids_are_forgotten_when_nothing_can_need_them_any_more(state: Opened, ends: str) -> None:
    state.ask("A1")
    state.plan("1.1")
    arrived = {"confirmed": counted(kept=3), "excluded": counted(excluded=3), "discarded": counted(held=3)}
    key = retrieve(state, arrived[ends]).rows[0].key
    if ends == "confirmed":
        carry(state, "retrieved", "delivered")
        carry(state, "delivered", "confirmed")
    elif ends == "discarded":
        assert state.store.settle_held(key, counted(excluded=3), now=103) == "discarded"
    with state.database.read() as c:
        assert c.execute(select(db.series.c.sealed)).scalars().all() == [None]


def test_of_the_last_two_the_one_that_is_decided_while_the_other_fails_ends_their_request(state: Opened) -> None:
    """Neither would see what the other has not written yet, and both would leave it to the other."""
    state.ask("A1")
    state.plan("1.1", "1.2")
    key = retrieve(state, counted(held=3)).rows[0].key
    last = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=103)
    there = reopened(state.place)
    decide = Store(there, KEY, node="gw1").settle_held
    decided = threading.Thread(target=decide, args=(key, counted(excluded=3)), kwargs={"now": 104})
    with state.database.write() as c:
        assert last and settle.claimed_series(c, last.rows[0], Step("failed", 104, "move.refused"))
        decided.start()
        decided.join(0.5)
    decided.join(60)
    there.close()
    assert [r.state for r in state.views.requests()] == ["failed"]
