"""What a retrieval needs of the rest of the daemon."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.cmove.limits import Ledger
from gateway.state.rows import SeriesClaim, SeriesRow, Tally


class Planned(Protocol):
    """What a step needs of the store (state.store.Store)."""

    def claim_series(
        self, *, pacs: str, projects: Sequence[str], lease: float, now: float, only: Collection[str] | None = None
    ) -> SeriesClaim | None: ...

    def extend_series(self, claim: SeriesClaim, *, lease: float, now: float) -> bool: ...

    def settle_retrieved(self, row: SeriesRow, tally: Tally, *, now: float) -> bool: ...

    def fail_series(self, row: SeriesRow, *, reason: str, now: float) -> bool: ...

    def release_series(
        self, claim: SeriesClaim, *, reason: str, not_before: float, charge: bool, now: float
    ) -> bool: ...

    def instance_hash(self, SOPInstanceUID: str) -> str: ...


class Ledgers(Protocol):
    """What a step needs of the outbox."""

    def ledger(self, series: str) -> Ledger: ...

    def clear(self, series: str) -> None: ...


class Count(Protocol):
    """The part of ops.metrics.Count used here."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...

    def set(self, name: str, value: float, **labels: str) -> None: ...


class Board(Protocol):
    """The part of ops.health.Board used here."""

    def up(self, kind: str, name: str, *, now: float) -> None: ...

    def down(self, kind: str, name: str, error: str, *, now: float) -> None: ...

    def success(self, what: str, *, now: float) -> None: ...
