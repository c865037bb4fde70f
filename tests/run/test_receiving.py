"""What waits in the outbox, for the bound that pauses the receiver."""

from __future__ import annotations

from pathlib import Path

from gateway.model import LedgerLine, Outcome
from gateway.run.receiving import waiting
from gateway.state.outbox import Outbox
from gateway.state.rows import tally
from tests.state.conftest import PROJECT, Opened


def test_a_series_that_still_comes_does_not_pause_itself(tmp_path: Path) -> None:
    """However much larger than the bound it is: nothing of it leaves before it is whole."""
    state, outbox = Opened(tmp_path), Outbox(tmp_path / "outbox")
    state.ask("AN1")
    state.plan("1.2.3.3")
    claim = state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200)
    assert claim is not None
    (row,) = claim.rows
    stored = outbox.keep(row.key, "2.25.1", [bytes(1000)])
    outbox.note(row.key, LedgerLine("00" * 16, Outcome.KEPT, file=stored.path.name))
    assert outbox.size() == 1000 and waiting(state.store, outbox) == 0
    assert state.store.settle_retrieved(row, tally(outbox.ledger(row.key)), now=201)
    assert waiting(state.store, outbox) == 1000
    outbox.remove(row.key, outbox.files(row.key))
    assert waiting(state.store, outbox) == 0
