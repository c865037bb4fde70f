"""The same questions to a RIS on SQLite, real PostgreSQL and real MariaDB."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from gateway.accession import drivers, sql
from gateway.accession.source import CursorValue
from gateway.accession.sql import SqlSource
from gateway.errors import Fatal, Retry
from gateway.settings import Ris, Source
from tests.accession.conftest import NOON, Hospital, read


def test_rows_come_with_lower_case_names(hospital: Hospital) -> None:
    hospital.add("SYN1001")
    quote = "`" if hospital.kind == "mariadb" else '"'
    query = f"select accession_number as {quote}ACCESSION_Number{quote}, patient_id from research_view"
    (row,) = hospital.source(query, cursor=None).rows(None)
    assert row == {"accession_number": "SYN1001", "patient_id": "SYN-PID-1"}


def test_an_empty_view_is_no_error(hospital: Hospital) -> None:
    assert read(hospital.source()) == []
    assert dict(hospital.source().columns()) == dict.fromkeys(
        ("accession_number", "patient_id", "study_date", "modality", "changed_at"), "no rows"
    )


def test_columns_show_types_and_no_values(hospital: Hospital) -> None:
    hospital.add("SYN1001")
    shown = dict(hospital.source().columns())
    assert shown["accession_number"] == "str"
    assert shown["study_date"] == ("str" if hospital.kind == "sqlite" else "date")
    assert shown["changed_at"] == ("str" if hospital.kind == "sqlite" else "datetime")
    assert "SYN" not in str(shown)


def test_since_is_bound_as_what_the_cursor_is(hospital: Hospital) -> None:
    hospital.add("SYN1", at=NOON - timedelta(hours=1))
    hospital.add("SYN2", at=NOON)
    hospital.add("SYN3", at=NOON + timedelta(microseconds=500))
    source = hospital.source()
    stored: list[Any] = [row["changed_at"] for row in source.rows(None)]
    assert [type(value) for value in stored] == [str if hospital.kind == "sqlite" else datetime] * 3
    assert read(source, sorted(stored)[1]) == ["SYN2", "SYN3"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("bigint", [-5, 0, 7]),
        ("numeric(18, 3)", [1, 2, 3]),
        ("varchar(30)", ["20260503101112", "20260504101112", "20260505101112"]),
        ("date", ["1970-01-01", "2026-05-03", "2026-05-04"]),
    ],
)
def test_the_first_poll_reads_from_the_earliest_of_any_type(
    hospital: Hospital, column: str, values: Sequence[object]
) -> None:
    hospital.build(column)
    for number, value in enumerate(values):
        hospital.add(f"SYN{number}", at=value)
    source = hospital.source()
    assert read(source) == ["SYN0", "SYN1", "SYN2"]
    third = [row["changed_at"] for row in source.rows(None)][2]
    assert isinstance(third, CursorValue)
    assert read(source, third) == ["SYN2"]


@pytest.mark.catalogue("R2")
@pytest.mark.real
def test_times_with_a_zone(postgres: Hospital) -> None:
    postgres.build("timestamp with time zone")
    postgres.add("SYN1", at="2026-05-04 11:00:00+02")
    postgres.add("SYN2", at="2026-05-04 11:00:00+00")
    source = postgres.source()
    assert read(source) == ["SYN1", "SYN2"]
    second = [row["changed_at"] for row in source.rows(None)][1]
    assert isinstance(second, datetime)
    assert second.tzinfo is not None
    assert read(source, second) == ["SYN2"]


@pytest.mark.catalogue("R6")
@pytest.mark.real
@pytest.mark.parametrize("moment", ["date", "timestamp", "timestamp with time zone"])
@pytest.mark.parametrize("odd", ["infinity", "-infinity", "0044-03-15 BC", "20260-05-03"])
def test_a_time_that_is_none_costs_no_other_row_anything(postgres: Hospital, moment: str, odd: str) -> None:
    postgres.build(moment)
    postgres.add("SYN1", "SYN2", at="2026-05-03")
    day = f"case when accession_number = 'SYN2' then '{odd}'::{moment} end as study_date"
    query = f"select accession_number, changed_at, {day} from exam"
    rows = list(postgres.source(f"{query} where changed_at >= :since").rows(None))
    assert [row["study_date"] for row in rows] == [None, None]
    postgres.do(f"update exam set changed_at = '{odd}' where accession_number = 'SYN2'")
    rows = list(postgres.source(query).rows(None))
    assert {row["accession_number"]: row["changed_at"] is None for row in rows} == {"SYN1": False, "SYN2": True}


def test_thousands_of_rows_come_in_pages(hospital: Hospital) -> None:
    hospital.add(*(f"SYN{n:05d}" for n in range(1701)))
    assert len(set(read(hospital.source()))) == 1701


def test_a_reader_that_stops_half_way_leaves_nothing_behind(hospital: Hospital) -> None:
    hospital.add(*(f"SYN{n:05d}" for n in range(3000)))
    rows = hospital.source().rows(None)
    assert next(rows)["accession_number"] == "SYN00000"
    rows.close()  # type: ignore[attr-defined]
    gc.collect()
    hospital.build()  # drops the table: waits for ever where a reader still holds it


@pytest.mark.catalogue("R8")
@pytest.mark.parametrize("text", ["Ä-1001", "1001\u00a0", "日本-1"])
def test_text_beyond_ascii_arrives(hospital: Hospital, text: str) -> None:
    if hospital.kind == "mariadb":
        hospital.do("alter table exam convert to character set utf8mb4")
    hospital.add(text)
    assert read(hospital.source()) == [text]


@pytest.mark.real
def test_a_latin_1_database(postgres: Hospital) -> None:
    with postgres.admin.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        c.exec_driver_sql("create database latin encoding 'LATIN1' locale 'C' template template0")
    url = postgres.url.replace("/postgres", "/latin")
    latin = SqlSource(
        Ris(name="ris", url=url, password_file=postgres.password_file),
        Source(ris="ris", schedule="1m", query="select 'SYN' || chr(228) as accession_number"),
    )
    assert read(latin) == ["SYNä"]


@pytest.mark.catalogue("R8")
def test_broken_text_ends_no_poll(sqlite: Hospital) -> None:
    sqlite.build()
    sqlite.do("insert into exam (accession_number, changed_at) values (cast(x'53594eff' as text), '2026-05-04')")
    sqlite.add("SYN1001")
    assert read(sqlite.source()) == ["SYN\ufffd", "SYN1001"]


@pytest.mark.catalogue("R7")
def test_numbers_come_as_numbers_and_padding_as_padding(hospital: Hospital) -> None:
    hospital.do("insert into exam (accession_number) values ('SYN1')")
    query = "select 12345 as accession_number union all select 12346.5 order by 1"
    assert not any(isinstance(value, str) for value in read(hospital.source(query, cursor=None)))


@pytest.mark.catalogue("R9")
def test_the_session_is_read_only(hospital: Hospital) -> None:
    if hospital.kind == "postgresql":
        hospital.do(
            "create or replace function spoil() returns text language sql as 'delete from exam returning ''x'''"
        )
        query = "select spoil() as accession_number"
    else:
        query = "delete from exam returning accession_number"
    hospital.add("SYN1001")
    with pytest.raises(Retry):
        read(hospital.source(query, cursor=None))
    assert read(hospital.source()) == ["SYN1001"]


# ---- mistakes of the configuration


@pytest.mark.parametrize(
    ("url", "query", "cursor", "reason"),
    [
        ("sqlite:///x.db", "select accession_number from v where day > :day", "changed_at", "ris.query"),
        ("sqlite:///x.db", "select accession_number from v where day > :since", None, "ris.query"),
        ("not a url", "select 1", None, "ris.url"),
        ("nodb://host/db", "select 1", None, "ris.url"),
        ("db2+ibm_db://host/db", "select 1", None, "ris.url"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, query: str, cursor: str | None, reason: str) -> None:
    with pytest.raises(Fatal) as caught:
        SqlSource(Ris.model_construct(name="ris", url=url), Source.model_construct(query=query, cursor=cursor))
    assert caught.value.reason == reason


# ---- other drivers of the same databases


class Called:
    """A type object of psycopg2, which can be called and compares with the number of a type."""

    def __call__(self) -> None: ...

    def __eq__(self, other: object) -> bool:
        return other == 1114

    __hash__ = None  # type: ignore[assignment]


def test_the_earliest_time_where_type_objects_can_be_called() -> None:
    dbapi = SimpleNamespace(NUMBER=23, BINARY=17, DATETIME=Called(), Timestamp=datetime)
    assert sql._earliest(dbapi, 1114) == sql.EARLIEST_DAY
    assert (sql._earliest(dbapi, 1043), sql._earliest(dbapi, None)) == (" ", " ")


@pytest.mark.parametrize("driver", [SimpleNamespace(), None], ids=["pg8000", "lost"])
def test_a_driver_that_shows_no_socket_is_not_cut(driver: object) -> None:
    connection = SimpleNamespace(
        connection=SimpleNamespace(driver_connection=driver), dialect=SimpleNamespace(name="postgresql")
    )
    assert sql._fileno(cast("sa.Connection", connection)) is None


def test_what_a_driver_cannot_read_is_said(sqlite: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """psycopg2 on a date before Christ: a plain ValueError."""

    def strict(_: bytes) -> str:
        raise ValueError("year -43 is out of range")

    sqlite.build()
    sqlite.add("SYN1")
    monkeypatch.setattr(sql, "_lenient", strict)
    with pytest.raises(Retry, match="cast it to text") as caught:
        read(sqlite.source())
    assert caught.value.reason == "ris.schema" and "-43" not in caught.value.detail


def test_a_driver_without_deadlines_is_told(sqlite: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL's connector before 9.2: Unsupported argument 'read_timeout'. Each poll ended in worker.bug."""
    sqlite.build()
    monkeypatch.setattr(drivers, "connect_arguments", lambda *_: {"read_timeout": 1.0})
    with pytest.raises(Retry, match="newer") as caught:
        read(sqlite.source())
    assert caught.value.reason == "ris.driver"


@pytest.mark.parametrize(
    ("driver", "options", "reason"),
    [
        ("mysql+pymysql", "?pool_recycle=5", "ris.driver"),
        ("postgresql+psycopg", "?pool_recycle=5", "ris.driver"),
        ("mysql+pymysql", "?ssl_ca=/there/is/none.pem", "ris.down"),
    ],
)
def test_what_the_url_has_behind_its_question_mark_is_told(driver: str, options: str, reason: str) -> None:
    """pymysql raises TypeError for an argument that it does not know, OSError for a file: no newer driver mends that."""
    ris = Ris(name="ris", url=f"{driver}://reader@127.0.0.1:1/ris{options}")
    source = Source(ris="ris", schedule="5m", query="select accession_number from v")
    with pytest.raises(Retry, match="url") as caught:
        list(SqlSource(ris, source).rows(None))
    assert caught.value.reason == reason and "none.pem" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql+pymysql://h/ris?read_timeout=SECRET", "postgresql+psycopg://h:SECRET/ris"])
def test_what_is_no_number_in_the_url_is_told(url: str) -> None:
    """It was a ValueError with what stood there: a traceback at the start, and of `check`."""
    with pytest.raises(Fatal, match="no number") as caught:
        SqlSource(Ris(name="ris", url=url), Source(ris="ris", schedule="5m", query="select accession_number from v"))
    assert caught.value.reason == "ris.url" and "SECRET" not in str(caught.value)


def test_a_url_as_other_programs_write_it_is_told_as_it_has_to_be() -> None:
    """`postgres://` is what libpq, and most tools, take."""
    with pytest.raises(Fatal, match=r"postgresql\+psycopg://") as caught:
        SqlSource(Ris(name="ris", url="postgres://reader@ris/view"), Source(ris="ris", schedule="5m", query="select 1"))
    assert caught.value.reason == "ris.url"


def test_an_absent_driver_is_named() -> None:
    with pytest.raises(Fatal) as caught:
        SqlSource(
            Ris.model_construct(name="ris", url="oracle+cx_oracle://reader@host/db"),
            Source.model_construct(query="select 1", cursor=None),
        )
    assert caught.value.reason == "ris.driver"
    assert "cx_Oracle" in caught.value.detail


def test_the_fingerprint_follows_the_question(sqlite: Hospital) -> None:
    one = sqlite.source("select  accession_number\nfrom v", cursor=None).fingerprint
    assert one == sqlite.source("select accession_number from v ", cursor=None).fingerprint
    assert one != sqlite.source("select accession_number from w", cursor=None).fingerprint
    assert one != sqlite.source("select accession_number from v", cursor="id").fingerprint
