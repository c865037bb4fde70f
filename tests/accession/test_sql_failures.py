"""A RIS that is down, slow, or not what it was: each told apart, in our own words, on every database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.accession.patience import Limits
from gateway.accession.source import CursorValue
from gateway.accession.sql import SqlSource
from gateway.errors import Retry
from gateway.settings import Ris, Source
from tests.accession.conftest import NOON, QUICK, Hospital, read
from tests.support.peers import PASSWORD, free_port

SLEEP = {
    "postgresql": "select 'SYN' as accession_number from pg_sleep(20)",
    "mariadb": "select concat('SYN', sleep(20)) as accession_number",
    "sqlite": """with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000000)
                 select 'SYN' as accession_number from n where i < 0""",
}


@contextmanager
def after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Does something while the block runs."""
    timer = threading.Timer(seconds, act)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def refusal(source: SqlSource, since: CursorValue | None = None) -> Retry:
    """What a failing read raises; whatever it says, it says it in our own words, without a cause that could be logged."""
    with pytest.raises(Retry) as caught:
        read(source, since)
    err = caught.value
    assert not err.charge
    assert err.__suppress_context__ or err.__context__ is None
    for secret in ("SYN", PASSWORD, "127.0.0.1", "select"):
        assert secret not in str(err)
    return err


# ---- down


def test_a_server_that_is_not_there(server: Hospital) -> None:
    port = str(free_port())
    url = server.url.replace(f":{server.peer.port}/", f":{port}/") if server.peer else ""
    gone = SqlSource(
        Ris(name="ris", url=url, password_file=server.password_file),
        Source(ris="ris", schedule="1m", query="select accession_number from research_view"),
        limits=QUICK,
    )
    assert refusal(gone).reason == "ris.down"


def test_a_log_in_that_is_refused_is_said(server: Hospital, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("SYN-wrong-secret\n")
    wrong.chmod(0o600)
    server.add("SYN1001")
    err = refusal(Hospital(server.kind, server.url, server.admin, wrong).source())
    assert (err.reason, "log-in" in err.detail) == ("ris.down", True)
    missing = refusal(Hospital(server.kind, server.url, server.admin, tmp_path / "none").source())
    assert (missing.reason, "password_file" in missing.detail) == ("ris.down", True)


def test_an_sqlite_file_that_is_not_there_is_not_made(sqlite: Hospital, tmp_path: Path) -> None:
    missing = Hospital("sqlite", f"sqlite:///{tmp_path / 'none.db'}", sqlite.admin)
    assert refusal(missing.source()).reason == "ris.down"
    assert not (tmp_path / "none.db").exists()


@pytest.mark.catalogue("R9")
@pytest.mark.real
def test_a_server_killed_between_two_pages(postgres: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    postgres.build()
    postgres.add(*(f"SYN{n:05d}" for n in range(60_000)))
    rows = postgres.source().rows(None)
    next(rows)
    assert postgres.peer is not None
    postgres.peer.kill()
    try:
        with pytest.raises(Retry) as caught:
            list(rows)
        assert caught.value.reason == "ris.down"
        assert "SYN" not in caplog.text + str(caught.value)
    finally:
        postgres.peer.start()
    assert len(read(postgres.source())) == 60_000


def test_a_server_killed_under_a_query(server: Hospital) -> None:
    server.add("SYN1001")
    assert server.peer is not None
    source = server.source(SLEEP[server.kind], cursor=None, limits=Limits(connect=3, answer=15, grace=1, total=30))
    try:
        with after(0.4, server.peer.kill):
            assert refusal(source).reason == "ris.down"
    finally:
        server.peer.start()
    assert read(server.source()) == ["SYN1001"]


# ---- slow


@pytest.mark.catalogue("R9")
def test_a_locked_table(hospital: Hospital) -> None:
    hospital.add("SYN1001")
    lock = {
        "postgresql": "lock table exam in access exclusive mode",
        "mariadb": "lock tables exam write, research_view write",
        "sqlite": "begin exclusive",
    }
    with hospital.admin.connect() as other:
        other.exec_driver_sql(lock[hospital.kind])
        assert refusal(hospital.source()).reason == "ris.slow"
        if hospital.kind == "mariadb":
            other.exec_driver_sql("unlock tables")
    assert read(hospital.source()) == ["SYN1001"]


@pytest.mark.catalogue("R9")
def test_a_query_that_takes_too_long(hospital: Hospital) -> None:
    assert refusal(hospital.source(SLEEP[hospital.kind], cursor=None)).reason == "ris.slow"


@pytest.mark.catalogue("R9")
def test_a_server_that_hangs(server: Hospital) -> None:
    """It is frozen with the query under way: no time-out of its own can end this wait."""
    assert server.peer is not None
    try:
        with after(0.4, server.peer.freeze):
            assert refusal(server.source(SLEEP[server.kind], cursor=None)).reason == "ris.slow"
    finally:
        server.peer.thaw()


@pytest.mark.real
def test_a_server_that_hangs_between_two_pages_holds_nobody_up(postgres: Hospital) -> None:
    postgres.build()
    postgres.add(*(f"SYN{n:05d}" for n in range(3000)))
    rows = postgres.source().rows(None)
    next(rows)
    assert postgres.peer is not None
    postgres.peer.freeze()
    try:
        begun = time.monotonic()
        rows.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begun < 0.5
    finally:
        postgres.peer.thaw()


# ---- schema


@pytest.mark.catalogue("R10")
def test_a_dropped_column_is_named(hospital: Hospital) -> None:
    hospital.add("SYN1001")
    hospital.do("drop view research_view", "create view research_view as select accession_number, changed_at from exam")
    err = refusal(hospital.source())
    assert err.reason == "ris.schema"
    assert "patient_id" in err.detail
    assert "accession_number, changed_at" in err.detail


def test_a_dropped_view_is_named(hospital: Hospital) -> None:
    hospital.do("drop view research_view")
    err = refusal(hospital.source())
    assert (err.reason, "research_view" in err.detail) == ("ris.schema", True)


@pytest.mark.parametrize(
    ("columns", "missing"), [("patient_id, changed_at", "accession_number"), ("accession_number", "changed_at")]
)
def test_a_result_without_what_we_need(hospital: Hospital, columns: str, missing: str) -> None:
    hospital.add("SYN1001")
    err = refusal(hospital.source(f"select {columns} from research_view where changed_at >= :since"), NOON)
    assert (err.reason, err.detail.endswith(f"no column {missing}")) == ("ris.schema", True)


@pytest.mark.real
def test_a_cursor_column_of_another_type(postgres: Hospital) -> None:
    postgres.build("bigint")
    postgres.add("SYN1001", at=1)
    assert refusal(postgres.source(), NOON).reason == "ris.schema"


def test_a_right_that_was_taken_away(server: Hospital) -> None:
    create = {
        "postgresql": ("drop role if exists poor", f"create role poor login password '{PASSWORD}'"),
        "mariadb": (
            "drop user if exists poor",
            f"create user poor identified by '{PASSWORD}'",
            "grant select on ris.poor_view to poor",
        ),
    }
    server.do("drop table if exists poor_view", "create table poor_view (x int)", *create[server.kind])
    url = server.url.replace("//ris@", "//poor@")
    err = refusal(Hospital(server.kind, url, server.admin, server.password_file).source())
    assert err.reason == "ris.schema"
