"""The opt-out list: read whole from a real RIS before each poll, each patient told once, and no poll without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.accession.optout import BATCH, COLUMN, OptOut
from gateway.accession.sql import SqlSource
from gateway.errors import GatewayError, Retry
from gateway.settings import Ris, Source


@dataclass
class Desk:
    """Who is withdrawn, batch by batch, and whether the poll came after it."""

    batches: list[list[str]] = field(default_factory=list)
    polled_after: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def opted_out(self, project: str, patients: Sequence[str]) -> int:
        assert project == "chest"
        known = {p for batch in self.batches for p in batch}
        self.batches.append(list(patients))
        return len(set(patients) - known)

    def poll(self) -> str:
        self.polled_after.append(len(self.batches))
        return "polled"

    def failed(self, err: GatewayError) -> None:
        self.failures.append(err.reason)


def opt_out(folder: Path, desk: Desk, *, query: str = "select patient_id from opt_out") -> OptOut:
    source = Source(ris="ris", schedule="1h", query=query)
    ris = Ris(name="ris", url=f"sqlite:///{folder}/ris.sqlite")
    return OptOut("chest", SqlSource(ris, source, column=COLUMN), desk, desk.poll, desk.failed)


@pytest.fixture
def ris(tmp_path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(tmp_path / "ris.sqlite", isolation_level=None)
    made.execute("create table opt_out (patient_id, since text)")
    return made


def test_everybody_on_the_list_once_and_then_the_poll(ris: sqlite3.Connection, tmp_path: Path) -> None:
    rows = [("P1",), (" P2 ",), ("P1",), (None,), ("",), (4711,)]
    ris.executemany("insert into opt_out (patient_id) values (?)", rows)
    desk = Desk()
    assert opt_out(tmp_path, desk).run() == "polled"
    assert desk.batches == [["P1", "P2", "4711"]] and desk.polled_after == [1]
    ris.close()


def test_an_empty_list_is_a_list(ris: sqlite3.Connection, tmp_path: Path) -> None:
    desk = Desk()
    assert opt_out(tmp_path, desk).run() == "polled" and desk.batches == []
    ris.close()


def test_a_long_list_goes_in_batches(ris: sqlite3.Connection, tmp_path: Path) -> None:
    ris.executemany("insert into opt_out (patient_id) values (?)", [(f"P{n}",) for n in range(2 * BATCH + 1)])
    desk = Desk()
    opt_out(tmp_path, desk).run()
    assert [len(batch) for batch in desk.batches] == [BATCH, BATCH, 1]
    ris.close()


@pytest.mark.parametrize("query", ["select patient_id from gone", "select since from opt_out"])
def test_without_the_list_nobody_is_asked_for(ris: sqlite3.Connection, tmp_path: Path, query: str) -> None:
    desk = Desk()
    with pytest.raises(Retry, match=r"ris\.schema"):
        opt_out(tmp_path, desk, query=query).run()
    assert desk.polled_after == [] and desk.failures == ["ris.schema"]
    ris.close()


@pytest.mark.parametrize("value", [b"P3", 4711.5, float("inf")])
def test_a_patient_who_cannot_be_read_ends_the_poll(ris: sqlite3.Connection, tmp_path: Path, value: object) -> None:
    """Passed over, who opted out would be retrieved."""
    ris.executemany("insert into opt_out (patient_id) values (?)", [("P1",), (value,)])
    desk = Desk()
    with pytest.raises(Retry, match=r"ris\.schema.*patient_id.*cast") as caught:
        opt_out(tmp_path, desk).run()
    assert (desk.polled_after, caught.value.charge) == ([], False)
    assert "4711" not in str(caught.value) and "P3" not in str(caught.value)
    ris.close()
