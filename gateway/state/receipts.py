"""Which instances the archives have confirmed: kept for storage commitment, by keyed hash, once a series has left the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import and_, delete, exists, select
from sqlalchemy.engine import Connection

from gateway.state.db import committed, insert_new, series

ASKED_AT_ONCE: Final = 500
"""Hashes in one statement; SQLite takes 32766."""
READ_AT_ONCE: Final = 200_000
"""Receipts in one transaction."""
FORGOTTEN_AT_ONCE: Final = 10_000
"""Series in one statement."""
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


def of_withdrawn(c: Connection, since: float) -> list[list[int]]:
    """Numbers of series withdrawn at or after `since`, some at a time, whose receipts are to be forgotten."""
    gone = select(series.c.id).where(series.c.state == "withdrawn", series.c.updated >= since)
    ids = c.execute(gone.order_by(series.c.id)).scalars().all()
    return [list(ids[at : at + FORGOTTEN_AT_ONCE]) for at in range(0, len(ids), FORGOTTEN_AT_ONCE)]


def forget(c: Connection, series_ids: Sequence[int], *, after: bytes) -> bytes | None:
    """Of some receipts, by instance, those of these series. The last that was looked at; None: that was all.

    There is no index for it: there may be hundreds of millions, of which few ever go. Nor a question within the question, which
    PostgreSQL may ask for each of them.
    """
    here = committed.c.instance > after
    last: bytes | None = c.execute(
        select(committed.c.instance).where(here).order_by(committed.c.instance).offset(READ_AT_ONCE).limit(1)
    ).scalar()
    if last is not None:
        here = and_(here, committed.c.instance <= last)
    c.execute(delete(committed).where(here, committed.c.series_id.in_(series_ids)))
    return last


def elsewhere(c: Connection, series_key: str, instances: Iterable[str], *, node: str) -> frozenset[str]:
    """Of these, what another node than this one has in all archives of a series that is confirmed."""
    wanted = [bytes.fromhex(i) for i in instances]
    theirs = (series.c.key == series_key, series.c.state == "confirmed", series.c.node != node)
    there = select(committed.c.instance).join(series, series.c.id == committed.c.series_id).where(*theirs)
    pieces = (wanted[at : at + ASKED_AT_ONCE] for at in range(0, len(wanted), ASKED_AT_ONCE))
    return frozenset(
        r.instance.hex() for some in pieces for r in c.execute(there.where(committed.c.instance.in_(some)))
    )


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
