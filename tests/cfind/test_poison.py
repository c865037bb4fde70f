"""One question that a PACS refuses as ill-formed delays no other; one that gets every question refused is left in peace."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gateway.cfind.plan import FindProject, FindStep
from gateway.cfind.select import CompiledSelect
from gateway.dicom.status import find_failure
from gateway.errors import Retry
from gateway.ops.health import Board
from tests.cfind.test_plan import SILENT, Answers, Requests, found
from tests.cfind.test_plan import step as made_step
from tests.state.conftest import PROJECT, Opened


def step_for(state: Opened, answers: Answers, now: list[float]) -> FindStep:
    project = FindProject(PROJECT, ("main",), CompiledSelect())
    return FindStep(
        store=state.store, finders={"main": answers}, projects=[project], board=Board(), clock=lambda: now[0]
    )


@pytest.mark.catalogue("F17")
@pytest.mark.parametrize("status", [0xA900, 0x0122, 0x0124])
def test_a_poisonous_question_blocks_nobody_and_ends(state: Opened, status: int) -> None:
    state.ask("BAD1", "BAD2", "BAD3", *(f"OK{n}" for n in range(3)))
    refusals = {f"BAD{n}": find_failure(status).error() for n in (1, 2, 3)}
    step = step_for(state, Answers(refusals, otherwise=found()), [1000.0])
    step.step()
    assert {r.state for r in state.views.requests()} == {"new", "planned"}
    assert state.views.by_accession("OK1")[0].state == "planned"


@pytest.mark.catalogue("F17")
def test_a_pacs_that_refuses_everything_is_down(state: Opened) -> None:
    state.ask("BAD1", "BAD2", "BAD3")
    error = find_failure(0x0124).error()
    step = step_for(state, Answers({f"BAD{n}": error for n in (1, 2, 3)}, otherwise=found()), [1000.0])
    with pytest.raises(Retry, match=r"find\.not-authorised"):
        step.step()
    assert not step.step(), "nothing is due, and nothing was refused since"


@pytest.mark.catalogue("A9")
def test_what_the_first_pacs_answers_does_not_acquit_a_question_that_silences_the_second() -> None:
    store = Requests("BAD")
    first, second = Answers({}), Answers({"OK": found(), "BAD": SILENT})
    step = made_step(store, first, second)
    said = []
    for waiting in (("BAD",), ("BAD",), ("OK", "BAD")):
        store.waiting = Requests(*waiting).waiting
        with suppress(Retry):  # nothing was answered by the second
            step.step()
        said.append(store.said["R-BAD"])
    assert said == [("released", "find.timeout", charged) for charged in (False, False, True)]
