"""The screening, with a screener that says what the test wants: what goes out, what stays, and what nobody gets twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import structlog

from gateway.cstore.screening import MAX_TRIES, UNSCREENABLE
from gateway.errors import Retry
from gateway.model import Outcome
from gateway.state import holding
from gateway.state.outbox import Outbox
from tests.cstore.held import PROFILE, HeldRig, Screened, Scripted
from tests.support.carried import claim_row

KEPT = Outcome.KEPT
HOLD = Screened("hold", (), "text.unsure")


def test_clean_goes_out_masked_and_the_series_with_it(held: HeldRig) -> None:
    held.arrive("1", b"clean", KEPT)
    held.arrive("2", b"name burnt in")
    held.settle()
    screener = Scripted()
    assert held.run(screener) == 1
    assert screener.seen == [b"name burnt in"]
    assert held.out() == {"2.25.1.dcm": b"clean", "2.25.2.dcm": b"masked name burnt in"}
    assert (held.view.state, held.view.kept, held.view.held) == ("retrieved", 2, 0)
    assert held.held_files() == [] and held.outbox.held is not None and held.outbox.held.series() == []
    assert held.screened("released") == 1 and held.counts.observed["screen_seconds"] == 1


def test_the_ledger_tells_the_masked_file_and_its_profile(held: HeldRig) -> None:
    held.arrive("1", b"name burnt in")
    held.settle()
    held.run(Scripted())
    (line,) = held.outbox.ledger(held.series).values()
    (file,) = held.outbox.files(held.series)
    assert (line.outcome, line.reason, line.profile, line.file) == (KEPT, "", PROFILE, file.name)
    assert line.size == file.stat().st_size == len(b"masked name burnt in")
    events = [(e.event, e.reason) for e in held.state.views.history(held.request) if e.subject == held.series]
    assert events[-3:] == [("held", "pixels.at-risk"), ("cleaned", PROFILE), ("released", "")]


def test_what_is_unsure_stays_for_a_person_with_the_reason(held: HeldRig) -> None:
    held.arrive("1", b"scrawl")
    held.arrive("2", b"clear")
    held.settle()
    screener = Scripted({b"scrawl": HOLD})
    assert held.run(screener) == 2
    assert held.run(Scripted({b"scrawl": HOLD})) == 0, "another life does not look at it again"
    (left,) = held.holdings
    assert (left.reason, left.judged, left.line.reason) == ("text.unsure", True, "pixels.at-risk")
    assert (held.view.state, held.view.kept, held.view.held) == ("held", 1, 1)
    assert held.out() == {"2.25.2.dcm": b"masked clear"}
    assert (held.screened("held"), held.screened("released")) == (1, 1)


def test_a_project_without_a_screener_waits_for_a_person(held: HeldRig) -> None:
    held.arrive("1", b"x")
    held.settle()
    assert held.run(None) == 0
    (left,) = held.holdings
    assert not left.judged and held.view.state == "held"


def test_what_arrives_while_the_series_is_retrieved_is_screened_at_once(held: HeldRig) -> None:
    held.arrive("1", b"x")
    assert held.run(Scripted()) == 1
    assert held.view.state == "planned" and held.out() == {"2.25.1.dcm": b"masked x"}
    held.settle()
    assert held.view.state == "retrieved"


def test_a_late_one_of_a_held_series_keeps_it_held(held: HeldRig) -> None:
    held.arrive("1", b"x")
    held.settle()
    step = held.step(Scripted())
    held.arrive("2", b"late")
    assert [step.step(), step.step(), step.step()] == [True, True, False]
    assert held.view.state == "retrieved" and len(held.out()) == 2


def test_a_late_one_of_a_confirmed_series_sends_it_again(held: HeldRig) -> None:
    held.arrive("1", b"x", KEPT)
    held.settle()
    for before, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
        row = claim_row(held.state.store, before, projects=["chest"], lease=60, now=103)
        assert row is not None
        held.state.store.settle_row(row, event, now=104)
    held.outbox.remove(held.series, held.outbox.files(held.series))
    held.arrive("2", b"late")
    assert held.run(Scripted()) == 1
    assert held.view.state == "retrieved" and held.out() == {"2.25.2.dcm": b"masked late"}


@pytest.mark.parametrize("state", ["failed", "withdrawn"])
def test_nothing_of_a_dead_series_is_looked_at(held: HeldRig, state: str) -> None:
    held.arrive("1", b"x")
    claim = held.state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=101)
    assert claim is not None
    held.state.store.settle_row(claim.rows[0], state, now=102)
    screener = Scripted()
    assert held.run(screener) == 0 and screener.seen == [] and held.out() == {}


# ---- what kills it


def test_a_file_that_kills_its_screening_twice_is_left_to_a_person(held: HeldRig) -> None:
    held.arrive("1", b"bomb")
    held.arrive("2", b"x")
    held.settle()
    screener = Scripted({b"bomb": MemoryError()})
    for _ in range(MAX_TRIES):
        with pytest.raises(MemoryError):
            held.step(screener).step()
    assert held.run(screener) == 2
    assert screener.seen.count(b"bomb") == MAX_TRIES
    (left,) = held.holdings
    assert (left.reason, left.judged) == (UNSCREENABLE, True)
    assert held.screened("failed") == 1 and held.out() == {"2.25.2.dcm": b"masked x"}
    assert not list(left.path.parent.glob(".*"))


def test_a_screening_that_is_killed_counts_as_one_try(held: HeldRig) -> None:
    """By SIGKILL in a real process: nothing of it runs any more."""
    held.arrive("1", b"x")
    held.settle()
    (waiting,) = held.holdings
    for expected in range(MAX_TRIES):
        child = os.fork()
        if child == 0:
            with holding.locked(waiting):
                os._exit(9 if holding.tried(waiting) == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    screener = Scripted()
    held.run(screener)
    assert screener.seen == [] and held.holdings[0].reason == UNSCREENABLE


def test_the_start_of_the_daemon_forgets_old_tries(held: HeldRig) -> None:
    held.arrive("1", b"x")
    held.settle()
    (waiting,) = held.holdings
    holding.tried(waiting)
    holding.tried(waiting)
    assert held.outbox.sweep() == 1
    assert held.run(Scripted()) == 1 and held.view.state == "retrieved"


def test_what_another_process_has_is_passed_over(held: HeldRig) -> None:
    held.arrive("1", b"x")
    held.arrive("2", b"y")
    held.settle()
    screener = Scripted()
    with holding.locked(held.holdings[0]) as mine:
        assert mine
        step = held.step(screener)
        assert [step.step(), step.step()] == [True, False]
        assert screener.seen == [b"y"] and held.view.state == "held"
    assert held.run(screener) == 1
    assert held.view.state == "retrieved"


def test_a_disk_that_is_full_costs_nothing(held: HeldRig, monkeypatch: pytest.MonkeyPatch) -> None:
    held.arrive("1", b"x")
    held.settle()
    keep = Outbox.keep

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    for _ in range(MAX_TRIES + 1):
        with monkeypatch.context() as broken:
            broken.setattr(Outbox, "keep", full)
            with pytest.raises(Retry) as caught:
                held.step(Scripted()).step()
        assert caught.value.reason == f"disk.errno-{errno.ENOSPC}" and not caught.value.charge
    assert Outbox.keep is keep
    assert held.run(Scripted()) == 1 and held.view.state == "retrieved"


DURABLE = ("keep", "note", "drop", "settle_held", "remove")
"""The durable steps of a release, in their order."""


@pytest.mark.parametrize("moment", DURABLE)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("again", [b"masked x", b"masked otherwise"], ids=["same", "otherwise"])
def test_killed_between_any_two_steps_the_next_life_does_the_rest(
    held: HeldRig, monkeypatch: pytest.MonkeyPatch, moment: str, after: bool, again: bytes
) -> None:
    """The next life may even mask it otherwise: what is not acknowledged gives way."""
    held.arrive("1", b"x")
    held.settle()
    owner = held.state.store if moment == "settle_held" else Outbox
    original = getattr(owner, moment)

    def cut(*args: object, **named: object) -> object:
        if after:
            original(*args, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as power:
        power.setattr(owner, moment, cut)
        with pytest.raises(KeyboardInterrupt):
            held.run(Scripted())
    held.outbox.sweep()
    held.run(Scripted({b"x": Screened(parts=(again,))}))
    (content,) = held.out().values()
    assert content in (b"masked x", again)
    assert held.outcomes() == {"hash-1": ("kept", "")}
    assert (held.view.state, held.view.kept, held.view.held) == ("retrieved", 1, 0)
    assert held.held_files() == []
    events = [e.event for e in held.state.views.history(held.request) if e.subject == held.series]
    assert events.count("released") == 1


def test_it_looks_only_where_something_changed(held: HeldRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder full of what waits for a person is not read over and over."""
    held.arrive("1", b"scrawl")
    held.settle()
    held.now = (Path(held.holdings[0].path).stat().st_mtime_ns / 1e9) + 60
    step = held.step(Scripted({b"scrawl": HOLD}))
    while step.step():
        held.now += 60
    with monkeypatch.context() as closed:
        closed.delattr(Outbox, "ledger")  # whoever looks now fails
        assert not step.step()
    held.arrive("2", b"new")
    assert step.step()


def test_says_nothing_that_identifies(held: HeldRig) -> None:
    held.arrive("1", b"x")
    held.settle()
    with structlog.testing.capture_logs() as said:
        held.run(Scripted())
    assert [entry["event"] for entry in said] == ["instance.released", "series.released"]
    assert "2.25" not in str(said)
