"""The store as the confirmation sees it: what it confirms is noted instance by instance."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Outcome
from gateway.state.outbox import Outbox
from gateway.state.rows import SeriesRow
from gateway.state.store import Store


class Receipted:
    """With a series that is confirmed goes which instances were in the outbox.

    They are read when the row is claimed: what comes later may not be among the files that are read back.
    """

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store, self._outbox = store, outbox
        self._claimed: dict[int, list[str]] = {}

    def claim_rows(self, state: str, *, projects: Sequence[str], lease: float, now: float) -> SeriesRow | None:
        row = self._store.claim_rows(state, projects=projects, lease=lease, now=now)
        if row is not None:
            lines = self._outbox.ledger(row.key).values()
            self._claimed = {row.id: [line.instance for line in lines if line.outcome is Outcome.KEPT]}
        return row

    def settle_row(self, row: SeriesRow, event: str, *, reason: str = "", now: float) -> bool:
        instances = self._claimed.get(row.id, []) if event == "confirmed" else []
        return self._store.settle_row(row, event, reason=reason, now=now, instances=instances)

    def release_row(self, row: SeriesRow, *, reason: str, not_before: float, charge: bool, now: float) -> bool:
        return self._store.release_row(row, reason=reason, not_before=not_before, charge=charge, now=now)

    def late(self, series_key: str, *, now: float) -> bool:
        return self._store.late(series_key, now=now)
