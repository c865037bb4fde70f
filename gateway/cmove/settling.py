"""What becomes of a claimed series: settled by its ledger, failed, or given back for later; with its log line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.cmove.limits import Wanted, tally
from gateway.cmove.parts import Ledgers, Planned
from gateway.state.rows import SeriesClaim, SeriesRow, Tally


@dataclass(frozen=True)
class Settling:
    """`clock`: epoch seconds."""

    store: Planned
    outbox: Ledgers
    clock: Callable[[], float]

    def arrived(self, claim: SeriesClaim) -> int:
        """How many instances came, of all its projects."""
        return sum(len(self.outbox.ledger(row.key)) for row in claim.rows)

    def settle(self, claim: SeriesClaim, want: Wanted) -> None:
        """Each project's series by its own ledger, which is complete."""
        for row in claim.rows:
            counted = tally(want, self.outbox.ledger(row.key))
            settled = self.store.settle_retrieved(row, counted, now=self.clock())
            # Failed or excluded: nothing is delivered.
            if settled and (counted.refused or not counted.kept + counted.held):
                self.outbox.clear(row.key)
            _tell(row, counted)

    def release(self, claim: SeriesClaim, reason: str, *, after: float, charge: bool) -> None:
        """Back for later: due in `after` seconds."""
        now = self.clock()
        self.store.release_series(claim, reason=reason, not_before=now + after, charge=charge, now=now)
        log = structlog.get_logger()
        log.warning(
            "series.retry", series=claim.rows[0].key, reason=reason, arrived=self.arrived(claim), charged=charge
        )

    def fail(self, claim: SeriesClaim, reason: str) -> None:
        for row in claim.rows:
            if self.store.fail_series(row, reason=reason, now=self.clock()):
                self.outbox.clear(row.key)
            structlog.get_logger().error("series.failed", series=row.key, reason=reason)


def _tell(row: SeriesRow, counted: Tally) -> None:
    log = structlog.get_logger().bind(
        series=row.key, instances=counted.expected, kept=counted.kept, excluded=counted.excluded,
        refused=counted.refused, held=counted.held,
    )  # fmt: skip
    if counted.refused:
        log.error("series.failed", reason=counted.reason)
    else:
        log.info("series.retrieved")
