"""Claims, settlements, idempotence and what a crash leaves: on a real SQLite file, and on a real PostgreSQL."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import insert, update

from gateway.errors import Fatal
from gateway.model import AccessionNumber, SetAside, Wanted
from gateway.state.db import request, schema_version
from gateway.state.rows import SeriesClaim, Tally
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, plan, reopened, stored
from tests.support.carried import claim_row

THREE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def retrieve(state: Opened, tally: Tally = THREE) -> SeriesClaim:
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=101)
    assert claim is not None
    assert all(state.store.settle_retrieved(row, tally, now=102) for row in claim.rows)
    return claim


def carry(state: Opened, before: str, event: str) -> None:
    row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=103)
    assert row is not None
    assert state.store.settle_row(row, event, now=104)


def test_adding_twice_adds_once(state: Opened) -> None:
    wanted = [Wanted(PROJECT, AccessionNumber("A1"))]
    first = state.store.add_requests(wanted, (), project=PROJECT, cursor="c1", now=1)
    again = state.store.add_requests(wanted, (), project=PROJECT, cursor="c2", now=2)
    assert (first.new, first.known, again.new, again.known) == (1, 0, 0, 1)
    state.store.add_requests(wanted, (), project=PROJECT, cursor=None, now=3)  # by a person
    assert state.store.cursor(PROJECT) == "c2"


@pytest.mark.catalogue("R5")
def test_the_same_number_in_two_projects_is_two_requests(state: Opened) -> None:
    state.ask("A1")
    state.ask("A1", project="other")
    assert len(state.views.by_accession("A1")) == 2


def test_rows_set_aside_are_found_by_what_was_typed(state: Opened) -> None:
    odd = SetAside(PROJECT, "A*", "accession.wildcard")
    added = [state.store.add_requests((), [odd], project=PROJECT, cursor=None, now=now) for now in (1, 2)]
    assert [a.aside for a in added] == [1, 0]
    (seen,) = state.views.set_aside("A*")
    assert (seen.reason, seen.times) == ("accession.wildcard", 2)


def test_a_claim_is_nobody_elses_until_its_lease_ends(state: Opened) -> None:
    state.ask("A1")
    assert len(state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=100)) == 1
    assert state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=120) == []
    assert len(state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=161)) == 1


def test_a_back_fill_holds_up_no_other_project(state: Opened) -> None:
    state.ask(*(f"OLD{n}" for n in range(10)), now=100)
    state.ask("NEW1", "NEW2", project="other", now=200)
    claims = state.store.claim_requests(projects=[PROJECT, "other"], limit=5, lease=60, now=300)
    assert [c.accession.value for c in claims] == ["OLD0", "NEW1", "OLD1", "NEW2", "OLD2"]


def test_a_late_worker_overwrites_nothing(state: Opened) -> None:
    state.ask("A1")
    (slow,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=10, now=100)
    (quick,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=10, now=200)
    assert state.store.settle_empty(quick, not_before=None, now=201)
    assert not state.store.fail_request(slow, reason="find.timeout", now=202)
    assert not state.store.settle_found(slow, plan("1.2.3.1"), now=203)
    assert state.views.requests()[0].state == "empty"


@pytest.mark.catalogue("O4")
def test_a_restart_frees_what_its_node_held_and_nothing_else(state: Opened) -> None:
    state.ask("A1", "A2")
    other = Store(state.database, KEY, node="gw2")
    state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    other.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.free_node() == 1
    left = 2 - state.database.shared  # SQLite's one node: gw2 is its former name
    assert len(state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=100)) == left


def test_a_series_goes_from_plan_to_confirmed_and_closes_its_request(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.2.3.1", "1.2.3.2")
    retrieve(state)
    carry(state, "retrieved", "delivered")
    carry(state, "delivered", "confirmed")
    assert state.views.requests()[0].state == "planned"
    retrieve(state, Tally(3, 0, 3, 0, {"select.instance": 3}))
    assert state.views.requests()[0].state == "done"
    assert [s.reason for s in state.views.series(key)] == ["", "select.instance"]
    assert [e.event for e in state.views.history(key)][-1] == "completed"


def test_one_retrieval_serves_every_project(state: Opened) -> None:
    for project in (PROJECT, "other"):
        state.ask("A1", project=project)
        state.plan("1.2.3.1", project=project)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=101)
    assert claim is not None
    assert {r.project for r in claim.rows} == {PROJECT, "other"}
    assert claim.SeriesInstanceUID == "1.2.3.1"


@pytest.mark.catalogue("R13")
def test_one_series_asked_for_by_two_accession_numbers_is_one_row(state: Opened) -> None:
    state.ask("A1", "A2")
    keys = [state.plan("1.2.3.1"), state.plan("1.2.3.1")]
    assert sum(state.views.counts().series.values()) == 1
    retrieve(state)
    carry(state, "retrieved", "delivered")
    carry(state, "delivered", "confirmed")
    assert [state.views.request(k).state for k in keys] == ["done", "done"]  # type: ignore[union-attr]


def test_a_refused_instance_fails_the_series_and_the_request_says_so(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.2.3.1")
    retrieve(state, Tally(3, 2, 0, 1, {"verify.PatientName": 1}))
    (series,) = state.views.series(key)
    assert (series.state, series.reason, series.kept, series.refused) == ("failed", "verify.PatientName", 2, 1)
    view = state.views.request(key)
    assert view is not None
    assert (view.state, view.reason) == ("failed", "series.failed")


def test_retry_brings_a_failed_series_back(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.2.3.1")
    retrieve(state, Tally(3, 2, 0, 1, {"verify.PatientName": 1}))
    assert state.store.retry(keys=[key], now=200) == 1
    state.plan("1.2.3.1", now=201)
    assert state.views.series(key)[0].state == "planned"


def test_a_request_with_everything_excluded_is_done_at_once(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.2.3.1", keep=False)
    view = state.views.request(key)
    assert view is not None
    assert (view.state, view.reason) == ("done", "select.nothing")


def test_an_empty_answer_is_asked_again_and_then_closed(state: Opened) -> None:
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_empty(claim, not_before=500, now=101)
    assert state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=499) == []
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=500)
    assert claim.empties == 1
    assert state.store.settle_empty(claim, not_before=None, now=501)
    assert state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=9e9) == []
    assert (state.views.requests()[0].reason, state.views.under_way()) == ("find.empty.final", 0)


def test_retry_later_costs_an_attempt_only_when_the_item_is_at_fault(state: Opened) -> None:
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    state.store.release_request(claim, reason="pacs.unreachable", not_before=110, charge=False, now=101)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=110)
    assert claim.attempts == 0
    state.store.release_request(claim, reason="find.failed", not_before=120, charge=True, now=111)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=120)
    assert claim.attempts == 1 and state.store.settle_empty(claim, not_before=130, now=121)
    assert state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=130)[0].attempts == 0, "answered"


def test_cancel_keeps_what_somebody_else_asked_for(state: Opened) -> None:
    state.ask("A1", "A2")
    first, _ = state.plan("1.2.3.1", "1.2.3.2"), state.plan("1.2.3.2")
    assert state.store.cancel(keys=[first], now=200) == 1
    states = {s.reason: s.state for s in state.views.series(first)}
    assert states == {"request.cancelled": "excluded", "": "planned"}


def test_identifiers_leave_a_row_once_nothing_needs_them(state: Opened) -> None:
    state.ask("A1")
    state.plan("1.2.3.1")
    (expected,) = state.store.expected("1.2.3")
    assert expected.own == {"A1", "PID-A1"}
    retrieve(state)
    carry(state, "retrieved", "delivered")
    carry(state, "delivered", "confirmed")
    (expected,) = state.store.expected("1.2.3")
    assert (expected.state, expected.own) == ("confirmed", frozenset())
    assert state.store.expected("1.2.4") == ()


def test_late_files_of_a_confirmed_series_go_to_the_courier_again(state: Opened) -> None:
    state.ask("A1")
    key = state.plan("1.2.3.1")
    retrieve(state)
    carry(state, "retrieved", "delivered")
    carry(state, "delivered", "confirmed")
    series = state.views.series(key)[0].key
    assert state.store.late(series, now=300)
    view = state.views.request(key)
    assert view is not None and view.state == "planned"
    assert claim_row(state.store, "retrieved", projects=[PROJECT], lease=60, now=301) is not None


def test_nothing_readable_stands_in_the_database(state: Opened) -> None:
    state.ask("SECRET-ACC-77")
    state.plan("1.2.826.77.1", study="1.2.826.77")
    raw = stored(state)
    assert b"chest" in raw, "the search itself works"
    for secret in (b"SECRET-ACC-77", b"PID-SECRET", b"1.2.826.77"):
        assert secret not in raw


def test_another_key_is_said_not_guessed(state: Opened) -> None:
    state.ask("A1")
    stranger = Store(state.database, bytes(32), node="gw1")
    with pytest.raises(Fatal, match="another key"):
        stranger.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)


def test_what_one_project_has_is_retrieved_for_another_alone(state: Opened) -> None:
    state.ask("A1", project="other")
    state.plan("1.2.3.1", project="other")
    first = retrieve(state)
    state.ask("A1")
    state.plan("1.2.3.1")
    assert [[row.project for row in claim.rows] for claim in (first, retrieve(state))] == [["other"], [PROJECT]]


def test_a_sealed_value_cannot_be_moved_to_another_row(state: Opened) -> None:
    state.ask("A1", "A2")
    with state.database.write() as c:
        from sqlalchemy import select

        taken = c.execute(select(request.c.sealed).where(request.c.id == 1)).scalar()
        c.execute(update(request).where(request.c.id == 2).values(sealed=taken))
    with pytest.raises(Fatal):
        state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=100)


def test_a_newer_schema_is_refused(state: Opened) -> None:
    with state.database.write() as c:
        c.execute(update(schema_version).values(version=99))
    with pytest.raises(Fatal, match="schema 99"):
        reopened(state.place)


def test_eight_threads_claim_each_request_once(state: Opened) -> None:
    state.ask(*(f"A{i}" for i in range(60)))
    taken: list[str] = []

    def claim() -> None:
        while claims := state.store.claim_requests(projects=[PROJECT], limit=3, lease=60, now=100):
            taken.extend(c.key for c in claims)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert len(taken) == len(set(taken)) == 60


def test_a_broken_row_is_not_silently_skipped(state: Opened) -> None:
    with state.database.write() as c:
        c.execute(
            insert(request).values(
                key="R-X", project=PROJECT, accession_hash="x", sealed=b"\1" + bytes(40), state="new", not_before=0.0,
                created=0.0, updated=0.0,
            )
        )  # fmt: skip
    with pytest.raises(Fatal):
        state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)


def test_a_cursor_may_be_an_accession_number(state: Opened) -> None:
    odd = Wanted(PROJECT, AccessionNumber("A1"), modality="MODPID4711")
    state.store.add_requests([odd], (), project=PROJECT, cursor="20267002ZQX", now=1)
    assert state.store.cursor(PROJECT) == "20267002ZQX"
    assert state.store.cursor("other") is None
    raw = stored(state)
    assert b"20267002ZQX" not in raw
    assert b"MODPID4711" not in raw


def test_a_project_missing_from_the_configuration_keeps_its_series(state: Opened) -> None:
    state.ask("A1")
    state.plan("1.2.3.1")
    assert state.store.claim_series(pacs="main", projects=["other"], lease=60, now=101) is None
    assert state.views.planned(["other"]) == {}, "nor does it count as work to come"
    assert state.views.planned([PROJECT]) == {"main": 1}
    assert state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101) is not None
