"""What is asked again and again is found by index, however many rows there are: nothing of it reads a large table from end to end.

How long it takes is measured by `python -m tests.bench.scale`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.model import AccessionNumber, Wanted
from gateway.state.broker import Broker
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.rows import Tally
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened
from tests.support.carried import claim_row

LARGE = ("request", "series", "asked", "history", "committed", "withdrawn")
ROUTE = Route(PROJECT, "archive", ("archive",))
WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


def poll(state: Opened) -> None:
    wanted = [Wanted(PROJECT, AccessionNumber(f"N{n}")) for n in range(20)]
    state.store.add_requests(wanted, (), project=PROJECT, cursor="c", now=100)


def opt_out(state: Opened) -> None:
    """A list, at each poll. What is withdrawn of a project is not read either, though that is by index."""
    assert Broker(state.database, KEY).opted_out(PROJECT, ["PID-X"], lambda patient: [f"X-{patient}"])


def claim_requests(state: Opened) -> None:
    assert state.store.claim_requests(projects=[PROJECT, "other"], limit=5, lease=60, now=100)


def work(state: Opened) -> None:
    """A series on its way, to the end."""
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=101)
    assert claim is not None
    assert state.store.extend_series(claim, lease=60, now=101)
    assert state.store.settle_retrieved(claim.rows[0], WHOLE, now=101)
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(state.store, before, projects=[PROJECT], lease=60, now=102)
        assert row is not None
        assert state.store.settle_row(row, event, now=102)


def deliver(state: Opened) -> None:
    """What an archive is sent, and what it is to show."""
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=101)
    assert claim is not None and state.store.settle_retrieved(claim.rows[0], WHOLE, now=101)
    with TemporaryDirectory() as name:
        progress = Progress(state.database, state.store, Outbox(Path(name) / "outbox"), node="gw1")
        row = progress.claim(Stage.WAITING, ROUTE, lease=60, now=102)
        assert row is not None and progress.delivered(row, ROUTE, now=102)
        assert progress.claim(Stage.DELIVERED, ROUTE, lease=60, now=103)
        progress.reckon(PROJECT, ROUTE.sinks, now=104)


def receive(state: Opened) -> None:
    assert state.store.expected("1.2.3")


def status(state: Opened) -> None:
    assert state.views.counts().oldest_pending
    assert state.views.planned([PROJECT])


def explain(state: Opened) -> None:
    (found,) = state.views.by_accession("A0")
    assert state.views.history(found.key)
    assert state.views.series(found.key)
    state.views.set_aside("A0")


def listing(state: Opened) -> None:
    assert state.views.requests()
    assert state.views.requests(state="failed", project=PROJECT) == []


def start(state: Opened) -> None:
    state.store.free_node()
    state.store.held_series()


def cancel(state: Opened) -> None:
    assert state.store.cancel(keys=[r.key for r in state.views.requests(state="planned")], now=100) == 1


def clock(state: Opened) -> None:
    assert state.store.wait_anew(-1000)


def withdraw(state: Opened) -> None:
    order = Order(PROJECT, frozenset({"PID-A0"}), frozenset(), "", ("archive",), lambda _: ())
    assert Broker(state.database, KEY).withdraw(order, now=100).series


def asked_while(state: Opened, step: Callable[[Opened], object]) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []

    def note(*said: Any) -> None:
        _, _, statement, parameters, *_ = said
        seen.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    engines = (state.database._writer, state.database._reader)
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    step(state)
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", note)
    return [(s, p) for s, p in seen if re.match(r"(SELECT|UPDATE|DELETE)\b", s)]


def plan_of(state: Opened, statement: str, parameters: Any) -> str:
    """PostgreSQL with few rows would read whole tables, and is told that it costs too much."""
    with state.database.read() as c:
        if c.dialect.name == "sqlite":
            return "\n".join(r[-1] for r in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
        c.exec_driver_sql("SET LOCAL enable_seqscan = off")
        asked = f"EXPLAIN {re.sub(' FOR (NO KEY )?UPDATE.*', '', statement)}"
        return "\n".join(r[0] for r in c.exec_driver_sql(asked, parameters))


def whole_tables(state: Opened, statement: str, parameters: Any) -> list[str]:
    """The tables that it reads from end to end."""
    return [t for t in re.findall(r"(?:SCAN|Seq Scan on) (\w+)", plan_of(state, statement, parameters)) if t in LARGE]


@pytest.mark.parametrize(
    "step",
    [poll, opt_out, claim_requests, work, deliver, receive, status, explain, listing, start, clock, cancel],
    ids=lambda f: f.__name__,
)
def test_no_large_table_is_read_from_end_to_end(state: Opened, step: Callable[[Opened], None]) -> None:
    state.ask(*(f"A{n}" for n in range(10)))
    state.plan("1.2.3.1", "1.2.3.2")
    said = asked_while(state, step)
    assert said
    assert {s: found for s, p in said if (found := whole_tables(state, s, p))} == {}
    assert [s for s, _ in said if "FROM withdrawn" in s and "withdrawn.hash IN" not in s] == []


def test_a_withdrawal_reads_no_more_than_the_requests_from_end_to_end(state: Opened) -> None:
    """Each of those is opened to see whose it is, page by page, before anybody has to wait for it."""
    state.ask(*(f"A{n}" for n in range(10)))
    state.plan("1.2.3.1", "1.2.3.2")
    read = {t: s for s, p in asked_while(state, withdraw) for t in whole_tables(state, s, p)}
    assert set(read) <= {"request"}


def test_where_nobody_was_withdrawn_of_late_those_who_ever_were_are_not_read(state: Opened) -> None:
    """Every five seconds, for good: of 100,000 series it took a third of one."""
    state.ask(*(f"A{n}" for n in range(10)))
    state.plan("1.2.3.1")
    withdraw(state)
    broker = Broker(state.database, KEY)
    assert len(broker.lately_withdrawn(100)) == 1
    said = asked_while(state, lambda _: broker.lately_withdrawn(101))
    assert [s for s, _ in said if "FROM series" in s] == []


@pytest.mark.parametrize("step", [claim_requests, work, deliver, listing], ids=lambda f: f.__name__)
def test_nothing_is_sorted_before_the_first_is_taken(state: Opened, step: Callable[[Opened], None]) -> None:
    """Of SQLite only: PostgreSQL sorts where there are few."""
    state.ask(*(f"A{n}" for n in range(10)))
    state.plan("1.2.3.1", "1.2.3.2")
    said = asked_while(state, step)
    with state.database.read() as c:
        if c.dialect.name == "sqlite":
            plans = {s: [r[-1] for r in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", p)] for s, p in said}
            assert {s for s, plan in plans.items() if "USE TEMP B-TREE FOR ORDER BY" in plan and "LIMIT" in s} == set()


def test_status_looks_up_one_request_not_all_that_is_confirmed(state: Opened) -> None:
    """SQLite did for each request that is new, PostgreSQL once, to have them all in a table: at each scrape."""
    state.ask(*(f"A{n}" for n in range(10)))
    state.plan("1.2.3.1", "1.2.3.2")
    plans = [plan_of(state, s, p) for s, p in asked_while(state, status)]
    assert any("asked" in plan for plan in plans)
    assert [plan for plan in plans if "(state=?)" in plan or "hashed SubPlan" in plan] == []


def test_what_waits_anew_is_looked_for_once_not_for_each_row(state: Opened) -> None:
    """PostgreSQL did, where it had not counted yet what was written while the clock was ahead: half a minute for 2,000."""
    state.ask("A1")
    changed = [(s, p) for s, p in asked_while(state, clock) if s.startswith("UPDATE")]
    assert changed and [s for s, p in changed if "Limit" in plan_of(state, s, p) or "LIMIT" in s] == []


def test_for_the_clock_what_only_waits_to_be_asked_again_is_not_read(state: Opened) -> None:
    """Of 300,000 that did, SQLite had its only writer busy for a second or two. PostgreSQL chooses by numbers."""
    state.ask("A1")
    (asked,) = [plan_of(state, s, p) for s, p in asked_while(state, clock) if "FROM request" in s]
    assert "request_listed" in asked or not isinstance(state.place, Path)


def test_one_that_does_is_seen(state: Opened) -> None:
    state.ask("A1")
    assert whole_tables(state, "SELECT id FROM request WHERE reason = ''", ()) == ["request"]
