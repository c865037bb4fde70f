"""A PostgreSQL that is restarted, hangs or says no: a Retry for whoever asks, nothing lost, and nothing left in hand for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import Fatal, Retry
from gateway.state.db import Database
from gateway.state.rows import Tally
from tests.state.conftest import PROJECT, Opened
from tests.support.peers import Postgres

pytestmark = pytest.mark.real
WHOLE = Tally(expected=3, kept=3, excluded=0, refused=0, reasons={})


@pytest.fixture(scope="module")
def peer() -> Iterator[Postgres]:
    """A server of this module's own, for it does not stay up."""
    with Postgres() as started:
        yield started


@pytest.fixture
def shared(peer: Postgres) -> Iterator[Opened]:
    admin = sa.create_engine(peer.open_url, poolclass=sa.NullPool)
    with admin.begin() as c:
        c.exec_driver_sql("drop schema public cascade")
        c.exec_driver_sql("create schema public")
    admin.dispose()
    opened = Opened(peer.url)
    yield opened
    opened.database.close()


def test_a_restart_between_two_calls_is_not_even_noticed(shared: Opened, peer: Postgres) -> None:
    shared.ask("A1")
    peer.kill()
    peer.start()
    assert shared.store.answers()
    assert len(shared.store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=100)) == 1


def test_while_it_is_away_every_call_is_a_retry(shared: Opened, peer: Postgres) -> None:
    shared.ask("A1")
    peer.kill()
    try:
        for call in (shared.store.answers, lambda: shared.store.cursor(PROJECT), lambda: shared.ask("A2")):
            with pytest.raises(Retry, match=r"state\.busy"):
                call()
    finally:
        peer.start()
    shared.ask("A2")
    assert len(shared.views.requests()) == 2


def test_a_settle_that_did_not_get_through_is_done_at_once_and_not_when_its_lease_ends(
    shared: Opened, peer: Postgres
) -> None:
    shared.ask("A1")
    shared.plan("1.2.3.1")
    claim = shared.store.claim_series(pacs="main", projects=[PROJECT], lease=3600, now=101)
    assert claim is not None
    peer.kill()
    with pytest.raises(Retry):
        shared.store.settle_retrieved(claim.rows[0], WHOLE, now=102)
    peer.start()
    again = shared.store.claim_series(pacs="main", projects=[PROJECT], lease=3600, now=103)
    assert again is not None and again.rows[0].key == claim.rows[0].key
    assert shared.store.settle_retrieved(again.rows[0], WHOLE, now=104)


def test_a_transaction_that_is_cut_has_written_nothing(shared: Opened, peer: Postgres) -> None:
    shared.ask("A1")

    def cut() -> None:
        with shared.database.write() as c:
            c.execute(sa.text("update request set state = 'failed'"))
            peer.kill()
            c.execute(sa.text("select 1"))

    with pytest.raises(Retry):
        cut()
    peer.start()
    assert [r.state for r in shared.views.requests()] == ["new"]


def test_a_server_that_hangs_is_left_after_a_while(shared: Opened, peer: Postgres) -> None:
    """Frozen it keeps its connections, and says nothing: TCP and libpq would wait for ever."""
    database = Database(peer.url, lambda: peer.password)
    assert database._patience is not None
    database._patience.seconds = 0.5

    def ask(first: Callable[[], None]) -> None:
        with database.read() as c:
            first()
            c.execute(sa.text("select 1"))

    def commit(first: Callable[[], None]) -> None:
        with database.write() as c:
            c.execute(sa.text("update request set reason = ''"))
            first()

    for way in (ask, commit):
        way(lambda: None)
        try:
            with pytest.raises(Retry):
                way(peer.freeze)
        finally:
            peer.thaw()
    database.close()


@pytest.mark.parametrize("way", ["read", "write", "long_read"])
def test_nor_is_one_waited_for_that_hangs_before_it_is_asked(shared: Opened, peer: Postgres, way: str) -> None:
    """A connection of the pool is asked first whether it is there; reports have patience, but not for ever."""
    database = Database(peer.url, lambda: peer.password)
    assert database._patience is not None
    database._patience.seconds = 0.5
    told = list[str]()

    def ask() -> None:
        try:
            with getattr(database, way)() as c:
                c.execute(sa.text("select 1"))
        except Retry as err:
            told.append(err.reason)

    ask()
    peer.freeze()
    asking = threading.Thread(target=ask, daemon=True)
    try:
        asking.start()
        asking.join(20)
        assert told == ["state.busy"]
    finally:
        peer.thaw()
        asking.join(20)
        database.close()


def test_deadlocked_one_of_the_two_tries_again(shared: Opened) -> None:
    shared.ask("A1", "A2")
    met, told = threading.Barrier(2), list[str]()

    def change(first: int, second: int) -> None:
        try:
            with shared.database.write() as c:
                c.execute(sa.text(f"update request set reason = 'x' where id = {first}"))
                met.wait(10)
                c.execute(sa.text(f"update request set reason = 'x' where id = {second}"))
            told.append("done")
        except Retry as err:
            told.append(err.reason)

    threads = [threading.Thread(target=change, args=ids) for ids in ((1, 2), (2, 1))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(told) == ["done", "state.busy"]


def test_a_wrong_password_is_told_without_it(peer: Postgres) -> None:
    with pytest.raises(Retry) as told:
        Database(peer.url, lambda: "hunter2")
    assert "hunter2" not in str(told.value) and "ris" not in str(told.value)


def test_a_mistake_of_ours_is_no_passing_trouble(shared: Opened) -> None:
    with pytest.raises(Fatal, match=r"state\.database"), shared.database.read() as c:
        c.execute(sa.text("select no_such_column from request"))


def test_a_password_that_is_being_changed_is_waited_for(peer: Postgres, tmp_path: Path) -> None:
    def absent() -> str:
        raise Fatal("password.file", "there is no such file")

    with pytest.raises(Retry, match="there is no such file"):
        Database(peer.url, absent)
