"""A series that is claimed and settled as a whole, whatever its archives are (the daemon: `state.progress`)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, select

from gateway.state import claim, settle
from gateway.state.db import series
from gateway.state.rows import SeriesRow
from gateway.state.settle import At, Step
from gateway.state.store import Store


def claim_row(store: Store, state: str, *, projects: Sequence[str], lease: float, now: float) -> SeriesRow | None:
    """The oldest due series of this node in that state."""
    taken = claim.lease(store._node, lease, now)
    here = and_(series.c.node == store._node, series.c.state == state, series.c.project.in_(projects))
    oldest = select(series).where(here, claim._free(series, now)).order_by(series.c.not_before, series.c.id).limit(1)
    with store._claiming(taken) as c:
        row = c.execute(claim.locked(oldest)).first()
        if row is None:
            return None
        claim._take(c, series, [row.id], taken)
        return claim._series(row, taken.owner)


def release_row(store: Store, row: SeriesRow, *, not_before: float, charge: bool, now: float) -> bool:
    """Given back for later. False: the lease was lost, and somebody else settled it."""
    with store._under(row.owner) as c:
        at = At(series, row.id, row.state, row.owner)
        return settle.release(c, at, Step("retry", now, "r"), until=not_before, charge=charge)
