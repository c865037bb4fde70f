"""R12: rows and lines of somebody who was withdrawn: their requests are called off and forgotten."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.model import AccessionNumber, Wanted
from gateway.state.broker import Broker
from gateway.state.db import request
from gateway.state.withdrawn import Order
from tests.accession.listing import KEY, P, Ris, lines
from tests.state.conftest import plan


@pytest.mark.catalogue("R4", "R12")
def test_r12_a_row_that_turns_out_to_be_of_somebody_withdrawn_is_cancelled_for_good(ris: Ris) -> None:
    ris.hospital.add("A", "B", "C")
    ris.poll()
    broker, order = (
        Broker(ris.database, KEY),
        Order(P, frozenset({"SYN-PID-9"}), frozenset(), "asked to", (), lambda _: ()),
    )
    broker.withdraw(order, now=ris.now)
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9' where accession_number <> 'C'")
    (a,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    assert ris.store.settle_found(a, plan("1.1"), now=ris.now)
    for _ in range(2):
        ris.poll()
        assert {x: ris.request(x).state for x in "ABC"} == {"A": "cancelled", "B": "cancelled", "C": "new"}
    assert ris.events("B")[-1] == ("cancelled", "patient.withdrawn")
    assert [s.state for s in ris.views.series(ris.request("A").key)] == ["excluded"]
    assert ris.store.retry(state="cancelled", now=ris.now) == 0
    (sheet,) = ris.views.balances()
    assert sheet.adds_up and sheet.total("withdrawn") == 2


def test_r12_what_is_over_is_forgotten_too_when_it_turns_out_to_be_of_somebody_withdrawn(ris: Ris) -> None:
    """`requests retry` would ask for the patient again, and what identifies would stay as long as the row."""
    ris.hospital.add("A", "B")
    ris.poll()
    (a,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    assert ris.store.fail_request(a, reason="find.unable", now=ris.now)
    assert ris.store.cancel(keys=[ris.request("B").key], now=ris.now) == 1
    order = Order(P, frozenset({"SYN-PID-9"}), frozenset(), "asked to", (), lambda _: ())
    Broker(ris.database, KEY).withdraw(order, now=ris.now)
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9'")
    ris.poll()
    assert (ris.request("A").state, ris.request("B").state) == ("failed", "cancelled")
    assert ris.store.retry(state="failed", now=ris.now) == ris.store.retry(state="cancelled", now=ris.now) == 0
    with ris.database.read() as c:
        assert c.execute(select(request.c.sealed).where(request.c.sealed.is_not(None))).all() == []


def test_what_was_withdrawn_since_the_row_was_read_stays_forgotten(ris: Ris) -> None:
    """On PostgreSQL a withdrawal may come between: it waits for nobody who only reads."""
    ris.hospital.add("A")
    ris.poll()
    with ris.database.read() as c:
        before = c.execute(select(request)).one()
    order = Order(P, frozenset({"SYN-PID-1"}), frozenset(), "asked to", (), lambda _: ())
    Broker(ris.database, KEY).withdraw(order, now=ris.now)
    with ris.database.write() as c:
        ris.listed._take(c, before, Wanted(P, AccessionNumber("A"), patient_id="SYN-PID-2"), ris.now)
        assert c.execute(select(request.c.sealed, request.c.state)).one() == (None, "cancelled")


def test_what_was_planned_since_the_row_was_read_is_called_off_the_next_time(ris: Ris) -> None:
    """Without its number, and never to be asked again, it would be under way for good."""
    ris.hospital.add("A")
    ris.poll()
    with ris.database.read() as c:
        before = c.execute(select(request)).one()
    (a,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    assert ris.store.settle_found(a, plan("1.1"), now=ris.now)
    with ris.database.write() as c:
        assert not ris.listed._bar(c, before, ris.now)
        planned = c.execute(select(request)).one()
        assert planned.sealed is not None and planned.not_before is not None
        assert ris.listed._bar(c, planned, ris.now)
        assert c.execute(select(request.c.sealed, request.c.state)).one() == (None, "cancelled")


@pytest.mark.catalogue("R12")
def test_r12_a_file_that_names_somebody_withdrawn_cancels_what_is_known(ris: Ris) -> None:
    ris.store.add_requests(lines("A"), (), project=P, cursor=None, now=ris.now)
    order = Order(P, frozenset({"SYN-PID-9"}), frozenset(), "asked to", (), lambda _: ())
    Broker(ris.database, KEY).withdraw(order, now=ris.now)
    ris.listed.amend(lines("A", patient="SYN-PID-9"), now=ris.now)
    assert ris.events("A")[-1] == ("cancelled", "patient.withdrawn")
