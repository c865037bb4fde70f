"""What the state must do, said once more and simply: dictionaries, no claims in SQL, no hashes, no time but what is handed in.

It knows nothing of the store's code, only of what the rooms may ask of it; `tests.state.machine_of_rules` plays both side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.state.machine import REQUEST, SERIES

OVER: Final = frozenset({"confirmed", "excluded", "failed", "withdrawn"})
DAY: Final = 86400.0
Name = tuple[str, str]
"""(project, accession number) of a request, (project, SeriesInstanceUID) of a series."""


@dataclass
class Item:
    """A row: its state, when it may be claimed, whose it is (the number of a claim) and until when."""

    state: str
    due: float | None
    owner: int | None = None
    until: float = 0.0

    def free(self, now: float) -> bool:
        return self.due is not None and self.due <= now and (self.owner is None or self.until < now)

    def go(self, table: Mapping[str, Mapping[str, str]], event: str) -> None:
        self.state, self.owner, self.until = table[self.state][event], None, 0.0


@dataclass
class Request(Item):
    """`known`: its accession number is still there, so that it can be asked for again. `young`: once more when it is done."""

    series: list[Name] = field(default_factory=list)
    known: bool = True
    young: bool = False
    fate: str = ""  # of a cancelled one: "withdrawn" or ""; of a failed one: "find" when it never had a plan


@dataclass
class Series(Item):
    expected: int | None = None
    pacs: str = "main"


class Model:
    def __init__(self) -> None:
        self.requests: dict[Name, Request] = {}
        self.series: dict[Name, Series] = {}
        self.barred: set[Name] = set()
        self.set_aside: set[Name] = set()

    # ---- requests

    def add(self, names: Iterable[Name], now: float) -> None:
        for name in names:
            if name in self.barred:
                self.set_aside.add(name)
            else:
                request = self.requests.setdefault(name, Request("new", now))
                again = request.state in ("failed", "cancelled") and request.due is not None
                request.known = request.known or again

    def askable(self, project: str, now: float) -> list[Name]:
        """Requests that may be claimed, in the order in which they are."""
        mine = [
            (r.due, n)
            for n, r in self.requests.items()
            if n[0] == project and r.state in ("new", "empty") and r.free(now)
        ]
        return [name for _, name in sorted(mine, key=lambda one: one[0] or 0.0)]

    def asks(self, series: Name) -> list[Request]:
        return [r for r in self.requests.values() if series in r.series]

    def found(self, name: Name, told: Mapping[str, tuple[bool, int]], now: float) -> None:
        """`told`: SeriesInstanceUID -> kept by the rules, instances."""
        request = self.requests[name]
        before = [self.series[s].state for s in request.series]
        for uid, (keep, instances) in told.items():
            mine = (name[0], uid)
            self._planned(mine, now, keep=keep, instances=instances)
            if mine not in request.series:
                request.series.append(mine)
        states = [self.series[s].state for s in request.series]
        grew = bool(before) and (len(states) > len(before) or states.count("confirmed") < before.count("confirmed"))
        if not set(states) <= OVER:
            request.go(REQUEST, "planned")
        elif "failed" in states:
            request.go(REQUEST, "failed")
        else:
            request.go(REQUEST, "again" if grew else "nothing-left")
        request.young = grew and request.state in ("planned", "new")
        if request.young:
            request.due = now + DAY
        request.known = request.known and request.state != "done"

    def _planned(self, name: Name, now: float, *, keep: bool, instances: int) -> None:
        series = self.series.get(name)
        if series is None:
            self.series[name] = Series("planned" if keep else "excluded", now, expected=instances)
            return
        grown = series.state == "confirmed" and keep and series.expected is not None and instances > series.expected
        event = {("failed", True): "retried", ("excluded", True): "wanted", ("planned", False): "excluded"}.get(
            (series.state, keep), "grown" if grown else None
        )
        if event:
            series.go(SERIES, event)
            series.due, series.expected = now, instances
        if event == "excluded":
            for request in self.asks(name):
                self._close(request)

    def empty(self, name: Name, again: float | None) -> None:
        request = self.requests[name]
        states = {self.series[s].state for s in request.series}
        fetched = bool(states & {"retrieved", "delivered", "held", "confirmed"}) and "failed" not in states
        if not fetched:
            request.go(REQUEST, "empty")
        elif states <= OVER:
            request.go(REQUEST, "nothing-left" if again is None else "again")
        else:
            request.go(REQUEST, "planned")
        request.due, request.young = 0.0 if fetched and again is None else again, fetched and again is not None
        request.known = request.known and request.state != "done"

    def hold(self, name: Name) -> None:
        self.requests[name].go(REQUEST, "held")
        self.requests[name].due = None

    def fail(self, name: Name) -> None:
        self.requests[name].go(REQUEST, "failed")
        self.requests[name].fate = "find"

    def retry(self, names: Iterable[Name], now: float) -> None:
        for name in names:
            request = self.requests[name]
            if "retried" in REQUEST[request.state] and request.known:
                request.go(REQUEST, "retried")
                request.due, request.young, request.fate = now, False, ""

    def cancel(self, name: Name) -> None:
        request = self.requests[name]
        if "cancelled" not in REQUEST[request.state]:
            return
        request.go(REQUEST, "cancelled")
        request.fate = ""
        others = [r for r in self.requests.values() if r is not request and r.state == "planned"]
        for series in request.series:
            if self.series[series].state == "planned" and not any(series in r.series for r in others):
                self.series[series].go(SERIES, "excluded")

    def withdraw(self, name: Name) -> None:
        """The patient of this request, who has no other."""
        self.barred.add(name)
        request = self.requests.get(name)
        if request is None or not request.known:
            return
        others = [r for r in self.requests.values() if r is not request]
        only = [s for s in request.series if not any(s in r.series for r in others)]
        if "cancelled" in REQUEST[request.state]:
            request.go(REQUEST, "cancelled")
            request.fate = "withdrawn"
        request.due, request.known = None, False
        for series in only:
            if self.series[series].state != "withdrawn":
                writing, until = self.series[series].owner, self.series[series].until
                keeps = self.series[series].state in ("retrieved", "delivered")
                self.series[series].go(SERIES, "withdrawn")
                if keeps:
                    self.series[series].owner, self.series[series].until = writing, until
                for asking in self.asks(series):
                    self._close(asking)

    # ---- series

    def step(self, name: Name, event: str, now: float) -> None:
        """A series goes on, and every planned request of which nothing else is under way ends."""
        self.series[name].go(SERIES, event)
        self.series[name].due = 0.0
        if event == "late":
            self.series[name].due = now
            for request in self.asks(name):
                if request.state in ("done", "failed"):
                    request.go(REQUEST, "resumed")
                    request.fate, request.young = "", False
            return
        for request in self.asks(name):
            self._close(request)

    def _close(self, request: Request) -> None:
        """A request that failed for a series which came after all, for another one, ends too."""
        states = {self.series[s].state for s in request.series}
        lost = request.state == "failed" and request.fate != "find"
        if not states <= OVER or not (request.state == "planned" or (lost and "failed" not in states)):
            return
        if lost:
            request.go(REQUEST, "resumed")
            request.young = False
        if "failed" in states:
            request.go(REQUEST, "failed")
        else:
            request.go(REQUEST, "again" if request.young else "completed")
            request.known = request.known and request.state != "done"

    # ---- the balance

    def balance(self, project: str) -> Counter[str]:
        """Part -> requests."""
        return Counter(self._part(r) for (p, _), r in self.requests.items() if p == project)

    def _part(self, r: Request) -> str:
        states = {self.series[s].state for s in r.series}
        if r.state in ("new", "held", "failed"):
            return {"new": "in progress"}.get(r.state, r.state)
        if r.state == "cancelled":
            return "withdrawn" if r.fate == "withdrawn" else "cancelled"
        missing = {"failed"} if r.state == "empty" else set()
        for inside, part in (
            ({"planned", "retrieved", "delivered"}, "in progress"), ({"held"}, "held"), (missing, "failed"),
            ({"confirmed"}, "delivered"),
            ({"failed"}, "failed"), ({"withdrawn"}, "withdrawn"),
        ):  # fmt: skip
            if states & inside:
                return part
        return "empty" if r.state == "empty" else "excluded"
