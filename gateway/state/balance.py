"""The balance sheet of a project: what was asked for is delivered, left out by rule, empty, failed, under way, held or called off.

A request is placed by its own state and by the states of its series, and what fits nowhere is `unaccounted`: a sheet that does not
add up shows work that was lost. What was asked is counted on its own. No row of it names anybody: it may leave the hospital.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import case, exists, func, or_, select
from sqlalchemy.engine import Connection

from gateway.model import MENDABLE
from gateway.state import machine, settle
from gateway.state.db import aside, asked, request, series
from gateway.state.withdrawn import REASON as WITHDRAWN

PARTS: Final = ("delivered", "excluded", "empty", "failed", "in progress", "held", "cancelled", "withdrawn")
STEPS: Final = {"planned": "retrieve", "retrieved": "deliver", "delivered": "confirm"}
"""States of series that go on by themselves, the first step first, and how."""
LEFT_OVER: Final = "unaccounted"


@dataclass(frozen=True)
class Balance:
    """Of one project. `parts`: part -> reason -> requests; `series`: state -> reason -> series; `instances`: outcome -> number.

    `set_aside`: reason -> rows of the RIS or of a file that could never become a request; they are not in `asked`.
    """

    project: str
    asked: int
    parts: Mapping[str, Mapping[str, int]]
    unaccounted: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    instances: Mapping[str, int] = field(default_factory=dict)

    def total(self, part: str) -> int:
        return sum(self.parts.get(part, {}).values())

    @property
    def adds_up(self) -> bool:
        return not self.unaccounted and self.asked == sum(map(self.total, PARTS))


def balances(c: Connection) -> list[Balance]:
    """One for each project that anything was asked for, by name."""
    asked_for = {r[0]: r[1] for r in c.execute(select(request.c.project, func.count()).group_by(request.c.project))}
    set_aside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for project, reason, number in c.execute(_odd()):
        set_aside[project][reason] += number
    placed = _placed(dict(row) for row in c.execute(_requests()).mappings())
    by_state, instances = _of_series(c)
    return [
        Balance(
            project=name,
            asked=asked_for.get(name, 0),
            parts={part: dict(placed[name, part]) for part in PARTS},
            unaccounted=dict(placed[name, LEFT_OVER]),
            set_aside=dict(set_aside[name]),
            series={state: dict(by_state[name, state]) for state in machine.SERIES if by_state[name, state]},
            instances=instances.get(name, {}),
        )
        for name in sorted({*asked_for, *set_aside})
    ]


def _odd() -> Any:
    """Rows that are in no request. A bad line of a number that was asked for is in one, as is a row of who was withdrawn later."""
    same = (request.c.accession_hash == aside.c.text_hash) | (request.c.number_hash == aside.c.text_hash)
    there = exists().where(request.c.project == aside.c.project, same)
    alone = or_(aside.c.reason.not_in({WITHDRAWN, *MENDABLE}), ~there)
    return select(aside.c.project, aside.c.reason, func.count()).where(alone).group_by(aside.c.project, aside.c.reason)


@functools.cache
def _requests() -> Any:
    """Requests that are alike, and how many: a row for each project, state, reason and mixture of their series."""
    mine = _mixtures().subquery()
    chosen = (
        request.c.project, request.c.state, request.c.reason, request.c.not_before.is_(None).label("over"),
        *(mine.c[column] for column in (*machine.SERIES, "lost", "rule", "doubt")),
    )  # fmt: skip
    joined = request.outerjoin(mine, mine.c.request_id == request.c.id)
    return select(*chosen, func.count().label("number")).select_from(joined).group_by(*chosen)


def _mixtures() -> Any:
    """For each request: which states its series are in, and one reason of those that failed, are excluded, are held."""

    def reason(state: str) -> Any:
        return func.min(case((series.c.state == state, series.c.reason)))

    there = [func.max(case((series.c.state == state, 1), else_=0)).label(state) for state in machine.SERIES]
    told = (reason("failed").label("lost"), reason("excluded").label("rule"), reason("held").label("doubt"))
    joined = asked.join(series, series.c.id == asked.c.series_id)
    return select(asked.c.request_id, *there, *told).select_from(joined).group_by(asked.c.request_id)


def _placed(rows: Iterable[Mapping[Any, Any]]) -> defaultdict[tuple[str, str], Counter[str]]:
    """(project, part) -> reason -> requests."""
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        part, reason = place(row)
        found[row["project"], part][reason] += row["number"]
    return found


def place(row: Mapping[str, Any]) -> tuple[str, str]:
    """(part, reason) of requests that are alike. What is over for good and what goes on by itself must be seen from the row."""
    state = row["state"]
    going = next((step for at, step in STEPS.items() if row[at]), "")
    if state == "new":
        return "in progress", "find once more" if row["reason"] == settle.YOUNG else "find"
    if state == "held":
        return "held", row["reason"] or "study"
    if state == "cancelled":
        return ("withdrawn", "") if row["reason"] == WITHDRAWN else ("cancelled", row["reason"])
    if state == "failed":
        return "failed", (row["lost"] if row["reason"] == settle.LOST else None) or row["reason"]
    if going:  # a series that two requests share is fetched again for one of them: so it is for the other
        return "in progress", going
    if row["held"]:
        return "held", row["doubt"] or ""
    return (LEFT_OVER, state) if state == "planned" else _ended(state, row)


def why(state: str, reason: str, series_reasons: Mapping[str, str]) -> str:
    """The same of one request; its own reason where no series has one. `series_reasons`: one of those in each state."""
    if state not in ("planned", "done", "failed") and not (state == "empty" and "failed" in series_reasons):
        return reason
    there = {one: one in series_reasons for one in machine.SERIES}
    named = {"lost": "failed", "rule": "excluded", "doubt": "held"}
    row = {name: series_reasons.get(of) for name, of in named.items()} | there
    return place({**row, "state": state, "reason": reason, "over": False})[1] or reason


def _ended(state: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Of a request that is over, or empty: nothing of it is under way or held."""
    # Empty: a part is missing, and asking again has not brought it.
    if row["failed"] and (state == "empty" or not row["confirmed"]):
        return "failed", row["lost"]
    if row["confirmed"]:
        return "delivered", ""
    if row["withdrawn"]:
        return "withdrawn", ""
    if state == "empty":
        return "empty", "final" if row["over"] else "asked again"
    if row["excluded"] or row["reason"] == "select.nothing":
        return "excluded", row["rule"] or row["reason"]
    return LEFT_OVER, state


def _of_series(c: Connection) -> tuple[defaultdict[tuple[str, str], Counter[str]], dict[str, dict[str, int]]]:
    """((project, state) -> reason -> series, project -> outcome -> instances)."""
    outcomes = ("kept", "excluded", "refused", "held")
    numbers = [func.sum(series.c[outcome]) for outcome in outcomes]
    alike = (series.c.project, series.c.state, series.c.reason)
    by_state: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    instances: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for project, state, reason, number, *counted in c.execute(select(*alike, func.count(), *numbers).group_by(*alike)):
        by_state[project, state][reason] += number
        instances[project].update(dict(zip(outcomes, map(int, counted), strict=True)))
    return by_state, {project: dict(found) for project, found in instances.items()}
