"""The crosswalk and withdrawals in the state, on SQLite and on PostgreSQL: what the command's own tests see from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import AccessionNumber, Wanted
from gateway.state import receipts, withdrawn
from gateway.state.broker import Broker
from gateway.state.persons import Kept
from gateway.state.rows import Pushed, Tally
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened, plan
from tests.support.carried import claim_row

ANNA, PSEUDONYM = "PID-A1", "CHEST-AAAA"
SINKS = ("directory:/srv/a", "dicom:ARCHIVE")


@pytest.fixture
def broker(state: Opened) -> Broker:
    return Broker(state.database, KEY)


def kept(series: str = "1.2.3.1", *, patient: str = ANNA, pseudonym: str = PSEUDONYM, project: str = PROJECT) -> Kept:
    return Kept(project, pseudonym, patient, "1.2.3", series)


def order(
    *patients: str, pseudonyms: Iterable[str] = (), sinks: tuple[str, ...] = (), series: Iterable[str] = ()
) -> Order:
    names = {ANNA: [PSEUDONYM]}
    told = frozenset(patients), frozenset(pseudonyms), "asked to", sinks
    return Order(PROJECT, *told, lambda patient: names.get(patient, []), frozenset(series))


def retrieved(state: Opened, broker: Broker) -> None:
    """A series of the patient's that waits for the courier."""
    state.ask("A1")
    state.plan("1.2.3.1")
    broker.enter(kept(), now=100)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None
    state.store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=102)


def test_a_person_is_entered_once_with_each_series(state: Opened, broker: Broker) -> None:
    state.ask("A1")
    state.plan("1.2.3.1", "1.2.3.2")
    for series in ("1.2.3.1", "1.2.3.2", "1.2.3.1", "1.2.3.9"):  # the last one nobody expects
        assert broker.enter(kept(series), now=100)
    (found,) = broker.look_up(PROJECT, PSEUDONYM)
    assert (found.patient, found.series) == (ANNA, (("1.2.3", "1.2.3.1"), ("1.2.3", "1.2.3.2")))
    assert broker.look_up("other", PSEUDONYM) == broker.look_up(PROJECT, "CHEST-BBBB") == []
    assert [p.pseudonym for p in broker.everybody(PROJECT)] == [PSEUDONYM]


def test_all_pseudonyms_that_a_patient_ever_had_go_together(state: Opened, broker: Broker) -> None:
    """The project's template was changed, so half of the archive has the former one."""
    state.ask("A1")
    state.plan("1.2.3.1", "1.2.3.2")
    broker.enter(kept("1.2.3.1"), now=100)
    broker.enter(kept("1.2.3.2", pseudonym="LUNG-AAAA"), now=100)
    done = broker.withdraw(order(pseudonyms=["LUNG-AAAA"]), now=200)
    assert done.pseudonyms == (PSEUDONYM, "LUNG-AAAA") and len(done.series) == 2
    assert not broker.enter(kept(patient=ANNA, pseudonym="NEW-AAAA"), now=201)
    assert broker.withdrawn_at(PROJECT, "NEW-AAAA") == 200  # learned on that occasion
    assert broker.everybody(PROJECT) == []


def test_a_person_is_known_until_withdrawn_whatever_becomes_of_what_came(state: Opened, broker: Broker) -> None:
    state.ask("A1")
    key = state.views.series(state.plan("1.2.3.1"))[0].key
    broker.enter(kept(), now=100)
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim and state.store.settle_retrieved(claim.rows[0], Tally(1, 0, 0, 0, {"pixels.text": 1}, held=1), now=102)
    assert state.store.settle_held(key, Tally(1, 0, 1, 0, {"held.discarded": 1}), now=103) == "discarded"
    assert len(broker.everybody(PROJECT)) == 1
    broker.withdraw(order(ANNA), now=200)
    assert broker.everybody(PROJECT) == []


def test_the_withdrawn_are_of_one_project(state: Opened, broker: Broker) -> None:
    broker.withdraw(order(ANNA), now=200)
    assert not broker.enter(kept(), now=201) and broker.enter(kept(project="other"), now=201)
    assert broker.opted_out(PROJECT, [ANNA, "PID-B"], lambda _: ()) == ["PID-B"]
    assert broker.opted_out("other", [ANNA], lambda _: ()) == [ANNA]


IDS = {"Mü11": ("utf-8", "latin-1"), " PID 7 ": ("utf-8",), "患者1": ("utf-8", "gb18030"), "Б-12/7": ("utf-8", "iso8859-5"),
       "Ž1": ("utf-8", "iso8859-2")}  # fmt: skip


@pytest.mark.parametrize(("typed", "codes"), IDS.items())
def test_an_id_beyond_ascii_is_known_in_whichever_encoding_it_comes(
    state: Opened, broker: Broker, typed: str, codes: tuple[str, ...]
) -> None:
    came = {code: typed.strip().encode(code).decode("latin-1") for code in codes}
    state.ask("A1")
    state.plan("1.2.3.1")
    assert broker.enter(kept(patient=came[codes[-1]], pseudonym="CHEST-EARLY"), now=100)
    done = broker.withdraw(order(typed), now=200)
    assert done.pseudonyms == ("CHEST-EARLY",) and len(done.series) == 1
    for code, patient in came.items():
        assert not broker.enter(kept(patient=patient, pseudonym=f"X-{code}"), now=201)


def test_only_what_is_the_patient_s_alone_is_taken(state: Opened, broker: Broker) -> None:
    """Two requests asked for one series; something of the other patient came for it."""
    state.ask("A1")
    first = state.plan("1.2.3.1", "1.2.3.2")
    state.ask("B1")
    state.plan("1.2.3.2", "1.2.3.3")
    done = broker.withdraw(order(ANNA), now=200)
    assert len(done.series) == 1 and done.requests == 1
    assert [s.state for s in state.views.series(first)] == ["withdrawn", "planned"]
    assert [e.reason for e in state.views.history(first) if e.event == "withdrawn"] == ["patient.withdrawn"]


def test_a_series_that_is_known_from_its_files_goes_too(state: Opened, broker: Broker) -> None:
    state.ask("B1")
    key = state.views.series(state.plan("1.2.3.1"))[0].key
    assert broker.withdraw(order(ANNA, series=[key]), now=200).series == (key,)
    assert state.views.requests()[0].state == "done"


def test_a_request_that_waits_to_be_asked_again_is_called_off(state: Opened, broker: Broker) -> None:
    """The RIS named no patient, so only what came says whose it is; it would be asked for again without a number to ask for."""
    wanted = [Wanted(PROJECT, AccessionNumber(a)) for a in ("A1", "B1")]
    state.store.add_requests(wanted, (), project=PROJECT, cursor=None, now=100)
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    assert state.store.settle_found(claim, replace(plan("1.2.3.1"), again=1000.0), now=100)
    broker.enter(kept(), now=100)
    deliver_all(state)
    assert broker.withdraw(order(pseudonyms=[PSEUDONYM]), now=200).series
    later = state.store.claim_requests(projects=[PROJECT], limit=50, lease=60, now=2000)
    assert [c.accession.value for c in later] == ["B1"]
    (sheet,) = state.views.balances()
    assert sheet.adds_up and sheet.total("withdrawn") == 1


def deliver_all(state: Opened) -> None:
    """The one planned series is retrieved, delivered and confirmed."""
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
    assert claim is not None
    state.store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=102)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=103)
        assert row is not None and state.store.settle_row(row, event, now=103)


def test_a_plan_made_meanwhile_changes_nothing(state: Opened, broker: Broker) -> None:
    state.ask("A1")
    (claim,) = state.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)
    broker.withdraw(order(ANNA), now=101)
    assert not state.store.settle_found(claim, plan("1.2.3.1"), now=102)
    assert state.views.requests()[0].state == "cancelled" and state.store.retry(state="cancelled", now=103) == 0


def test_who_writes_into_an_archive_lets_go_first(state: Opened, broker: Broker) -> None:
    retrieved(state, broker)
    row = claim_row(state.store, "retrieved", projects=[PROJECT], lease=600, now=103)
    assert row is not None
    done = broker.withdraw(order(ANNA, sinks=SINKS), now=104)
    assert broker.pending([PROJECT], now=105) == []
    assert not state.store.settle_row(row, "delivered", now=106)
    (one,) = broker.pending([PROJECT], now=107)
    assert (one.key, one.pseudonyms, one.sinks) == (done.key, (PSEUDONYM,), SINKS)


def test_a_courier_that_died_is_not_waited_for_longer_than_its_lease(state: Opened, broker: Broker) -> None:
    retrieved(state, broker)
    claim_row(state.store, "retrieved", projects=[PROJECT], lease=600, now=103)
    broker.withdraw(order(ANNA, sinks=SINKS), now=104)
    assert broker.pending([PROJECT], now=105) == [] and len(broker.pending([PROJECT], now=704)) == 1


def test_a_withdrawal_is_done_when_every_archive_has_been_seen_to(state: Opened, broker: Broker) -> None:
    done = broker.withdraw(order(ANNA, sinks=SINKS), now=200)
    for sink in SINKS:
        (one,) = broker.pending([PROJECT], now=201)
        assert sink in one.sinks
        broker.settled(done.key, sink, now=202)
        broker.settled(done.key, sink, now=203)
    assert broker.pending([PROJECT], now=204) == []


def test_what_is_pushed_of_the_withdrawn_makes_no_rows(state: Opened, broker: Broker) -> None:
    broker.withdraw(order(ANNA), now=200)
    pushed = Pushed(PROJECT, "1.2.4", "1.2.4.1", AccessionNumber("N1"), ANNA, "20240101", "CT", "{}")
    assert not state.store.push(pushed, now=201)
    assert state.views.requests() == []


def test_rows_of_the_ris_are_set_aside_with_the_reason(state: Opened, broker: Broker) -> None:
    broker.withdraw(order(ANNA), now=200)
    wanted = [Wanted(PROJECT, AccessionNumber(n), patient_id=p) for n, p in (("N1", ANNA), ("N2", "PID-B"), ("N3", ""))]
    added = state.store.add_requests(wanted, (), project=PROJECT, cursor=None, now=201)
    assert (added.new, added.known, added.aside) == (2, 0, 1)
    assert [seen.reason for seen in state.views.set_aside("N1")] == ["patient.withdrawn"]


def test_what_the_archives_confirmed_is_nobody_s_any_more(state: Opened, broker: Broker) -> None:
    retrieved(state, broker)
    instance = state.store.instance_hash("1.2.3.1.1")
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=103)
        assert row is not None
        state.store.settle_row(row, event, now=104)
        with state.database.write() as c:
            receipts.note(c, row.id, [instance])
    assert state.store.committed([instance])
    broker.withdraw(order(ANNA), now=200)
    assert not state.store.committed([instance])


def test_the_head_of_a_trail_never_goes_back(broker: Broker) -> None:
    assert broker.head("gw1") == (0, "")
    for number in (1, 3, 2):
        broker.keep_head("gw1", number, f"mac-{number}")
    assert broker.head("gw1") == (3, "mac-3") and broker.head("gw2") == (0, "")


def test_who_comes_while_his_withdrawal_is_written_is_not_left_in(state: Opened, broker: Broker) -> None:
    """The first instance of a patient of whom nothing is known yet, on another connection: kept and taken out, or not kept."""
    state.ask("B1")
    key = state.plan("1.2.3.1")
    entered: list[bool] = []
    coming = threading.Thread(target=lambda: entered.append(broker.enter(kept(), now=200)))

    def while_requests_are_read(patient: str) -> list[str]:
        if patient == "PID-B1" and coming.ident is None:
            coming.start()
            coming.join(1)  # on SQLite it waits for the withdrawal
        return []

    broker.withdraw(replace(order(ANNA, pseudonyms=[PSEUDONYM]), pseudonyms_of=while_requests_are_read), now=200)
    coming.join(30)
    (row,) = state.views.series(key)
    assert (entered, row.state) in (([True], "withdrawn"), ([False], "planned"))
    assert broker.everybody(PROJECT) == []


def test_nobody_comes_in_once_he_has_been_looked_for(
    state: Opened, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.ask("B1")
    state.plan("1.2.3.1")
    entered: list[bool] = []
    coming = threading.Thread(target=lambda: entered.append(broker.enter(kept(), now=200)))
    note = withdrawn._note

    def while_it_is_written(*told: Any) -> tuple[int, str]:
        coming.start()
        coming.join(1)
        return note(*told)

    monkeypatch.setattr(withdrawn, "_note", while_it_is_written)
    broker.withdraw(order(ANNA), now=200)
    coming.join(30)
    assert entered == [False] and broker.everybody(PROJECT) == []


def test_nobody_waits_until_every_request_has_been_opened(state: Opened, broker: Broker) -> None:
    """A back-fill may have hundreds of thousands; what comes meanwhile is looked at, too."""
    state.ask("B1")
    asking = threading.Thread(target=state.ask, args=("A1", "A2"), kwargs={"now": 199.0})
    waited: list[bool] = []

    def while_requests_are_read(patient: str) -> list[str]:
        if patient == "PID-B1" and asking.ident is None:
            asking.start()
            asking.join(10)
            waited.append(asking.is_alive())
        return []

    broker.withdraw(replace(order(ANNA), pseudonyms_of=while_requests_are_read), now=200)
    asking.join(30)
    assert waited == [False]
    assert {r.state for r in state.views.requests()} == {"new", "cancelled"}
    assert len(state.views.requests(state="new")) == 2


def test_what_was_delivered_under_an_id_that_was_merged_since_goes_too(state: Opened, broker: Broker) -> None:
    """Only an open request of the former ID says that both are one patient."""
    state.ask("A1")
    key = state.views.series(state.plan("1.2.3.1"))[0].key
    broker.enter(kept(pseudonym="CHEST-FORMER"), now=100)
    deliver_all(state)
    again = Wanted(PROJECT, AccessionNumber("Z9"), patient_id=ANNA)
    state.store.add_requests([again], (), project=PROJECT, cursor=None, now=150)
    of = {"SURVIVOR": ["CHEST-NOW"], ANNA: ["CHEST-NOW"]}
    done = broker.withdraw(replace(order("SURVIVOR"), pseudonyms_of=lambda p: of.get(p, [])), now=200)
    assert done.series == (key,) and "CHEST-FORMER" in done.pseudonyms
