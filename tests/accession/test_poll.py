"""A poll on three real databases: the cursor with its overlap, twice the same, and every way a RIS can fail in between."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.accession.poll import BATCH
from gateway.accession.source import CursorValue, Row, RowSource
from gateway.errors import GatewayError, Retry
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.state.db import Database
from gateway.state.rows import Added
from gateway.state.store import Store
from tests.accession.conftest import NOON, NOW, QUICK, Begin, Counts, Hospital, MemoryStore


def standing(board: Board) -> dict[str, Any]:
    shown: Any = board.snapshot()
    ris: dict[str, Any] = shown["ris"]["ris"]
    return ris | {"last": shown["last"]["poll"]}


# ---- what goes well


def test_rows_become_requests_and_the_rest_is_set_aside(hospital: Hospital, begin: Begin, store: MemoryStore) -> None:
    hospital.add("SYN1", " SYN2  ", None, "   ", "SYN*", "S" * 65, "SYN1", "SYN\t3", "SYN4")
    added = begin(hospital.source()).run()
    assert sorted(store.known) == ["SYN1", "SYN2", "SYN4"]
    assert sorted(one.reason for one in store.aside) == [
        "accession.blank",
        "accession.control-character",
        "accession.null",
        "accession.too-long",
        "accession.wildcard",
    ]
    assert added == Added(3, 0, 5)
    one = store.known["SYN1"]
    assert (one.project, one.patient_id, one.study_date, one.modality) == ("chest", "SYN-PID-1", "20260503", "CT")


@pytest.mark.catalogue("R4", "R1")
def test_a_second_poll_changes_nothing(hospital: Hospital, begin: Begin, store: MemoryStore) -> None:
    hospital.add("SYN1", "SYN2")
    poll = begin(hospital.source())
    assert poll.run().new == 2
    saved, calls = store.saved, store.calls
    assert poll.run() == Added(0, 2, 0)
    assert (store.saved, store.calls) == (saved, calls + 1)


@pytest.mark.catalogue("R1", "R3")
def test_only_what_is_newer_than_the_overlap_is_read_again(
    hospital: Hospital, begin: Begin, store: MemoryStore
) -> None:
    hospital.add("SYN-old", at=NOON - timedelta(hours=3))
    hospital.add("SYN-edge", at=NOON - timedelta(hours=2))
    hospital.add("SYN-new", at=NOON)
    poll = begin(hospital.source())
    assert poll.run().new == 3
    assert poll.run() == Added(0, 2, 0)
    hospital.add("SYN-newer", at=NOON + timedelta(minutes=1))
    assert poll.run() == Added(1, 2, 0)


@pytest.mark.catalogue("R1")
def test_a_late_commit_is_caught_by_the_overlap(server: Hospital, begin: Begin, store: MemoryStore) -> None:
    """R1: a row dated before the cursor becomes visible after the poll."""
    poll = begin(server.source())
    late = sa.text("insert into exam (accession_number, changed_at) values ('SYN-late', :at)")
    with server.admin.connect() as slow_session:
        slow_session.execute(late, {"at": NOON - timedelta(minutes=5)})
        server.add("SYN-quick", at=NOON)
        poll.run()
        assert sorted(store.known) == ["SYN-quick"]
        slow_session.commit()
    assert poll.run().new == 1
    assert sorted(store.known) == ["SYN-late", "SYN-quick"]


@pytest.mark.catalogue("R3", "R2")
def test_a_row_dated_in_the_future_blocks_nothing(hospital: Hospital, begin: Begin, store: MemoryStore) -> None:
    for at in (NOON, NOON + timedelta(hours=20), NOON.replace(year=2099)):
        hospital.add(f"SYN{at:%Y%m%d%H}", at=at)
    poll = begin(hospital.source())
    assert poll.run().new == 3
    hospital.add("SYN3", at=NOON + timedelta(hours=1))
    assert poll.run().new == 1


@pytest.mark.catalogue("R10")
def test_an_empty_view_is_a_success_without_a_cursor(
    hospital: Hospital, begin: Begin, store: MemoryStore, board: Board
) -> None:
    assert begin(hospital.source()).run() == Added(0, 0, 0)
    assert store.saved is None
    assert standing(board)["up"] is True


def test_another_query_reads_everything_again(hospital: Hospital, begin: Begin) -> None:
    hospital.add("SYN1", at=NOON - timedelta(days=300))
    hospital.add("SYN2", at=NOON)
    query = "select accession_number, changed_at from research_view where changed_at >= :since"
    narrow = hospital.source(f"{query} and accession_number <> 'SYN1'")
    assert begin(narrow).run() == Added(1, 0, 0)
    assert begin(hospital.source(query)).run() == Added(1, 1, 0)


def test_metrics_and_board(hospital: Hospital, begin: Begin, counts: Counts, board: Board) -> None:
    hospital.add("SYN1", at=NOON)
    begin(hospital.source()).run()
    assert counts.seen == {
        ("ris_polls_total", "chest", "ok"): 1,
        ("ris_last_success_timestamp_seconds", "chest"): NOW,
        ("ris_lag_seconds", "chest"): 3600.0,
    }
    assert standing(board)["up"] is True
    assert standing(board)["last"] is not None


def test_while_another_node_polls_nothing_is_told(sqlite: Hospital, begin: Begin, counts: Counts, board: Board) -> None:
    sqlite.build()
    sqlite.add("SYN1", at=NOON)
    poll = begin(sqlite.source())
    poll.run()
    poll.idle()
    assert all(map(math.isnan, (value for (name, *_), value in counts.seen.items() if name != "ris_polls_total")))
    assert board.states("ris") == {} and board.names("ris") == ["ris"]


def test_every_metric_is_declared(sqlite: Hospital, begin: Begin) -> None:
    sqlite.build()
    sqlite.add("SYN1")
    metrics = Metrics()
    replace(begin(sqlite.source()), count=metrics).run()
    assert b'pacs_gateway_ris_polls_total{project="chest",result="ok"} 1.0' in metrics.exposition()


def test_the_real_store_is_idempotent_too(sqlite: Hospital, begin: Begin, tmp_path: Path) -> None:
    sqlite.build()
    sqlite.add(*(f"SYN{n:04d}" for n in range(BATCH + 2)), "SYN*", None)
    database = Database(tmp_path / "state.sqlite")
    real = Store(database, bytes(32), node="gw1")
    poll = replace(begin(sqlite.source()), store=real)
    assert poll.run() == Added(BATCH + 2, 0, 2)
    saved = real.cursor("chest")
    assert poll.run() == Added(0, BATCH + 2, 0)
    assert saved == real.cursor("chest") is not None
    database.close()


# ---- what goes wrong


@pytest.mark.catalogue("R9")
@pytest.mark.real
def test_a_ris_that_dies_half_way_loses_nothing(
    postgres: Hospital, begin: Begin, store: MemoryStore, board: Board, counts: Counts
) -> None:
    postgres.build()
    postgres.add(*(f"SYN{n:05d}" for n in range(40_000)))
    assert postgres.peer is not None
    poll = begin(KilledAfter(postgres.source(), left=BATCH + 1, kill=postgres.peer.kill))
    try:
        with pytest.raises(Retry) as caught:
            poll.run()
        assert caught.value.reason == "ris.down"
        assert BATCH <= len(store.known) < 40_000
        assert store.saved is None
        assert (standing(board)["up"], standing(board)["error"]) == (False, "ris.down")
        with pytest.raises(Retry):
            begin(postgres.source()).run()
    finally:
        postgres.peer.start()
    begin(postgres.source()).run()
    assert len(store.known) == 40_000
    assert store.saved is not None
    assert standing(board)["up"] is True
    assert counts.seen[("ris_polls_total", "chest", "failed")] == 2
    assert counts.seen[("ris_polls_total", "chest", "ok")] == 1


@dataclass
class KilledAfter:
    """A source whose server is killed when `left` rows have come."""

    source: RowSource
    left: int
    kill: Callable[[], None]

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def rows(self, since: CursorValue | None) -> Iterator[Row]:
        for row in self.source.rows(since):
            self.left -= 1
            if self.left == 0:
                self.kill()
            yield row


@pytest.mark.catalogue("R10")
def test_a_changed_schema_is_an_error_state_that_mends(
    hospital: Hospital, begin: Begin, store: MemoryStore, board: Board
) -> None:
    hospital.add("SYN1")
    poll = begin(hospital.source())
    poll.run()
    saved = store.saved
    hospital.do("drop view research_view")
    with pytest.raises(Retry) as caught:
        poll.run()
    assert (caught.value.reason, standing(board)["error"], store.saved) == ("ris.schema", "ris.schema", saved)
    hospital.do("create view research_view as select * from exam")
    hospital.add("SYN2")
    assert poll.run() == Added(1, 1, 0)


def test_a_store_that_is_busy_is_not_the_fault_of_the_ris(
    hospital: Hospital, begin: Begin, board: Board, counts: Counts
) -> None:
    hospital.add("SYN1")
    poll = begin(hospital.source())
    with pytest.raises(Retry) as caught:
        replace(poll, store=BusyStore()).run()
    assert caught.value.reason == "state.busy"
    assert standing(board)["up"] is None
    assert counts.seen == {("ris_polls_total", "chest", "failed"): 1}
    assert poll.run().new == 1


class BusyStore(MemoryStore):
    def add_requests(self, *_args: object, **_named: object) -> Added:
        raise Retry("state.busy", charge=False)


def test_a_daemon_that_stops_waits_for_no_poll(
    hospital: Hospital, begin: Begin, store: MemoryStore, board: Board
) -> None:
    hospital.add(*(f"SYN{n:04d}" for n in range(3 * BATCH)))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Retry) as caught:
        replace(begin(hospital.source()), stop=stop).run()
    assert caught.value.reason == "poll.stopped"
    assert (store.saved, standing(board)["up"]) == (None, None)


@pytest.mark.catalogue("R9")
def test_a_poll_as_a_whole_has_a_deadline(hospital: Hospital, begin: Begin) -> None:
    hospital.add("SYN1")
    with pytest.raises(Retry) as caught:
        begin(hospital.source(limits=replace(QUICK, total=0.0))).run()  # MariaDB: 0 is no limit of its own
    assert caught.value.reason == "ris.slow"


def test_a_cursor_column_that_is_missing_in_the_result(hospital: Hospital, begin: Begin) -> None:
    hospital.add("SYN1")
    query = "select accession_number from research_view where changed_at >= :since"
    with pytest.raises(Retry) as caught:
        begin(hospital.source(query)).run()
    assert caught.value.reason == "ris.schema"


def test_nothing_that_identifies_is_logged_or_raised(
    hospital: Hospital, begin: Begin, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    hospital.add("SYN1001", "SYN*", patient_id="SYN-PID-77")
    poll = begin(hospital.source())
    poll.run()
    hospital.do("drop view research_view", "create view research_view as select accession_number from exam")
    with pytest.raises(GatewayError) as caught:
        poll.run()
    out = capsys.readouterr()
    for text in (caplog.text, out.out, out.err, str(caught.value), repr(caught.value)):
        assert "SYN" not in text
    assert "poll.added" in out.out
