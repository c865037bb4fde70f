"""`migrate --from-sqlite`: a state with all that may be in it goes to a real PostgreSQL, and goes on there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.run import migration
from gateway.run.commands.options import settings_for
from gateway.run.locking import lock_state
from gateway.run.opening import open_state
from gateway.state import db
from gateway.state.rows import Tally
from tests.run.command_line import Place
from tests.state.conftest import plan
from tests.support.carried import claim_row
from tests.support.peers import PASSWORD, Postgres

pytestmark = pytest.mark.real
ACCESSIONS = [f"SYNACC{n:04d}" for n in range(5)]
OURS = {"schema_version", "node", "turn", "population"}


@pytest.fixture(scope="module")
def peer() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


@pytest.fixture
def filled(place: Place) -> Place:
    """Requests in several states, a planned, a retrieved and a confirmed series, rows set aside, a cursor, a ring of keys."""
    csv = place.folder / "list.csv"
    csv.write_text("accession_number;patient_id\n" + "".join(f"{a};SYNPATIENT{a}\n" for a in ACCESSIONS) + "BAD*1;\n")
    place.say("requests", "add", "--project", "chest", str(csv))
    state = open_state(settings_for(place.config))
    store = state.store
    for n, claim in enumerate(store.claim_requests(projects=["chest"], limit=3, lease=60, now=2e9)):
        assert store.settle_found(claim, plan(f"1.2.3.{n}"), now=2e9)
    for _ in range(2):
        taken = store.claim_series(pacs="main", projects=["chest"], lease=60, now=2e9)
        assert taken is not None
        assert store.settle_retrieved(taken.rows[0], Tally(3, 3, 0, 0, {}), now=2e9)
    row = claim_row(store, "retrieved", projects=["chest"], lease=60, now=2e9)
    assert row is not None
    assert store.settle_row(row, "delivered", now=2e9)
    store.add_requests((), (), project="chest", cursor="2026-01-01", now=2e9)
    state.close()
    assert place.say("key", "rotate").code == 0
    return place


def pointed(place: Place, peer: Postgres) -> None:
    """The configuration names the server; what was in it is gone."""
    admin = sa.create_engine(peer.open_url, poolclass=sa.NullPool)
    with admin.begin() as c:
        c.exec_driver_sql("drop schema public cascade")
        c.exec_driver_sql("create schema public")
    admin.dispose()
    secret = place.folder / "database.password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    lines = f'database = "{peer.url}"\ndatabase_password_file = "{secret}"\n'
    place.config.write_text(lines + place.config.read_text())


def rows(place: Place | Path) -> dict[str, list[tuple[object, ...]]]:
    if isinstance(place, Path):
        database = db.Database(place)
    else:
        settings = settings_for(place.config)
        database = db.Database(settings.database, lambda: PASSWORD)
    try:
        with database.read() as c:
            return {
                t.name: sorted((tuple(r) for r in c.execute(sa.select(t))), key=repr)
                for t in db.metadata.sorted_tables
                if t.name not in OURS
            }
    finally:
        database.close()


def test_everything_is_there_and_goes_on(filled: Place, peer: Postgres) -> None:
    before = rows(filled.folder / "state" / "state.sqlite")
    told_before = filled.say("explain", ACCESSIONS[0], "--json").json
    assert all(before[name] for name in ("request", "series", "asked", "history", "aside", "cursor", "keyring"))
    pointed(filled, peer)
    told = filled.say("migrate", "--from-sqlite")
    assert told.code == 0, told.err
    assert rows(filled) == before
    assert filled.say("explain", ACCESSIONS[0], "--json").json == told_before
    assert {p.name for p in (filled.folder / "state").glob("state.sqlite*")} == {"state.sqlite.moved"}
    csv = filled.folder / "more.csv"
    csv.write_text("accession_number\nSYNACC9999\n")
    assert filled.say("requests", "add", "--project", "chest", str(csv)).code == 0, (
        "numbers go on after those that came"
    )
    state = open_state(settings_for(filled.config))
    assert claim_row(state.store, "retrieved", projects=["chest"], lease=60, now=3e9) is not None
    state.close()


def test_nobody_works_on_it_by_a_former_name(filled: Place, peer: Postgres) -> None:
    """The node is given its name with the database; what the host had claimed waited for as long as a claim lasts."""
    with closing(db.Database(filled.folder / "state" / "state.sqlite")) as before, before.write() as c:
        c.execute(sa.update(db.series).values(claimed_by="host/1", lease_until=9e9))
    pointed(filled, peer)
    assert filled.say("migrate", "--from-sqlite").code == 0
    settings = settings_for(filled.config)
    with closing(db.Database(settings.database, lambda: PASSWORD)) as after, after.read() as c:
        assert set(c.execute(sa.select(db.series.c.claimed_by)).scalars()) == {None}


def test_what_holds_a_state_is_not_filled(filled: Place, peer: Postgres) -> None:
    sqlite = filled.folder / "state" / "state.sqlite"
    before = rows(sqlite)
    pointed(filled, peer)
    csv = filled.folder / "more.csv"
    csv.write_text("accession_number\nSYNACC9999\n")
    assert filled.say("requests", "add", "--project", "chest", str(csv)).code == 0
    told = filled.say("migrate", "--from-sqlite")
    assert (told.code, "holds a state already" in told.err) == (1, True)
    assert rows(sqlite) == before
    assert len(rows(filled)["request"]) == 1


def test_after_a_crash_between_the_last_row_and_the_renaming_the_mend_is_said(
    filled: Place, peer: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointed(filled, peer)
    with monkeypatch.context() as killed:
        killed.setattr(migration, "_set_aside", full_disk)
        assert filled.say("migrate", "--from-sqlite").code == 1
    told = filled.say("migrate", "--from-sqlite")
    assert told.code == 1 and "rename state.sqlite to state.sqlite.moved" in told.err


def full_disk(_: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_not_while_the_daemon_runs(filled: Place, peer: Postgres) -> None:
    pointed(filled, peer)
    with lock_state(settings_for(filled.config)):
        told = filled.say("migrate", "--from-sqlite")
    assert (told.code, "another pacs-gateway runs" in told.err) == (1, True)
    assert (filled.folder / "state" / "state.sqlite").exists()


def test_not_with_another_key(filled: Place, peer: Postgres) -> None:
    pointed(filled, peer)
    (filled.folder / "pseudonym.key").write_bytes(bytes(32))
    told = filled.say("migrate", "--from-sqlite")
    assert (told.code, "another key" in told.err) == (1, True)
    assert not any(rows(filled).values())


def test_not_into_sqlite(filled: Place) -> None:
    told = filled.say("migrate", "--from-sqlite")
    assert (told.code, "that is where the state goes" in told.err) == (2, True)


def test_a_server_that_is_away_is_told_with_exit_code_3(filled: Place, peer: Postgres) -> None:
    pointed(filled, peer)
    peer.kill()
    try:
        for words in (["migrate", "--from-sqlite"], ["requests", "list"]):
            told = filled.say(*words)
            assert (told.code, "state.unreachable" in told.err) == (3, True), told.err
    finally:
        peer.start()
    assert (filled.folder / "state" / "state.sqlite").exists()


def test_a_look_at_the_new_database_first_fills_nothing(filled: Place, peer: Postgres) -> None:
    """Somebody sees to it that the server is reached, before anything is moved there."""
    before = rows(filled.folder / "state" / "state.sqlite")
    pointed(filled, peer)
    for words in (["check"], ["requests", "list"], ["migrate"]):
        assert filled.say(*words).code == 0
    told = filled.say("migrate", "--from-sqlite")
    assert told.code == 0, told.err
    assert rows(filled) == before


def test_not_while_another_command_uses_it(filled: Place, peer: Postgres) -> None:
    """A long `requests add`, say, would write the rest into what was set aside."""
    with closing(open_state(settings_for(filled.config))):
        pointed(filled, peer)
        told = filled.say("migrate", "--from-sqlite")
    assert (told.code, "another command uses the state" in told.err) == (1, True)
    assert (filled.folder / "state" / "state.sqlite").exists()
