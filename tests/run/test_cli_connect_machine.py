"""`check --connect`: what this machine itself lacks, each with its cause and its mend. No peer is there, and none is needed."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.ops.health import HealthSocket, Vitals
from gateway.ops.httpd import PLAIN, Answer
from gateway.run.commands.options import settings_for
from gateway.run.receivers import listen
from tests.run.command_line import Place, furnish
from tests.support.peers import Postgres

DAEMON = 12345
"""An account that is nobody's."""


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None) -> Place:
    furnish(tmp_path)
    return Place(tmp_path, capsys)


def check(place: Place, what: str) -> dict[str, Any]:
    (found,) = [c for c in place.say("check", "--connect", "--json").json["checks"] if c["what"] == what]
    assert bool(found["mend"]) is not found["ok"]
    return dict(found)


# ---- the query


def test_an_accession_number_that_is_a_number_fails(place: Place) -> None:
    """All of its rows would be set aside, and nothing would come."""
    place.change("select accession_number,", "select 4711 as accession_number,")
    found = check(place, "query")
    assert found["detail"].startswith("accession_number is no text (int)") and "cast" in found["mend"]
    assert not found["unreachable"]


def test_a_patient_id_that_is_a_number_is_well_but_for_zeros(place: Place) -> None:
    place.change(", patient_id from", ", 4711 as patient_id from")
    found = check(place, "query")
    assert found["ok"] and "patient_id: int (a number has no leading zeros" in found["detail"]
    assert "4711" not in str(found)


# ---- the port


def test_the_port_of_a_daemon_that_is_not_ready_is_its_own(place: Place) -> None:
    """Its database was away, and "another program has the port: end it" was said of it."""
    settings = settings_for(place.config)
    unready = Vitals(lambda: True, lambda: {"receiver": True, "database": False}, dict, lambda: Answer(200, PLAIN, b""))
    with closing(listen(settings.receiver)), closing(HealthSocket(settings.health.socket, unready)):
        assert check(place, "port")["detail"] == "our daemon listens on it"


# ---- the folder of the state


@pytest.fixture
def deprived(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Root's own folder of the state, and files are for owners only: the tests may run as root, who may write anywhere."""
    (place.folder / "state").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and not (mode & os.W_OK))
    return place


def test_a_state_that_is_not_there_yet_can_be_made(place: Place) -> None:
    assert check(place, "state")["detail"] == "is not there yet, and can be made"
    assert not (place.folder / "state").exists()


def test_a_state_of_this_account(place: Place) -> None:
    (place.folder / "state").mkdir()
    assert check(place, "state")["detail"] == "can be written"


def test_a_state_of_another_account(deprived: Place) -> None:
    found = check(deprived, "state")
    assert not found["ok"] and not found["unreachable"]
    assert f"{deprived.folder}/state belongs to " in found["detail"] and "may not write there" in found["detail"]
    assert "chown" in found["mend"] and "ReadWritePaths=" in found["mend"]


def test_a_state_that_cannot_be_made(deprived: Place) -> None:
    (deprived.folder / "state").rmdir()
    assert f"{deprived.folder} belongs to " in check(deprived, "state")["detail"]


def test_a_file_of_root_in_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    state = place.folder / "state"
    state.mkdir()
    (state / "state.sqlite").touch()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and Path(path).name != "state.sqlite")
    assert f"{state}/state.sqlite belongs to " in check(place, "state")["detail"]


def test_a_read_only_volume(deprived: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def read_only(path: Path) -> os.statvfs_result:
        values = list(real(path))
        values[8] |= os.ST_RDONLY
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", read_only)
    assert "/state is on a read-only file system" in check(deprived, "state")["detail"]


@pytest.mark.parametrize("below", ["", "/deep"])
def test_what_is_closed_to_this_account_ends_no_check(
    place: Place, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    state = place.folder / "state"
    state.mkdir()
    place.change(f'state_dir = "{state}"', f'state_dir = "{state}{below}"')
    real, access = os.stat, os.access

    def closed(path: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(f"{state}/"):
            raise PermissionError(13, "Permission denied")
        return real(path, **more)

    monkeypatch.setattr(os, "stat", closed)
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and Path(path) != state)
    assert f"{state} belongs to " in check(place, "state")["detail"]


# ---- the port


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "systemctl enable --now pacs-gateway.socket"),
        (errno.EADDRNOTAVAIL, "correct `bind`"),
        (errno.EADDRINUSE, "the socket unit or the daemon"),
    ],
)
def test_a_port_that_cannot_be_had(place: Place, monkeypatch: pytest.MonkeyPatch, number: int, told: str) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", refused)
    found = check(place, "port")
    assert found["detail"].endswith(os.strerror(number)) and told in found["mend"]


def test_an_address_that_is_not_of_this_machine(place: Place) -> None:
    place.change('bind = "127.0.0.1"', 'bind = "192.0.2.1"')
    assert "correct `bind`" in check(place, "port")["mend"]


# ---- the state in PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


def shared(place: Place, server: Postgres, *, database: str = "tried", user: str = "ris") -> None:
    (place.folder / "password").write_text(server.password)
    (place.folder / "password").chmod(0o600)
    url = sa.make_url(server.url).set(database=database, username=user).render_as_string()
    text = place.config.read_text()
    place.config.write_text(f'database = "{url}"\ndatabase_password_file = "{place.folder}/password"\n{text}')


def told(server: Postgres, *statements: str, database: str = "postgres") -> list[Any]:
    """What the last statement answers."""
    engine = sa.create_engine(sa.make_url(server.open_url).set(database=database), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as c:
            done = [c.exec_driver_sql(statement) for statement in statements][-1]
            return [row[0] for row in done] if done.returns_rows else []
    finally:
        engine.dispose()


@pytest.mark.real
def test_the_database_is_tried_and_nothing_made_in_it(place: Place, server: Postgres) -> None:
    """All was well on this page, and the daemon could not start."""
    shared(place, server)
    missing = check(place, "database")
    assert (missing["ok"], missing["unreachable"]) == (False, True) and "is it up" in missing["detail"]
    told(server, "CREATE DATABASE tried")
    found = check(place, "database")
    assert (found["ok"], found["detail"]) == (True, "can be written") and found["name"].endswith("/tried")
    assert told(server, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database="tried") == [0]
    assert server.password not in place.say("check", "--connect").out


@pytest.mark.real
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER ROLE plain SET default_transaction_read_only = on", "can only be read"),
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "may not make tables there"),
        ("CREATE TABLE series (id integer)", "or use them"),
    ],
    ids=["as on a standby", "no right", "a back-up that another user restored"],
)
def test_a_database_that_cannot_be_used_is_told(place: Place, server: Postgres, change: str, said: str) -> None:
    name = f"of_{said.partition(' ')[0]}"
    told(
        server,
        f"CREATE DATABASE {name}",
        "DROP ROLE IF EXISTS plain",
        f"CREATE ROLE plain LOGIN PASSWORD '{server.password}'",
    )
    told(server, "GRANT CREATE ON SCHEMA public TO PUBLIC", change, database=name)
    shared(place, server, database=name, user="plain")
    found = check(place, "database")
    assert not found["ok"] and said in found["detail"]
