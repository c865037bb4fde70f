"""Which instances the archives have confirmed: kept for storage commitment, by keyed hash, once a series has left the outbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from gateway.state.db import committed, insert_new, series

ASKED_AT_ONCE: Final = 500
"""Hashes in one statement; SQLite takes 32766."""


def note(c: Connection, series_id: int, instances: Iterable[str]) -> None:
    """Once for each, whatever was noted before."""
    rows = [{"instance": bytes.fromhex(i), "series_id": series_id} for i in instances]
    if rows:
        c.execute(insert_new(c, committed), rows)


def known(c: Connection, instances: Iterable[str]) -> frozenset[str]:
    """Those that some archive has confirmed, and that nobody has withdrawn since."""
    wanted = [bytes.fromhex(i) for i in dict.fromkeys(instances)]
    found: set[str] = set()
    for at in range(0, len(wanted), ASKED_AT_ONCE):
        some = wanted[at : at + ASKED_AT_ONCE]
        there = (
            select(committed.c.instance)
            .join(series, series.c.id == committed.c.series_id)
            .where(committed.c.instance.in_(some), series.c.state != "withdrawn")
        )
        found |= {row.instance.hex() for row in c.execute(there)}
    return frozenset(found)
