"""Both steps on the real store, outbox and archive: what the fakes of this folder stand for is still so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.deliver.care import Way
from gateway.deliver.confirm import ConfirmStep
from gateway.deliver.courier import DeliverStep
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route
from gateway.state.rows import Tally
from tests.deliver.clean import clean_bytes, directory_archive
from tests.state.conftest import PROJECT, Opened


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    yield opened
    opened.database.close()


def test_retrieved_to_confirmed(state: Opened, tmp_path: Path) -> None:
    state.ask("SYN-ACC-1")
    request = state.plan("1.2.3.4")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT, "other"], lease=60, now=101.0)
    assert claim is not None
    row, outbox, archive = claim.rows[0], Outbox(tmp_path / "outbox"), directory_archive(tmp_path)
    for number in (1, 2):
        outbox.keep(row.key, f"2.25.1000{number}", [clean_bytes(number)])
    assert state.store.settle_retrieved(row, Tally(2, 2, 0, 0, {}), now=102.0)
    name = archive.sink.name
    way = Way(
        route=Route(PROJECT, name, (name,)), sink=archive.sink, outbox=outbox, count=Metrics(), board=Board(),
        store=Progress(state.database, state.store, outbox, node="gw1"), clock=lambda: 200.0,
    )  # fmt: skip
    deliver, confirm = DeliverStep(way), ConfirmStep(way)
    assert [deliver.step(), deliver.step(), confirm.step(), confirm.step()] == [True, False, True, False]
    assert sorted(archive.visible().values()) == sorted(clean_bytes(n) for n in (1, 2))
    assert outbox.series() == []
    assert [e.event for e in state.views.history(request)][-3:] == ["delivered", "confirmed", "completed"]
