"""A state of schema 1, as the version before held instances left it (`schema1.sql`, made by that version), goes on in this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, text, update

from gateway.errors import Retry
from gateway.state.db import SCHEMA_VERSION, STEPS, Database, schema_version
from gateway.state.rows import Tally
from tests.state.conftest import PROJECT, Opened, counted, emptied, reopened
from tests.support.peers import Postgres

OLD = Path(__file__).with_name("schema1.sql")


def columns(path: Path) -> set[tuple[object, ...]]:
    """(table, column, type, not null) of every column."""
    c = sqlite3.connect(path)
    tables = [name for (name,) in c.execute("select name from sqlite_master where type = 'table'")]
    found: set[tuple[object, ...]] = {
        (t, name, kind, null) for t in tables for _, name, kind, null, *_ in c.execute(f"pragma table_info({t})")
    }
    c.close()
    return found


def rows(path: Path, table: str) -> list[dict[str, object]]:
    c = sqlite3.connect(path)
    c.row_factory = sqlite3.Row
    found = [dict(r) for r in c.execute(f"select * from {table} order by 1")]
    c.close()
    return found


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite"
    c = sqlite3.connect(path)
    c.executescript(OLD.read_text())
    c.close()
    return path


def test_it_is_one_of_schema_1(old: Path) -> None:
    assert rows(old, "schema_version") == [{"version": 1}]
    assert "held" not in rows(old, "series")[0]


def test_every_step_from_the_first_schema_is_there() -> None:
    assert sorted(STEPS) == list(range(2, SCHEMA_VERSION + 1))


def test_brought_up_it_looks_like_a_new_one_and_has_lost_nothing(old: Path, tmp_path: Path) -> None:
    before = {table: rows(old, table) for table in ("request", "series", "asked", "history", "cursor")}
    Database(old).close()
    Database(tmp_path / "new.sqlite").close()
    assert rows(old, "schema_version") == [{"version": SCHEMA_VERSION}]
    assert columns(old) == columns(tmp_path / "new.sqlite")
    for table, kept in before.items():
        more = {"series": {"held": 0, "node": ""}, "request": {"listed": 0, "number_hash": ""}}.get(table, {})
        expected = [{**row, **more} for row in kept]
        assert rows(old, table) == expected, table


def test_columns_that_its_number_says_it_has_are_made_where_it_has_them_not(old: Path, tmp_path: Path) -> None:
    """States of 4 to 7 are without `listed` and `number_hash`, which came while 7 was the schema already."""
    with closing(sqlite3.connect(old)) as c, c:
        c.execute("update schema_version set version = 7")
    Database(old).close()
    Database(tmp_path / "new.sqlite").close()
    assert columns(old) == columns(tmp_path / "new.sqlite")


def test_what_it_holds_is_counted(old: Path) -> None:
    state = Opened(old)
    counts = state.views.counts()
    assert ({**counts.requests}, {**counts.series}) == counted(state.database)
    assert sum(counts.requests.values()) == len(rows(old, "request")) > 0
    state.database.close()


def test_a_second_time_changes_nothing(old: Path) -> None:
    Database(old).close()
    before = rows(old, "series")
    Database(old).close()
    assert rows(old, "series") == before and rows(old, "schema_version") == [{"version": SCHEMA_VERSION}]


def test_what_it_holds_is_worked_on(old: Path) -> None:
    """The seals open, what was planned is retrieved, and may now be held; what failed for its pixels is asked for again."""
    state = Opened(old)
    (claim,) = [state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200)]
    assert claim is not None and (claim.StudyInstanceUID, claim.SeriesInstanceUID) == ("1.2.4", "1.2.3.3")
    held = Tally(expected=3, kept=2, excluded=0, refused=0, reasons={"pixels.burned-in": 1}, held=1)
    assert state.store.settle_retrieved(claim.rows[0], held, now=201)
    assert state.store.held_series() == [claim.rows[0].key]
    (failed,) = state.views.requests(state="failed")
    assert state.store.retry(keys=[failed.key], now=202) == 1
    state.database.close()


def test_killed_half_way_it_is_still_the_old_one(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, 2, f"{STEPS[2]}; no such statement")
    with pytest.raises(Exception, match="state"):
        Database(old)
    assert rows(old, "schema_version") == [{"version": 1}] and "held" not in rows(old, "series")[0]
    monkeypatch.undo()
    Database(old).close()
    assert rows(old, "schema_version") == [{"version": SCHEMA_VERSION}]


@pytest.mark.real
def test_a_step_may_take_longer_than_a_statement_of_every_day(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of millions of rows, say: cut off, it would be begun and cut off again at each start."""
    place = emptied(postgres)
    first = reopened(place)
    with first.write() as c:
        c.execute(update(schema_version).values(version=SCHEMA_VERSION - 1))
    first.close()
    monkeypatch.setitem(STEPS, SCHEMA_VERSION, "SELECT pg_sleep(1)")
    hasty = make_url(place).update_query_dict({"options": "-c statement_timeout=300ms"})
    second = reopened(hasty.render_as_string(hide_password=False))
    with second.read() as c:
        assert c.execute(select(schema_version.c.version)).scalar() == SCHEMA_VERSION
    with pytest.raises(Retry), second.read() as c:
        c.execute(text("SELECT pg_sleep(1)"))
    second.close()
