"""What fills the outbox and would never leave it while moves pause."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gateway.model import LedgerLine, Outcome
from gateway.run.receiving import begun
from gateway.state.outbox import Outbox
from gateway.state.rows import SeriesClaim, SeriesRow, tally
from tests.state.conftest import PROJECT, Opened


def test_what_moves_have_begun_is_named_while_nothing_leaves_by_itself(tmp_path: Path) -> None:
    state, outbox = Opened(tmp_path), Outbox(tmp_path / "outbox")
    state.ask("AN1")
    state.plan("1.2.3.3", "1.2.3.4", "1.2.3.5")
    large, whole, _ = (_claimed(state) for _ in range(3))
    assert begun(state.views, outbox, {PROJECT}) == frozenset()
    for row in (large, whole):
        stored = outbox.keep(row.key, "2.25.1", [bytes(1000)])
        outbox.note(row.key, LedgerLine("00" * 16, Outcome.KEPT, file=stored.path.name))
    assert begun(state.views, outbox, {PROJECT}) == {large.key, whole.key}
    assert state.store.settle_retrieved(whole, tally(outbox.ledger(whole.key)), now=201)
    assert begun(state.views, outbox, {PROJECT}) == frozenset(), "one of them goes to the archive"
    outbox.remove(whole.key, outbox.files(whole.key))
    assert begun(state.views, outbox, {PROJECT}) == {large.key}
    state.database.close()


def test_what_waits_for_its_project_to_be_configured_again_leaves_nothing_by_itself(tmp_path: Path) -> None:
    """Its files stay: what moves had begun for the others would have been paused for ever."""
    state, outbox = Opened(tmp_path), Outbox(tmp_path / "outbox")
    for project in (PROJECT, "gone"):
        state.ask("AN1", project=project)
        state.plan("1.2.3.3" if project == PROJECT else "1.2.3.4", project=project)
    mine, other = _claimed(state), state.store.claim_series(pacs="main", projects=["gone"], lease=60, now=200)
    assert other is not None
    for row in (mine, *other.rows):
        stored = outbox.keep(row.key, "2.25.1", [bytes(1000)])
        outbox.note(row.key, LedgerLine("00" * 16, Outcome.KEPT, file=stored.path.name))
    assert begun(state.views, outbox, {PROJECT}) == {mine.key}
    assert state.store.settle_retrieved(other.rows[0], tally(outbox.ledger(other.rows[0].key)), now=201)
    assert begun(state.views, outbox, {PROJECT}) == {mine.key}
    assert begun(state.views, outbox, {PROJECT, "gone"}) == frozenset()
    state.database.close()


def test_they_alone_are_claimed(tmp_path: Path) -> None:
    state = Opened(tmp_path)
    state.ask("AN1")
    state.plan("1.2.3.3", "1.2.3.4")
    first, second = (_claimed(state) for _ in range(2))
    state.store.free_node()
    assert _claim(state, only=frozenset()) is None
    claim = _claim(state, only={second.key})
    assert claim is not None and [row.key for row in claim.rows] == [second.key]
    assert _claim(state, only={second.key}) is None and _claimed(state).key == first.key
    state.database.close()


def _claim(state: Opened, only: Collection[str] | None = None) -> SeriesClaim | None:
    return state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=200, only=only)


def _claimed(state: Opened) -> SeriesRow:
    claim = _claim(state)
    assert claim is not None
    return claim.rows[0]
