"""A node among others: who lives is told by the database's clock, whatever a machine's own says."""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from gateway.errors import Fatal
from gateway.model import AccessionNumber
from gateway.run import nodes
from gateway.run.nodes import Nodes
from gateway.settings import Settings
from gateway.state import db
from gateway.state import nodes as state_nodes
from gateway.state.fellowship import Fellowship
from gateway.state.nodes import Node
from gateway.state.outbox import Outbox
from gateway.state.rows import Pushed, Tally
from gateway.state.schema import BRING_UP_LOCK
from gateway.state.store import Store
from tests.state.conftest import KEY, PROJECT, Opened, emptied
from tests.support.peers import Postgres

LEASE = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


@pytest.fixture
def shared(server: Postgres) -> Iterator[Opened]:
    state = Opened(emptied(server))
    yield state
    state.database.close()


def node(state: Opened, name: str, folder: Path) -> tuple[Nodes, Store]:
    """All in this process share one pool of connections."""
    (folder / name).mkdir()
    store = Store(state.database, KEY, node=name)
    settings = Settings.model_construct(node=name, node_lease=LEASE, state_dir=folder / name)
    return Nodes(settings, store, Outbox(folder / name / "outbox")), store


def test_no_two_state_directories_have_the_same_name_also_after_a_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of a name that could not be written; an empty one, of a version before, is none."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    with monkeypatch.context() as full:
        full.setattr("secrets.token_hex", lambda _: full_disk())
        with pytest.raises(Fatal, match="No space"):
            nodes.home(one)
    (other / "node.id").touch()
    names = [nodes.home(folder) for folder in (one, other, one)]
    assert names[0] == names[2] != names[1] and all(len(name) == 32 for name in names)


def full_disk() -> str:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.real
@pytest.mark.parametrize(
    ("database", "told"), [("postgres", "held by somebody else, .* all nodes stopped$"), ("none", "is it up, ")]
)
def test_why_a_database_is_not_to_be_had_is_told_at_the_start(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, told: str
) -> None:
    """An upgrade while a back-up runs, say: it was asked whether the server is up, and the password right."""
    (tmp_path / "password").write_text(server.password)
    (tmp_path / "password").chmod(0o600)
    url = sa.make_url(server.url).set(database=database).update_query_dict({"options": "-c lock_timeout=100ms"})
    settings = Settings.model_construct(
        database=url.render_as_string(), database_password_file=tmp_path / "password", state_dir=tmp_path
    )
    holds = sa.create_engine(server.open_url, poolclass=sa.NullPool)
    with holds.begin() as c:
        c.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": BRING_UP_LOCK})
        with pytest.raises(Fatal, match=rf"^state\.unreachable: .*{told}"):
            nodes.open_database(settings)
    holds.dispose()


@pytest.mark.real
def test_who_inherits_for_longer_than_a_lease_is_not_dead_when_it_joins(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    times = iter((now, now, now, now + 10 * LEASE))
    monkeypatch.setattr(Fellowship, "clock", lambda _: next(times))
    node(shared, "gw1", tmp_path)[0].begin()
    with shared.database.read() as c:
        assert c.execute(sa.select(db.node.c.lease_until)).scalar_one() == now + 11 * LEASE


@pytest.mark.real
def test_who_takes_over_for_longer_than_a_lease_is_not_dead_meanwhile(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a third node would take over what this one has, and this one what that one has."""
    dead, other = node(shared, "gw1", tmp_path)[1], node(shared, "gw2", tmp_path)[0]
    Fellowship(shared.database, Node("gw1", "dead", LEASE)).join(0)
    shared.ask("A1", now=0)
    request = shared.plan("1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4", now=0)
    for _ in range(4):
        claim = dead.claim_series(pacs="main", projects=[PROJECT], lease=60, now=0)
        assert claim is not None and dead.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=0)
    other._fellowship = Fellowship(shared.database, Node("gw2", "other", LEASE))
    times, plan_again, seen = itertools.count(2 * LEASE, LEASE / 4), state_nodes.plan_again, list[int]()
    other._fellowship.join(LEASE)
    assert other._fellowship.beat(1.5 * LEASE)
    monkeypatch.setattr(Fellowship, "clock", lambda _: next(times))
    monkeypatch.setattr(state_nodes, "AT_ONCE", 1)

    def meanwhile(c: Connection, name: str, now: float) -> int:
        over = sa.select(db.node.c.name).where(db.node.c.lease_until < next(times), db.node.c.name == "gw2")
        seen.append(len(c.execute(over).all()))
        return plan_again(c, name, now)

    monkeypatch.setattr(state_nodes, "plan_again", meanwhile)
    assert other._beat() == 4
    assert seen == [0] * 5
    assert {s.state for s in shared.views.series(request)} == {"planned"}


@pytest.mark.real
def test_who_hung_with_the_database_while_it_showed_that_it_lives_takes_nobody_for_dead(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them hung. What it was told before the time is no time to judge by when it goes on."""
    (hung, _), (other, store), now, beat = (
        node(shared, "gw1", tmp_path),
        node(shared, "gw2", tmp_path),
        time.time(),
        Fellowship.beat,
    )
    monkeypatch.setattr(Fellowship, "clock", lambda _: now)
    hung.begin(), other.begin()
    shared.ask("A1", now=now)
    shared.plan("1.2.3.1", now=now)
    claim = store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=now)
    assert claim is not None and store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=now)
    for _ in range(6):
        now += LEASE / 5
        assert hung._beat() == other._beat() == 0

    def hangs(me: Fellowship, at: float) -> bool:
        nonlocal now
        now += 2 * LEASE
        return beat(me, at)

    monkeypatch.setattr(Fellowship, "beat", hangs)
    assert hung._beat() == 0


@pytest.mark.real
@pytest.mark.catalogue("O3")
@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_o3_a_clock_that_jumps_takes_nobody_for_dead(
    shared: Opened, tmp_path: Path, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jumps, _), (other, store) = node(shared, "gw1", tmp_path), node(shared, "gw2", tmp_path)
    jumps.begin(), other.begin()
    shared.ask("A1", now=time.time())
    request = shared.plan("1.2.3.1", now=time.time())
    claim = store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=time.time())
    assert claim is not None and store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=time.time())
    start = time.time()
    for beat in range(10):  # longer than a lease, by the clock that jumped
        monkeypatch.setattr(nodes, "time", SimpleNamespace(time=lambda at=start + skew + beat * LEASE / 5: at))
        with capture_logs() as told:
            assert jumps._beat() == 0
        assert "give all machines the same time" in told[0]["detail"]
        monkeypatch.setattr(nodes, "time", time)
        assert other._beat() == 0
    assert [s.state for s in shared.views.series(request)] == ["retrieved"]
    assert jumps.in_turn("poll-p", lambda: "mine")() == "mine"
    assert jumps.in_turn("vanished-p", lambda: "mine")() == "mine"
    monkeypatch.setattr(nodes, "time", SimpleNamespace(time=lambda: start + 3600))
    assert other.in_turn("poll-p", lambda: "mine")() is None
    assert other.in_turn("vanished-p", lambda: "its")() is None


@pytest.mark.real
def test_what_the_ris_said_to_a_node_that_has_lost_its_turn_raises_no_alert(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut off with the RIS, say: another one polls since then, and it would be told as down, and not polled, for ever."""
    now, told = time.time(), []
    monkeypatch.setattr(Fellowship, "clock", lambda _: now)
    (was, _), (polls, _) = node(shared, "gw1", tmp_path), node(shared, "gw2", tmp_path)
    was.begin(), polls.begin()
    first, then = (n.in_turn("poll-p", lambda: True, lambda: told.append("idle")) for n in (was, polls))
    assert first() and not then()
    now += 2 * LEASE
    assert polls._beat() == 0 and then() and not first() and told == [], "turns may go to and fro"
    now += 3600.0
    assert polls._beat() == 0 and then() and not first() and told == ["idle"]
    assert not first() and told == ["idle"], "once"


@pytest.mark.real
def test_a_copy_of_a_node_is_refused(shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored from a snapshot, say: it failed what lay in the other's outbox, and cleared there what had been pushed."""
    (lives, _), now, beats = node(shared, "gw1", tmp_path), time.time(), list[float]()
    monkeypatch.setattr(Fellowship, "clock", lambda _: now)
    monkeypatch.setattr(nodes, "wait", beats.append)
    lives.begin(), lives.begin()
    joined = lives._fellowship
    assert joined and joined.has_turn("poll", now) and beats == [], "a restart waits for nothing"
    settings = Settings.model_construct(node="gw1", node_lease=LEASE, state_dir=tmp_path / "gw1")
    copy = Nodes(settings, shared.store, Outbox(tmp_path / "copy"))
    monkeypatch.setattr(state_nodes, "address", lambda _: "192.0.2.7")
    monkeypatch.setattr(nodes, "wait", lambda _: joined.beat(now + 1))
    with pytest.raises(Fatal, match=r"node\.taken: a copy of this machine.*node\.id"):
        copy.begin()
    copy.leave()
    assert not Fellowship(shared.database, Node("gw2", "", LEASE)).has_turn("poll", now), "the turns are of who lives"
    monkeypatch.setattr(nodes, "wait", beats.append)
    with capture_logs() as told:
        copy.begin()
    assert told[0]["event"] == "node.waiting" and beats == [LEASE / nodes.COPIES] and joined.elsewhere(now) is None


@pytest.mark.real
def test_a_machine_that_is_called_otherwise_keeps_what_lies_in_its_outbox(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before, store), now = node(shared, "gw1", tmp_path), time.time()
    before.begin()
    came = Pushed(PROJECT, "1.2.9", "1.2.9.1", AccessionNumber("P1"), "PID-P1", "20260101", "CT", "{}")
    assert store.push(came, now=now)
    (key,) = (waiting.key for waiting in store.pushed([PROJECT]))
    (tmp_path / "gw1" / "outbox" / key).mkdir()
    renamed = Store(shared.database, KEY, node="gw9")
    settings = Settings.model_construct(node="gw9", node_lease=LEASE, state_dir=tmp_path / "gw1")
    after = Nodes(settings, renamed, Outbox(tmp_path / "gw1" / "outbox"))
    after.begin()
    monkeypatch.setattr(Fellowship, "clock", lambda _: now + 2 * LEASE)
    assert after._beat() == 1 and after._beat() == 0
    assert [waiting.key for waiting in renamed.pushed([PROJECT])] == [key]


DAY = 86400.0
RIGHT = 1_900_000_000.0  # 2030


@pytest.mark.catalogue("O3")
def test_o3_a_clock_that_was_set_just_now_takes_nothing_for_written_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a start, behind until a time server answers, it took all for that; then all rechecks were due at once, and spent."""
    state = Opened(tmp_path)
    alone, store = node(state, "gw1", tmp_path)
    lived = itertools.count(0.0, 600.0)

    def look(wall: float) -> int:
        monkeypatch.setattr(nodes, "time", SimpleNamespace(time=lambda: wall, monotonic=lambda: next(lived)))
        return alone._wait_anew()

    state.ask("A1", now=RIGHT)
    (claim,) = store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=RIGHT)
    assert store.settle_empty(claim, not_before=RIGHT + 30 * DAY, now=RIGHT)
    assert [look(600.0 * n) for n in range(3)] == [0, 0, 0], "1970, for as long as nobody says what time it is"
    assert look(RIGHT - DAY) == 0
    assert [look(RIGHT + 600.0 * n) for n in range(2)] == [0, 0]
    assert store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=RIGHT + 29 * DAY) == []
    state.ask("A2", now=RIGHT + 365 * DAY)
    assert look(RIGHT + 365 * DAY) == 0
    assert [look(RIGHT + 600.0 * n) for n in range(3)] == [0, 1, 0]
    assert len(store.claim_requests(projects=[PROJECT], limit=2, lease=60, now=RIGHT + DAY)) == 1


@pytest.mark.real
@pytest.mark.catalogue("O3")
def test_o3_nor_does_the_clock_of_a_database_that_is_behind(
    shared: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lives, _), now = node(shared, "gw1", tmp_path), time.time()
    lives.begin()
    shared.ask("A1", now=now - DAY)
    monkeypatch.setattr(Fellowship, "clock", lambda _: now - 365 * DAY)
    assert lives._wait_anew() == lives._wait_anew() == 0
