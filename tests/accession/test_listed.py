"""R4: a row that changed changes its request, a row that is gone cancels it, and an empty view takes nothing away."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from sqlalchemy.engine import Connection

from gateway.errors import Retry
from gateway.model import AccessionNumber, Plan, Wanted
from gateway.state import listed
from gateway.state.db import Database
from gateway.state.rows import Tally
from tests.accession.listing import P, Ris, lines
from tests.state.conftest import plan
from tests.support.carried import claim_row


@pytest.mark.catalogue("R4")
def test_r4_a_row_that_changed_is_asked_for_again_by_what_it_says_now(ris: Ris) -> None:
    ris.hospital.add("A", "B", "C")
    ris.poll()
    a, b, c = ris.store.claim_requests(projects=[P], limit=3, lease=60, now=ris.now)
    ris.store.settle_empty(a, not_before=ris.now + 1e6, now=ris.now)
    ris.store.hold_request(b, Plan(doubt="evidence.patient"), now=ris.now)
    ris.store.settle_found(c, plan("1.1"), now=ris.now)
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9'")
    ris.poll()
    assert {x: ris.request(x).state for x in "ABC"} == {"A": "new", "B": "new", "C": "planned"}
    assert ris.request("A").empties == 0
    assert ris.events("C")[-1] == ("changed", "ris.changed"), "what is planned goes on, and it is told"
    again = ris.store.claim_requests(projects=[P], limit=3, lease=60, now=ris.now)
    assert {claim.patient_id for claim in again} == {"SYN-PID-9"}


@pytest.mark.catalogue("R4")
def test_r4_what_is_asked_for_this_moment_is_asked_for_again(ris: Ris) -> None:
    """The answer to the old question is not believed."""
    ris.hospital.add("A")
    ris.poll()
    (claim,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9'")
    ris.poll()
    assert not ris.store.settle_found(claim, plan("1.1"), now=ris.now)
    assert ris.request("A").state == "new"


@pytest.mark.catalogue("R4")
def test_r4_rows_as_they_were_change_nothing(ris: Ris) -> None:
    ris.hospital.add("A")
    ris.poll()
    before = ris.events("A")
    ris.poll()
    assert ris.events("A") == before


@pytest.mark.catalogue("R4")
def test_r4_a_row_that_is_gone_cancels_its_request_and_one_that_is_back_asks_again(ris: Ris) -> None:
    ris.hospital.add("A", "B")
    ris.store.add_requests([Wanted(P, AccessionNumber("CSV"))], (), project=P, cursor=None, now=ris.now)
    ris.poll()
    for claim in ris.store.claim_requests(projects=[P], limit=3, lease=0, now=ris.now):
        if claim.accession.value == "A":
            ris.store.settle_found(claim, plan("1.1"), now=ris.now)
    ris.forget("A")
    assert ris.reconcile() == 1
    assert {x: ris.request(x).state for x in ("A", "B", "CSV")} == {"A": "cancelled", "B": "new", "CSV": "new"}
    assert ("cancelled", "ris.vanished") in ris.events("A")
    assert [s.state for s in ris.views.series(ris.request("A").key)] == ["excluded"]
    ris.hospital.add("A")
    ris.poll()
    assert ris.request("A").state == "new"


@pytest.mark.catalogue("R4", "M15")
def test_r4_what_is_in_the_archive_is_not_called_off_while_its_study_may_grow(ris: Ris) -> None:
    ris.hospital.add("A", "B")
    ris.poll()
    for claim in ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now):
        ris.store.settle_found(claim, replace(plan("1.1"), again=ris.now + 86400), now=ris.now)
    moved = ris.store.claim_series(pacs="main", projects=[P], lease=60, now=ris.now)
    assert moved and ris.store.settle_retrieved(moved.rows[0], Tally(1, 1, 0, 0, {}), now=ris.now)
    for state, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(ris.store, state, projects=[P], lease=60, now=ris.now)
        assert row and ris.store.settle_row(row, event, now=ris.now)
    assert ris.request("A").state == "new"
    ris.forget("A")
    assert ris.reconcile() == 0
    assert ris.request("A").state == "new"


@pytest.mark.catalogue("R4")
def test_r4_what_a_person_cancelled_stays_so(ris: Ris) -> None:
    ris.hospital.add("A")
    ris.poll()
    ris.store.cancel(keys=[ris.request("A").key], now=ris.now)
    ris.poll()
    assert ris.request("A").state == "cancelled"


@pytest.mark.catalogue("R4", "R10")
@pytest.mark.parametrize(("there", "gone", "cancelled"), [(3, 3, 0), (30, 15, 15), (30, 16, 0), (12, 10, 10)])
def test_r4_an_empty_view_takes_nothing_away(ris: Ris, there: int, gone: int, cancelled: int) -> None:
    names = [f"A{n}" for n in range(there)]
    ris.hospital.add(*names)
    ris.poll()
    ris.forget(*names[:gone])
    assert ris.reconcile() == cancelled
    states = [r.state for r in ris.views.requests()]
    assert (states.count("cancelled"), states.count("new")) == (cancelled, there - cancelled)


def test_a_view_that_cannot_be_read_takes_nothing_away(ris: Ris) -> None:
    ris.hospital.add("A", "B")
    ris.poll()
    ris.hospital.do("drop view research_view")
    with pytest.raises(Retry, match="ris"):
        ris.reconcile()
    stopped = threading.Event()
    stopped.set()
    ris.hospital.build()
    assert ris.reconcile(stopped) == 0
    assert {r.state for r in ris.views.requests()} == {"new"}


def test_what_is_over_is_left_alone(ris: Ris) -> None:
    ris.hospital.add("A", "B")
    ris.poll()
    claim, _ = ris.store.claim_requests(projects=[P], limit=2, lease=60, now=ris.now)
    ris.store.settle_found(claim, plan("1.1", keep=False), now=ris.now)
    ris.forget("A")
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9'")
    assert ris.reconcile() == 0
    assert ris.request("A").state == "done"


def test_a_file_tells_a_request_what_it_lacks_and_takes_nothing_away(ris: Ris) -> None:
    ris.store.add_requests(lines("A", "B"), (), project=P, cursor=None, now=ris.now)
    a, _ = ris.store.claim_requests(projects=[P], limit=2, lease=0, now=ris.now)
    ris.store.hold_request(a, Plan(doubt="evidence.patient"), now=ris.now)
    assert ris.listed.amend(lines("A", "B", patient="SYN-PID-9", day="20260503"), now=ris.now) == 2
    assert ris.listed.amend(lines("A", "B"), now=ris.now) == 0, "a file without these columns says nothing about them"
    assert ris.listed.amend(lines("A", "NEW", day="20260504"), now=ris.now) == 1
    again = ris.store.claim_requests(projects=[P], limit=3, lease=0, now=ris.now)
    told = {claim.accession.value: (claim.patient_id, claim.study_date) for claim in again}
    assert told == {"A": ("SYN-PID-9", "20260504"), "B": ("SYN-PID-9", "20260503")}
    assert ("retried", "csv.changed") in ris.events("A")


def test_what_a_file_told_stays_where_the_ris_says_nothing(ris: Ris) -> None:
    """A view without the patient, or whose row has none: each poll would undo what a person has done for a held request."""
    ris.hospital.add("A", patient_id="")
    ris.poll()
    (a,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    ris.store.hold_request(a, Plan(doubt="evidence.several-patients"), now=ris.now)
    assert ris.listed.amend(lines("A", patient="SYN-PID-9"), now=ris.now) == 1
    for _ in range(2):
        ris.poll()
    (again,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    assert (again.patient_id, again.study_date) == ("SYN-PID-9", "20260503")
    assert ris.events("A")[-1] == ("retried", "csv.changed")


def test_what_a_file_asked_for_is_not_taken_for_a_row_of_the_ris(ris: Ris) -> None:
    """Else it would be cancelled, for its row is not in the view."""
    ris.hospital.add("A")
    ris.poll()
    ris.store.add_requests(lines("CSV"), (), project=P, cursor=None, now=ris.now)
    ris.listed.amend(lines("CSV", patient="SYN-PID-9"), now=ris.now)
    ris.forget("A")
    assert ris.reconcile() == 0, "the view is empty"
    ris.hospital.add("B")
    assert ris.reconcile() == 1
    ris.listed.amend(lines("A", patient="SYN-PID-9"), now=ris.now)
    assert {x: ris.request(x).state for x in ("A", "CSV")} == {"A": "cancelled", "CSV": "new"}


def test_many_that_are_gone_are_cancelled_in_pieces(ris: Ris, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a back-fill may go at once: the daemon waits for none of them."""
    ris.hospital.add(*"ABCDEFGHIJ")
    ris.poll()
    ris.forget(*"ABCDE")
    monkeypatch.setattr(listed, "AT_ONCE", 2)
    begun: list[int] = []
    write = ris.database.write

    def counted() -> AbstractContextManager[Connection]:
        begun.append(1)
        return write()

    monkeypatch.setattr(ris.database, "write", counted)
    assert ris.reconcile() == 5 and len(begun) == 3


def test_what_waits_is_read_in_the_time_of_a_report(ris: Ris, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million requests it takes half of what PostgreSQL gives any other question."""
    ris.hospital.add("A")
    ris.poll()
    monkeypatch.delattr(Database, "read")
    assert len(ris.listed.waiting(P)) == 1
