"""What a database says of itself, told to a person."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import Fatal, Retry
from gateway.state.db import Database
from tests.state.conftest import Opened, reopened
from tests.support.peers import PASSWORD, Postgres


@pytest.mark.parametrize("half", [b"no database, but text" * 999, None], ids=["none", "cut"])
def test_a_damaged_file_is_named_with_the_mend(tmp_path: Path, half: bytes | None) -> None:
    place = tmp_path / "state.sqlite"
    state = Opened(place)
    state.ask(*(f"A{n}" for n in range(500)))
    state.database.close()
    whole = place.read_bytes()
    place.write_bytes(half or whole[: len(whole) // 2])
    with pytest.raises(Fatal, match=r"state\.sqlite.*damaged.*back-up"):
        _everything(place)


def test_an_empty_file_is_no_new_state(tmp_path: Path) -> None:
    """Such as a back-up that was made on a full disk: everything would be asked for again, who was withdrawn included."""
    place = tmp_path / "state.sqlite"
    place.touch()
    with pytest.raises(Fatal, match=r"state\.sqlite is empty.*back-up"):
        Database(place)
    assert place.stat().st_size == 0


@pytest.mark.parametrize(
    ("trouble", "told"),
    [("max_page_count = 1", "the disk of state_dir is full"), ("query_only = on", "cannot be written: .* chown")],
    ids=["full", "another's"],
)
def test_what_keeps_it_from_writing_is_told_and_not_that_it_does_not_answer(
    tmp_path: Path, trouble: str, told: str
) -> None:
    """Both pass, once somebody has mended them: the daemon goes on by itself."""
    database = Database(tmp_path / "state.sqlite")
    with pytest.raises(Retry, match=rf"^state\.busy: .*{told}"):
        _written(database, f"PRAGMA {trouble}", "INSERT INTO cursor VALUES ('chest', zeroblob(100000))")
    database.close()


def test_an_option_that_the_driver_does_not_know_is_told() -> None:
    """It was a ProgrammingError in the state database, and nothing else."""
    with pytest.raises(Fatal, match="what `database` has behind the") as caught:
        Database("postgresql+psycopg://127.0.0.1:1/state?SECRET=5")
    assert "SECRET" not in str(caught.value)


def _written(database: Database, *statements: str) -> None:
    with database.write() as c:
        for statement in statements:
            c.exec_driver_sql(statement)


def _everything(place: Path) -> None:
    database = Database(place)
    try:
        with database.read() as c:
            c.exec_driver_sql("SELECT sealed, key FROM request ORDER BY reason").all()
    finally:
        database.close()


@pytest.mark.real
def test_a_user_who_may_make_nothing_is_told_what_he_lacks(postgres: Postgres) -> None:
    """The database was made by somebody who kept it: since PostgreSQL 15 nobody else may make a table there."""
    admin = sa.create_engine(postgres.open_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as c:
        c.exec_driver_sql(f"create role guest login password '{PASSWORD}'")
        c.exec_driver_sql("create database another")
    admin.dispose()
    place = sa.make_url(postgres.url).set(username="guest", database="another")
    with pytest.raises(Fatal, match=r"^state\.database: the user that `database` names .* own the database"):
        reopened(place.render_as_string())


@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("53100", "disk of the database server is full: make room"),
        ("25006", "can only be read: .* standby"),
        ("55P03", "state database is held by somebody else"),
        ("40P01", "state database is held by somebody else, such as another node"),
        ("57014", "does not answer$"),
    ],
)
def test_what_postgresql_says_is_told_and_not_that_it_does_not_answer(postgres: Postgres, code: str, told: str) -> None:
    database = reopened(postgres.url)
    with pytest.raises(Retry, match=rf"^state\.busy: the .*{told}"):
        _written(database, f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$")
    database.close()


@pytest.mark.real
def test_a_server_with_no_connection_to_give_is_told(postgres: Postgres) -> None:
    database, admin = reopened(postgres.url), sa.create_engine(postgres.open_url, poolclass=sa.NullPool)
    with admin.begin() as c:
        c.exec_driver_sql(f"create role many login password '{PASSWORD}' connection limit 0")
    admin.dispose()
    with pytest.raises(Retry, match=r"^state\.busy: the database server gives no more connections: .*max_connections"):
        reopened(sa.make_url(postgres.url).set(username="many").render_as_string())
    database.close()


@pytest.mark.real
def test_a_database_that_can_only_be_read_is_not_well(postgres: Postgres) -> None:
    """After a fail-over its address may lead to the standby: `readyz` said that all was well, and nothing got on."""
    state, admin, told = Opened(postgres.url), sa.create_engine(postgres.open_url, poolclass=sa.NullPool), []
    for value in ("off", "on", "off"):
        with admin.begin() as c:
            c.exec_driver_sql("set transaction_read_only = off")
            c.exec_driver_sql(f"alter role ris set default_transaction_read_only = {value}")
        state.database._writer.dispose()  # new connections, as after a fail-over
        told.append(state.store.answers())
    state.database.close()
    admin.dispose()
    assert told == [True, False, True]
