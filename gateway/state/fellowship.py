"""This node among those that share its state, as the daemon sees it. Every call is one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import text

from gateway.state import nodes
from gateway.state.db import Database
from gateway.state.nodes import Node


class Fellowship:
    """Raises Retry("state.busy") when the database does not answer."""

    def __init__(self, database: Database, me: Node) -> None:
        self._db, self.me = database, me

    def inherit(self, now: float) -> None:
        """Before `join`, which wants a time of its own: this may take minutes."""
        inherited = 1
        while inherited:
            with self._db.write() as c:
                inherited = nodes.inherit(c, self.me, now)

    def join(self, now: float) -> None:
        """At start, before anything is claimed. Raises Fatal("node.taken")."""
        with self._db.write() as c:
            nodes.join(c, self.me, now)
            nodes.note_address(c, self.me)

    def elsewhere(self, now: float) -> float | None:
        """Before `join`; see nodes.elsewhere. Another answer later on: somebody lives there."""
        with self._db.read() as c:
            return nodes.elsewhere(c, self.me, now)

    def beat(self, now: float) -> bool:
        """A sign of life. False: another machine has this node's name by now."""
        with self._db.write() as c:
            return nodes.beat(c, self.me, now)

    def has_turn(self, name: str, now: float) -> bool:
        """Of what one node at a time does: whether it is this one's turn."""
        with self._db.write() as c:
            return nodes.take_turn(c, name, self.me, now)

    def leave(self) -> None:
        """At the end: others may do at once what was this node's turn."""
        with self._db.write() as c:
            nodes.leave_turns(c, self.me)

    def clock(self) -> float:
        """What time it is at the database; epoch seconds."""
        with self._db.read() as c:
            return float(c.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def take_over(self, now: float) -> int:
        """Some series of nodes that are gone are planned again. Returns how many; 0: that was all. All may take minutes."""
        with self._db.write() as c:
            return nodes.take_over(c, self.me, now)

    def rejoin(self, outbox: Callable[[], Sequence[str]], now: float) -> int:
        """This node was called otherwise before: what lies in its outbox stays its own. `outbox`: keys of series. How many."""
        with self._db.read() as c:
            names = nodes.former(c, self.me, now)
        keys, total = outbox() if names else (), 0
        for at in range(0, len(keys), nodes.AT_ONCE):
            with self._db.write() as c:
                total += nodes.rejoin(c, self.me, names, keys[at : at + nodes.AT_ONCE])
        return total
