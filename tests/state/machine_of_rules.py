"""The store and the model of it, told the same at random: `python -m tests.state.machine_of_rules --count 400 --steps 150`.

After every step both must say the same of every row, of every claim and of the balance. Claims are used again after they were
settled, lost or overtaken; nothing may come of it. At the end willing workers carry everything through: whatever was asked for is
over, by events that the machine allows.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from gateway.state.db import history, request, series
from gateway.state.machine import REQUEST, SERIES
from tests.state.model import DAY, OVER, Name
from tests.state.pair import ACCESSIONS, LEASE, PROJECTS, UIDS, Held, Pair

MANY: Final = 60
"""Rounds in which all that is left is carried through."""
EVENTS: Final = {
    "planned": ("failed",),
    "retrieved": ("delivered", "failed"),
    "delivered": ("confirmed", "lost", "failed"),
}
TOLD = st.dictionaries(st.sampled_from(UIDS), st.tuples(st.booleans(), st.sampled_from((3, 5))), min_size=1)
NAMES = st.tuples(st.sampled_from(PROJECTS), st.sampled_from(ACCESSIONS))
OUTCOMES = st.sampled_from(("kept", "kept", "excluded", "refused", "held"))


class Rules(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.asking: list[Held] = []
        self.working: list[Held] = []

    def _drawn(self, data: st.DataObject, names: list[Name]) -> Name:
        return data.draw(st.sampled_from(sorted(names)))

    @initialize(told=st.lists(TOLD, min_size=3, max_size=3))
    def begin(self, told: list[dict[str, tuple[bool, int]]]) -> None:
        """Hypothesis leaves rules out of some stories: work there must be in every one."""
        for project in PROJECTS:
            self.pair.add(project, ACCESSIONS)
        self.asking += self.pair.claim_requests(5)
        for held, found in zip(self.asking, told, strict=False):
            self.pair.found(held, found)
        self.working += self.pair.claim_series()

    # ---- requests

    @rule(project=st.sampled_from(PROJECTS), accessions=st.lists(st.sampled_from(ACCESSIONS), min_size=1, max_size=4))
    def add(self, project: str, accessions: list[str]) -> None:
        self.pair.add(project, accessions)

    @rule(limit=st.integers(1, 4))
    def claim_requests(self, limit: int) -> None:
        self.asking += self.pair.claim_requests(limit)

    @precondition(lambda self: self.asking)
    @rule(data=st.data(), told=TOLD)
    def found(self, data: st.DataObject, told: dict[str, tuple[bool, int]]) -> None:
        self.pair.found(data.draw(st.sampled_from(self.asking)), told)

    @precondition(lambda self: self.asking)
    @rule(data=st.data(), what=st.sampled_from(("again", "final", "hold", "fail", "later")))
    def not_found(self, data: st.DataObject, what: str) -> None:
        held = data.draw(st.sampled_from(self.asking))
        if what in ("again", "final"):
            self.pair.empty(held, self.pair.now + 100 if what == "again" else None)
        else:
            {"hold": self.pair.hold, "fail": self.pair.fail, "later": self.pair.ask_later}[what](held)

    # ---- series

    @rule()
    def claim_series(self) -> None:
        self.working += self.pair.claim_series()

    @rule(state=st.sampled_from(("retrieved", "delivered")))
    def claim_row(self, state: str) -> None:
        self.working += self.pair.claim_row(state)

    @precondition(lambda self: any(h.row.state == "planned" for h in self.working))
    @rule(data=st.data(), outcome=OUTCOMES)
    def retrieved(self, data: st.DataObject, outcome: str) -> None:
        moved = [h for h in self.working if h.row.state == "planned"]
        self.pair.retrieved(data.draw(st.sampled_from(moved)), outcome)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def carried(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.working))
        self.pair.carried(held, data.draw(st.sampled_from(EVENTS[held.row.state])))

    @precondition(lambda self: self.working)
    @rule(data=st.data(), charge=st.booleans())
    def carry_later(self, data: st.DataObject, charge: bool) -> None:
        self.pair.carry_later(data.draw(st.sampled_from(self.working)), charge=charge)

    @precondition(lambda self: self.pair.model.series)
    @rule(data=st.data(), outcome=OUTCOMES)
    def screened(self, data: st.DataObject, outcome: str) -> None:
        self.pair.screened(self._drawn(data, list(self.pair.model.series)), outcome)

    @precondition(lambda self: self.pair.model.series)
    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        self.pair.late(self._drawn(data, list(self.pair.model.series)))

    @rule(outcome=OUTCOMES)
    def work(self, outcome: str) -> None:
        """Somebody does all of what is due at once."""
        for held in self.pair.claim_series():
            self.pair.retrieved(held, outcome)
        for state, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
            for held in self.pair.claim_row(state):
                self.pair.carried(held, event)

    # ---- people

    @precondition(lambda self: self.pair.model.requests)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        self.pair.retry(data.draw(st.lists(st.sampled_from(sorted(self.pair.model.requests)), min_size=1, unique=True)))

    @rule(project=st.sampled_from(PROJECTS), state=st.sampled_from(("failed", "empty", "cancelled")))
    def retry_all(self, project: str, state: str) -> None:
        self.pair.retry_all(project, state)

    @precondition(lambda self: self.pair.model.requests)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.pair.cancel(self._drawn(data, list(self.pair.model.requests)))

    @precondition(lambda self: self._undecided())
    @rule(data=st.data(), word=st.sampled_from(("accepted", "rejected")))
    def decide(self, data: st.DataObject, word: str) -> None:
        self.pair.decide(self._drawn(data, self._undecided()), word)

    def _undecided(self) -> list[Name]:
        return [n for n, r in self.pair.model.requests.items() if r.state == "held"]

    @rule(name=NAMES)
    def withdraw(self, name: Name) -> None:
        self.pair.withdraw(name)

    # ---- time and crashes

    @rule(seconds=st.sampled_from((1.0, 31.0, LEASE + 1, 101.0, DAY)))
    def time_goes_by(self, seconds: float) -> None:
        self.pair.now += seconds

    @rule()
    def restart(self) -> None:
        self.pair.restart()

    # ---- what must be so

    @invariant()
    def both_say_the_same(self) -> None:
        self.pair.compare()
        self.pair.compare_balances()

    def teardown(self) -> None:
        try:
            carry_through(self.pair)
            check_history(self.pair)
        finally:
            self.pair.close()


def carry_through(pair: Pair) -> None:
    """Workers that do everything right, until nothing is left to do: then everything is over."""
    for _ in range(MANY):
        pair.now += 2 * DAY
        if not one_round(pair):
            break
    pair.compare()
    pair.compare_balances()
    assert {r.state for r in pair.model.requests.values()} <= {"done", "failed", "cancelled", "empty"}
    assert {s.state for s in pair.model.series.values()} <= OVER


def one_round(pair: Pair) -> bool:
    """Whether there was anything to do."""
    for name in [n for n, s in pair.model.series.items() if s.state == "held"]:
        pair.screened(name, "kept")
    for name in [n for n, r in pair.model.requests.items() if r.state == "held"]:
        pair.retry([name])
    claimed = asked = pair.claim_requests(len(PROJECTS) * len(ACCESSIONS))
    for held in asked:
        known = pair.model.requests[held.name].series
        if known:
            pair.found(held, {n[1]: (True, pair.model.series[n].expected or 3) for n in known})
        else:
            pair.empty(held, None)
    while taken := pair.claim_series():
        claimed = claimed + taken
        for held in taken:
            pair.retrieved(held, "kept")
    for state, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        while taken := pair.claim_row(state):
            claimed = claimed + taken
            pair.carried(taken[0], event)
    return bool(claimed)


def check_history(pair: Pair) -> None:
    """Each row went from event to event of its machine, and is where the last of them led."""
    with pair.database.read() as c:
        for table, machine, mine in ((request, REQUEST, history.c.request_id), (series, SERIES, history.c.series_id)):
            for row in c.execute(select(table)).all():
                state = ""
                for line in c.execute(select(history).where(mine == row.id).order_by(history.c.id)).all():
                    assert line.before == state
                    assert line.before in ("", line.after) or machine[line.before][line.event] == line.after
                    state = line.after
                assert row.state == state


def play(count: int, steps: int, *, shrink: bool = True) -> None:
    """Raises AssertionError with a story that shows a difference; `shrink`: with the shortest, which takes its time."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(Rules, settings=settings(
        max_examples=count, stateful_step_count=steps, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=phases,
    ))  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--shrink", action="store_true", help="look for the shortest story")
    words = parser.parse_args()
    play(words.count, words.steps, shrink=words.shrink)
    print(f"{words.count} stories of up to {words.steps} steps: store and model say the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
