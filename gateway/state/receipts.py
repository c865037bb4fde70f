"""Which instances the archives have confirmed: kept for storage commitment, by keyed hash, once a series has left the outbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.engine import Connection

from gateway.state.db import committed, insert_new, series

ASKED_AT_ONCE: Final = 500
"""Hashes in one statement; SQLite takes 32766."""
SETTLED: Final = ("confirmed", "excluded", "withdrawn")
"""States in which a project has all that it will ever have of a series."""


def note(c: Connection, series_id: int, instances: Iterable[str]) -> None:
    """Once for each, whatever was noted before."""
    rows = [{"instance": bytes.fromhex(i), "series_id": series_id} for i in instances]
    if rows:
        c.execute(insert_new(c, committed), rows)


def has(c: Connection, series_key: str, instance: str) -> bool:
    """Of this series, whatever other projects have yet to get of it."""
    its = select(series.c.id).where(series.c.key == series_key).scalar_subquery()
    there = select(committed.c.instance).where(
        committed.c.series_id == its, committed.c.instance == bytes.fromhex(instance)
    )
    return c.execute(there).first() is not None


def known(c: Connection, instances: Iterable[str]) -> frozenset[str]:
    """Those that every project has in its archives, if it was to have them, and that nobody has withdrawn since."""
    wanted = [bytes.fromhex(i) for i in dict.fromkeys(instances)]
    found: set[str] = set()
    for at in range(0, len(wanted), ASKED_AT_ONCE):
        some = wanted[at : at + ASKED_AT_ONCE]
        other = series.alias()
        same = (other.c.series_hash == series.c.series_hash, other.c.id != series.c.id)
        owed = exists().where(*same, other.c.state.not_in(SETTLED))
        there = (
            select(committed.c.instance)
            .join(series, series.c.id == committed.c.series_id)
            .where(committed.c.instance.in_(some), series.c.state != "withdrawn", ~owed)
        )
        found |= {row.instance.hex() for row in c.execute(there)}
    return frozenset(found)
