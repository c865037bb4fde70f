"""What was written while the clock was ahead: it waits as long as was meant, from now on, not until the clock is there again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.engine import Connection

from gateway.state.db import population, progress, request, series

APART: Final = 120.0
"""Seconds: the clocks of nodes may be half of one apart at the start, and then drift."""
LONGEST_REST: Final = 86400.0 + APART
"""Of an archive's row, which does not say when it was written."""
AT_ONCE: Final = 2000
WAITING: Final = ((request, request.c.state.in_(("new", "empty"))), (series, series.c.state == "planned"))
"""Requests by the index of what changed last: there may be a million that only wait to be asked again."""


def wait_anew(c: Connection, now: float) -> int:
    """Of some of them; returns how many, 0: that was all. `now`: epoch seconds, by a clock that is right."""
    rest = (progress.c.not_before > now + LONGEST_REST,)
    total = c.execute(update(progress).where(*rest).values(not_before=now)).rowcount
    for table, waiting in WAITING:
        for mine in _places(c, table.name):
            due = (waiting, *mine, table.c.not_before > now + APART, table.c.updated > now + APART)
            some = select(table.c.id).where(*due).limit(AT_ONCE)
            ids = c.execute(some).scalars().all()  # not in one: PostgreSQL may look for them anew for each row
            later = {"not_before": table.c.not_before - table.c.updated + now, "updated": now}
            still = (table.c.id.in_(ids), table.c.updated > now + APART)
            total += c.execute(update(table).where(*still).values(later)).rowcount
    return total


def _places(c: Connection, subject: str) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Project by project, and PACS by PACS: so there is an index."""
    place = (population.c.project, population.c.pacs)
    for project, pacs in c.execute(select(*place).where(population.c.subject == subject).distinct().order_by(*place)):
        if subject == "series":
            yield series.c.project == project, series.c.pacs == pacs
        else:
            yield (request.c.project == project,)
