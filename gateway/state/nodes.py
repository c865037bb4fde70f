"""The nodes that share a state: who lives, whose turn something is, and what becomes of the files of one that is gone.

What is local to a node is its outbox. A series from `retrieved` to `confirmed`, or held, has its files there (`series.node`), and
only that node delivers it. When the node's lease ends, the others have the series retrieved again; when it comes back, what is
still in its outbox goes the way of late instances (`Store.late`). What was pushed to it waits for it: nobody else can ask for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, func, or_, select, update
from sqlalchemy.engine import Connection

from gateway.errors import Fatal
from gateway.state import claim, settle
from gateway.state.db import insert_new, node, progress, request, series, turn
from gateway.state.settle import At, Step

ORPHANED: Final = ("retrieved", "delivered", "held")
"""States of a series whose files are in one outbox, and nowhere else yet."""
AT_ONCE: Final = 200
GONE: Final = "node.gone"
FROM: Final = "from {name}"
"""No turn, but in their table: the address that a node joined from."""


@dataclass(frozen=True)
class Node:
    """`home`: names its state_dir, so that two machines with one name are noticed. `lease`: seconds without a sign of life."""

    name: str
    home: str
    lease: float


def inherit(c: Connection, me: Node, now: float) -> int:
    """Before `join`: under a name that another state_dir had, what that one had in its outbox is as good as gone.

    Some of it is planned again; returns how many, 0: that was all. It may take minutes, and no transaction does. While one goes
    on, nobody joins under that name, nor comes back: what they retrieve is not gone.
    """
    others = select(node).where(node.c.name == me.name, node.c.home != me.home, over(now, me.lease))
    return plan_again(c, me.name, now) if c.execute(others.with_for_update()).first() else 0


def join(c: Connection, me: Node, now: float) -> None:
    """At start. Raises Fatal("node.taken") while another state_dir lives under this name."""
    new = {"name": me.name, "home": me.home, "lease_until": now + me.lease, "since": now}
    if c.execute(insert_new(c, node).values(new).returning(node.c.name)).first():
        return
    is_over = over(now, me.lease).label("is_over")
    found = c.execute(select(node, is_over).where(node.c.name == me.name).with_for_update()).one()
    if found.home != me.home and not found.is_over:
        raise Fatal(
            "node.taken",
            f"another machine runs as node {me.name!r}: give each its own `node`, or wait {me.lease:.0f} s",
        )
    c.execute(update(node).where(node.c.name == me.name).values({**new, "since": _since(found, me, now)}))


def elsewhere(c: Connection, me: Node, now: float) -> float | None:
    """Until when a life of this very state_dir lasts that joined from another address: of a copy of this machine, or its own."""
    mine = (node.c.name == me.name, node.c.home == me.home, ~over(now, me.lease))
    noted = select(turn.c.owner).where(turn.c.name == FROM.format(name=me.name), turn.c.owner != address(c))
    return c.execute(select(node.c.lease_until).where(*mine, noted.exists())).scalar()


def note_address(c: Connection, me: Node) -> None:
    name = FROM.format(name=me.name)
    c.execute(delete(turn).where(turn.c.name == name))
    c.execute(insert_new(c, turn).values(name=name, owner=address(c), until=0.0))


def address(c: Connection) -> str:
    """Of this machine, as the database sees it."""
    seen = "SELECT coalesce(host(inet_client_addr()), '')" if c.dialect.name == "postgresql" else "SELECT ''"
    return str(c.exec_driver_sql(seen).scalar_one())


def beat(c: Connection, me: Node, now: float) -> bool:
    """A sign of life, also for the turns it has. False: another state_dir has taken the name meanwhile."""
    mine = and_(node.c.name == me.name, node.c.home == me.home)
    found = c.execute(select(node).where(mine).with_for_update()).first()
    if found is None:
        return False
    c.execute(update(node).where(mine).values(lease_until=now + me.lease, since=_since(found, me, now)))
    c.execute(update(turn).where(turn.c.owner == me.name).values(until=now + me.lease))
    return True


def take_turn(c: Connection, name: str, me: Node, now: float) -> bool:
    """Whether it is this node's turn: it has it, or nobody has, or who had it shows no sign of life."""
    c.execute(insert_new(c, turn).values(name=name, owner=me.name, until=now + me.lease))
    dead = select(node.c.name).where(over(now, me.lease))
    free = or_(turn.c.owner == me.name, turn.c.until < now, turn.c.owner.in_(dead))
    taken = update(turn).where(turn.c.name == name, free).values(owner=me.name, until=now + me.lease)
    return c.execute(taken).rowcount == 1


def leave_turns(c: Connection, me: Node) -> None:
    """When it stops: the others need not wait, nor itself, from another address. Those of who has this name by now stay."""
    mine = select(node.c.name).where(node.c.name == me.name, node.c.home == me.home)
    own = or_(turn.c.owner == me.name, turn.c.name == FROM.format(name=me.name))
    c.execute(delete(turn).where(own, mine.exists()))


def take_over(c: Connection, me: Node, now: float) -> int:
    """Some series of nodes that are gone are planned again. Returns how many; 0: that was all. While it goes on, none is back."""
    return next((some for name in _gone(c, me, now) if (some := plan_again(c, name, now))), 0)


def _gone(c: Connection, me: Node, now: float) -> list[str]:
    """Nodes whose lease has ended, locked. None as long as this one has not lived for a lease itself.

    Until then the database may have been away for all of them, and the others have yet to find it back.
    """
    since = c.execute(select(node.c.since).where(node.c.name == me.name, node.c.home == me.home)).scalar()
    if since is None or now - since < me.lease:
        return []
    ended = select(node.c.name).where(over(now, me.lease), node.c.name != me.name)
    return [r.name for r in c.execute(claim.locked(ended.order_by(node.c.name)))]


def over(now: float, slack: float) -> ColumnElement[bool]:
    """Of a node: its lease has ended, or it was given while the database's clock was ahead: who lives has said since when anew."""
    return or_(node.c.lease_until < now, node.c.since > now + slack)


def _since(found: Row[Any], me: Node, now: float) -> float:
    """Now, where it last showed that it lives more than half a lease ago, or the clock was set back since.

    For so long the database may have been away for all: the lease of another, which had shown it a little earlier, may be over.
    """
    return min(found.since, now) if now + me.lease / 2 <= found.lease_until <= now + me.lease else now


def plan_again(c: Connection, name: str, now: float) -> int:
    """Some series of a node that is gone: free, and planned again where a PACS has them. Returns how many; 0: that was all."""
    claim.free_node(c, name)
    lost = and_(series.c.node == name, series.c.state.in_(ORPHANED), series.c.pacs != "", series.c.sealed.is_not(None))
    chosen = select(series.c.id, series.c.state).where(lost).order_by(series.c.id).limit(AT_ONCE)
    rows = c.execute(claim.locked(chosen)).all()
    c.execute(delete(progress).where(progress.c.series_id.in_([r.id for r in rows])))  # every archive begins anew
    fresh = {"attempts": 0, "not_before": now, "node": ""}
    return sum(settle.move(c, At(series, r.id, r.state), Step("orphaned", now, GONE), fresh) for r in rows)


def adopt(c: Connection, name: str) -> int:
    """A state that nobody shares belongs to its node, whatever that was called before, and nobody works on it by that name.

    By each other name that there is: so the index finds them, and what is this node's already costs nothing.
    """
    for table in (request, series, progress):
        mine = table.c.claimed_by.startswith(f"{name}/", autoescape=True)
        c.execute(update(table).where(table.c.claimed_by.is_not(None), ~mine).values(**settle.FREE))
    return sum(
        c.execute(update(series).where(series.c.node == other, _local()).values(node=name)).rowcount
        for other in _names(c) if other != name
    )  # fmt: skip


def former(c: Connection, me: Node, now: float) -> list[str]:
    """What this state_dir was called before, in a state that is shared, where series bear that name still."""
    mine = and_(node.c.home == me.home, node.c.name != me.name, over(now, me.lease))
    left = select(series.c.id).where(series.c.node == node.c.name, _local()).exists()
    return list(c.execute(select(node.c.name).where(mine, left).order_by(node.c.name)).scalars())


def rejoin(c: Connection, me: Node, names: Sequence[str], keys: Sequence[str]) -> int:
    """Of `former` names: series, by key, whose files are in this node's outbox are its own: nobody delivers them by that name."""
    theirs = (series.c.key.in_(keys), series.c.node.in_(names), _local())
    held = (progress.c.claimed_by.is_not(None), progress.c.series_id.in_(select(series.c.id).where(*theirs)))
    c.execute(update(progress).where(*held).values(**settle.FREE))
    return c.execute(update(series).where(*theirs).values(node=me.name)).rowcount


def _local() -> ColumnElement[bool]:
    """Whose files are in one outbox, as far as there are any."""
    return or_(series.c.state.in_(ORPHANED), and_(series.c.state == "planned", series.c.pacs == ""))


def _names(c: Connection) -> Iterator[str]:
    """The names that series have, one look into the index each."""
    least = select(func.min(series.c.node))
    name = c.execute(least).scalar()
    while name is not None:
        yield name
        name = c.execute(least.where(series.c.node > name)).scalar()
