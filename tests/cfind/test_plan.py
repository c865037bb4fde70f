"""FindStep: one bad accession number delays no other, a PACS that is down costs none of them an attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gateway.cfind.evidence import Look
from gateway.cfind.plan import BATCH_SECONDS, FindProject, FindStep
from gateway.cfind.select import CompiledSelect, Found
from gateway.dicom.patience import MAX_ATTEMPTS
from gateway.errors import Fatal, Refused, Retry
from gateway.model import AccessionNumber, Candidate, FoundSeries, FoundStudy, Plan, Wanted
from gateway.ops.health import Board
from gateway.rules import SelectionRule
from gateway.state.db import Database
from gateway.state.rows import RequestClaim
from gateway.state.store import Store
from gateway.state.views import Views

DOWN = Retry("pacs.unreachable", charge=False)
SILENT = Retry("find.timeout", charge=False)
ODD = Retry("find.unable")
EMPTY = Found()


def found(uid: str = "1.1") -> Found:
    return Found(
        (FoundStudy(uid, {"ModalitiesInStudy": ["CT"]}, (FoundSeries(uid, f"{uid}.1", {"Modality": "CT"}, 3),)),)
    )


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Answers:
    """A Finder that says what it was told to; an exception is raised."""

    def __init__(self, answers: Mapping[str, Found | Exception], otherwise: Found | Exception = EMPTY) -> None:
        self.answers, self.otherwise = dict(answers), otherwise
        self.asked: list[str] = []
        self.closed = 0

    def find(self, accession: AccessionNumber, *, ris: Wanted | None, look: Look, beat: Callable[[], object]) -> Found:
        beat()
        self.asked.append(accession.value)
        answer = self.answers.get(accession.value, self.otherwise)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def prove(self, *, ris: Wanted | None, beat: Callable[[], object]) -> None:
        beat()

    def close(self) -> None:
        self.closed += 1


class Requests:
    """A store that hands out what it is given and remembers what became of it."""

    def __init__(self, *accessions: str, attempts: int = 0, empties: int = 0) -> None:
        self.waiting = [
            RequestClaim(n, f"R-{a}", "p", AccessionNumber(a), "", "", "", attempts, empties, "new", "me")
            for n, a in enumerate(accessions)
        ]
        self.said: dict[str, tuple[object, ...]] = {}
        self.plans: dict[str, Plan] = {}

    def claim_requests(self, *, projects: Sequence[str], limit: int, lease: float, now: float) -> list[RequestClaim]:
        assert projects == ["p"]
        assert lease > BATCH_SECONDS
        claims, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return claims

    def settle_found(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool:
        self.plans[claim.key] = plan
        return self._say(claim, "found")

    def settle_empty(
        self, claim: RequestClaim, *, not_before: float | None, left: Sequence[Candidate] = (), now: float
    ) -> bool:
        return self._say(claim, "empty", None if not_before is None else not_before - now)

    def hold_request(self, claim: RequestClaim, plan: Plan, *, now: float) -> bool:
        self.plans[claim.key] = plan
        return self._say(claim, "held", plan.doubt)

    def study_hash(self, StudyInstanceUID: str) -> str:
        return f"hash of {StudyInstanceUID}"

    def fail_request(self, claim: RequestClaim, *, reason: str, now: float) -> bool:
        return self._say(claim, "failed", reason)

    def release_request(self, claim: RequestClaim, *, reason: str, not_before: float, charge: bool, now: float) -> bool:
        assert not_before >= now
        self.waits = not_before - now
        return self._say(claim, "released", reason, charge)

    def _say(self, claim: RequestClaim, *what: object) -> bool:
        self.said[claim.key] = what
        return True


def step(store: Requests, *finders: Answers, board: Board | None = None, clock: Clock | None = None) -> FindStep:
    names = [f"pacs{n}" for n in range(len(finders))]
    project = FindProject("p", tuple(names), CompiledSelect(), recheck=(60.0, 600.0))
    return FindStep(
        store=store, finders=dict(zip(names, finders, strict=True)), projects=[project], board=board or Board(),
        clock=clock or Clock(),
    )  # fmt: skip


def test_a_mistake_of_ours_costs_one_request_and_stops_no_other(tmp_path: Path) -> None:
    """Whatever it is, it comes with the same request each time, which is the oldest then and would be the first of every batch."""
    database, clock = Database(tmp_path / "state.sqlite"), Clock()
    store, views = Store(database, bytes(32), node="gw1"), Views(database, bytes(32))
    numbers = ["OK1", "BAD", "OK2", "OK3"]
    for number in numbers:
        wanted = Wanted("p", AccessionNumber(number))
        store.add_requests([wanted], (), project="p", cursor=None, now=clock.now)
    finder = Answers({"BAD": ZeroDivisionError()}, otherwise=found())
    project = FindProject("p", ("main",), CompiledSelect())
    looks = FindStep(store=store, finders={"main": finder}, projects=[project], board=Board(), clock=clock)
    for attempt in range(MAX_ATTEMPTS):
        clock.now += 24 * 3600
        with pytest.raises(ZeroDivisionError):
            looks.step()
        looks.step()
        states = {number: views.by_accession(number)[0] for number in numbers}
        assert {states[number].state for number in numbers if number != "BAD"} == {"planned"}
        assert states["BAD"].attempts == attempt + 1 or attempt + 1 == MAX_ATTEMPTS
    assert (states["BAD"].state, states["BAD"].reason) == ("failed", "find.internal")
    database.close()


def test_what_the_daemon_cannot_go_on_with_is_no_fault_of_a_request() -> None:
    store = Requests("A", "B")
    with pytest.raises(Fatal):
        step(store, Answers({"A": Fatal("state.database", "not ours")})).step()
    assert store.said == {}


def test_nothing_due() -> None:
    answers = Answers({})
    assert not step(Requests(), answers).step()
    assert answers.asked == []


@pytest.mark.catalogue("A6")
def test_found_empty_and_failed_each_by_itself() -> None:
    store, board = Requests("A", "B", "C", "D"), Board()
    answers = Answers({"A": found(), "B": ODD, "D": Refused("accession.odd")})
    assert step(store, answers, board=board).step()
    assert store.said == {
        "R-A": ("found",), "R-B": ("released", "find.unable", True), "R-C": ("empty", 60.0), "R-D": ("failed", "accession.odd"),
    }  # fmt: skip
    assert answers.asked == ["A", "B", "C", "D"]
    assert answers.closed == 1, "no idle association is left behind"
    assert board.states("pacs") == {"pacs0": True}


@pytest.mark.catalogue("F4", "R14", "O2")
@pytest.mark.parametrize(("empties", "again"), [(0, 60.0), (1, 600.0), (2, None)])
def test_f4_empty_answers_are_asked_again_on_a_widening_schedule(empties: int, again: float | None) -> None:
    store = Requests("A", empties=empties)
    step(store, Answers({})).step()
    assert store.said["R-A"] == ("empty", again)


@pytest.mark.catalogue("F4")
def test_a_study_without_series_is_an_empty_answer() -> None:
    store = Requests("A")
    step(store, Answers({"A": Found((FoundStudy("1.1"),))})).step()
    assert store.said["R-A"] == ("empty", 60.0)


@pytest.mark.catalogue("F17")
def test_an_item_fails_for_good_after_its_attempts() -> None:
    store = Requests("A", attempts=MAX_ATTEMPTS - 1)
    step(store, Answers({"A": ODD})).step()
    assert store.said["R-A"] == ("failed", "find.unable")


@pytest.mark.catalogue("O1", "A4")
def test_a_pacs_that_is_down_charges_nobody_and_is_asked_once() -> None:
    store, board = Requests("A", "B", "C"), Board()
    answers = Answers({}, otherwise=DOWN)
    with pytest.raises(Retry) as caught:
        step(store, answers, board=board).step()
    assert caught.value is DOWN
    assert set(store.said.values()) == {("released", "pacs.unreachable", False)}
    assert len(store.said) == 3
    assert answers.asked == ["A"]
    assert (board.states("pacs"), answers.closed) == ({"pacs0": False}, 1)


def test_a_pacs_that_goes_down_in_the_middle() -> None:
    store = Requests("A", "B", "C")
    answers = Answers({"A": found(), "B": SILENT})
    assert step(store, answers).step()
    assert store.said == {
        "R-A": ("found",), "R-B": ("released", "find.timeout", False), "R-C": ("released", "find.timeout", False),
    }  # fmt: skip
    assert answers.asked == ["A", "B"]


@pytest.mark.catalogue("A9")
@pytest.mark.parametrize("other", [found(), ODD], ids=["found", "unable"])
def test_a_question_that_alone_gets_no_answer_is_charged_the_second_time(other: Found | Exception) -> None:
    store = Requests("B")
    answers = Answers({"A": other, "B": SILENT})
    looks = step(store, answers)
    with pytest.raises(Retry):
        looks.step()
    assert store.said["R-B"] == ("released", "find.timeout", False)
    store.waiting = Requests("A", "B").waiting
    assert looks.step()
    assert store.said["R-B"] == ("released", "find.timeout", True)


@pytest.mark.catalogue("F4")
def test_pacs_are_asked_in_order_until_one_has_an_answer() -> None:
    store = Requests("A", "B", "C")
    first, second = Answers({"A": found("1.1")}), Answers({"B": found("2.1")})
    assert step(store, first, second).step()
    assert (first.asked, second.asked) == (["A", "B", "C"], ["B", "C"])
    assert {k: p.series[0].pacs for k, p in store.plans.items()} == {"R-A": "pacs0", "R-B": "pacs1"}
    assert store.said["R-C"] == ("empty", 60.0)


def test_a_doubt_of_the_first_pacs_stands_when_the_second_has_nothing() -> None:
    store = Requests("A")
    step(store, Answers({"A": Found(doubt="evidence.patient")}), Answers({})).step()
    assert store.said["R-A"] == ("held", "evidence.patient")


def test_a_second_pacs_that_is_down_holds_up_only_what_needs_it() -> None:
    store = Requests("A", "B", "C")
    first, second = Answers({"A": found(), "C": found()}), Answers({}, otherwise=DOWN)
    assert step(store, first, second).step()
    assert store.said == {"R-A": ("found",), "R-B": ("released", "pacs.unreachable", False), "R-C": ("found",)}


def test_a_first_pacs_that_is_down_is_no_empty_answer() -> None:
    store = Requests("A")
    with pytest.raises(Retry):
        step(store, Answers({}, otherwise=DOWN), Answers({"A": found()})).step()
    assert store.said["R-A"] == ("released", "pacs.unreachable", False)


def test_a_slow_batch_is_given_back() -> None:
    store, clock = Requests("A", "B"), Clock()

    class Slow(Answers):
        def find(
            self, accession: AccessionNumber, *, ris: Wanted | None, look: Look, beat: Callable[[], object]
        ) -> Found:
            clock.now += BATCH_SECONDS + 1
            return super().find(accession, ris=ris, look=look, beat=beat)

    assert step(store, Slow({"A": found(), "B": found()}), clock=clock).step()
    assert store.said == {"R-A": ("found",), "R-B": ("released", "find.postponed", False)}
    assert store.waits == 0.0


@pytest.mark.catalogue("A1", "F17")
def test_configuration_trouble_waits_long() -> None:
    store = Requests("A")
    with pytest.raises(Retry):
        step(store, Answers({}, otherwise=Retry("pacs.rejected", after=300.0, charge=False))).step()
    assert store.waits == 300.0


def test_with_the_real_store(tmp_path: Path) -> None:
    """The plan ends in rows, with the reason of each exclusion; a second step finds nothing due."""
    database = Database(tmp_path / "state.sqlite")
    store, views = Store(database, bytes(32), node="gw1"), Views(database, bytes(32))
    wanted = [Wanted("p", AccessionNumber(a)) for a in ("A", "B", "C")]
    store.add_requests(wanted, (), project="p", cursor=None, now=999.0)
    select = CompiledSelect(series=SelectionRule("series", "Modality == 'MR'"))
    looks = FindStep(
        store=store, finders={"main": Answers({"A": found(), "C": ODD})}, board=Board(), clock=Clock(),
        projects=[FindProject("p", ("main",), select, (60.0,))],
    )  # fmt: skip
    assert looks.step()
    assert not looks.step()
    states = {r.state: r for r in views.requests()}
    assert set(states) == {"done", "empty", "new"}
    (series,) = views.series(states["done"].key)
    assert (series.state, series.reason) == ("excluded", "select.series")
    assert (states["new"].reason, states["new"].attempts) == ("find.unable", 1)
    database.close()
