"""Back-up and restore of a state in PostgreSQL by the commands of docs/backup.md, with a newer version and a new key in between."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.run.command_line import Place, furnish
from tests.run.test_migrate import pointed
from tests.support.daemon import REPOSITORY
from tests.support.peers import PASSWORD, Postgres
from tests.support.process import HOST, program

pytestmark = pytest.mark.real
PAGE = (REPOSITORY / "docs" / "backup.md").read_text("utf-8")
BEFORE_KEYRINGS = ("drop table keyring", "update schema_version set version = 8")
FILE = "accession_number,patient_id\nSYNACC1,SYNPID1\n"


@pytest.fixture
def peer() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], peer: Postgres, own_process: None) -> Place:
    """A place with a request, whose state is in a database called as the page's."""
    furnish(tmp_path)
    made = Place(tmp_path, capsys)
    _sql(peer, "create role gateway", "create database gateway owner gateway")
    pointed(made, peer)
    made.change(peer.url, _gateway(peer.url))
    (tmp_path / "list.csv").write_text(FILE)
    assert made.say("requests", "add", "--project", "chest", str(tmp_path / "list.csv")).code == 0
    return made


def _gateway(url: str) -> str:
    return url.removesuffix("postgres") + "gateway"


def _sql(peer: Postgres, *statements: str, url: str = "") -> None:
    admin = sa.create_engine(url or peer.open_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as c:
        for statement in statements:
            c.exec_driver_sql(statement)


def _run(place: Place, peer: Postgres, command: str) -> None:
    """A command of the page, at this server."""
    found = re.search(f"`({command} [^`]*)`", PAGE)
    assert found, command
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = f"{Path(program('pg_dump', *folders)).parent}:{os.environ['PATH']}"
    there = {"PGHOST": HOST, "PGPORT": str(peer.port), "PGUSER": "ris", "PGPASSWORD": PASSWORD, "PATH": path}
    subprocess.run(["bash", "-euc", found[1]], check=True, timeout=60, cwd=place.folder, env={**os.environ, **there})


def test_of_an_older_version_beside_the_key_of_then(place: Place, peer: Postgres) -> None:
    """Tables that a newer version has made since would stay, with keys that are sealed under the newer key."""
    key = place.folder / "pseudonym.key"
    old = key.read_bytes()
    _sql(peer, *BEFORE_KEYRINGS, url=_gateway(peer.open_url))
    _run(place, peer, "pg_dump")
    (place.folder / "state").mkdir(exist_ok=True)
    told = place.say("key", "rotate")
    assert told.code == 0 and key.read_bytes() != old, told.err
    _run(place, peer, "dropdb")
    key.write_bytes(old)
    told = place.say("explain", "SYNACC1")
    assert told.code == 0, told.err
