"""What a person changes: on a real SQLite file, and on a real PostgreSQL."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
from sqlalchemy.engine import Connection

from gateway.state import change
from tests.state.conftest import PROJECT, Opened


def test_many_are_asked_again_in_pieces_so_that_nobody_waits_for_all_of_them(
    state: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "AT_ONCE", 2)
    state.ask(*(f"A{n}" for n in range(5)))
    for claim in state.store.claim_requests(projects=[PROJECT], limit=5, lease=60, now=100):
        assert state.store.fail_request(claim, reason="find.failed", now=101)
    begun: list[int] = []
    write = state.database.write

    def counted() -> AbstractContextManager[Connection]:
        begun.append(1)
        return write()

    monkeypatch.setattr(state.database, "write", counted)
    assert state.store.retry(state="failed", now=200) == 5
    assert len(begun) == 4 and state.views.requests(state="failed") == []
