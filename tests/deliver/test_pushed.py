"""What came unasked and an archive does not take: nobody can be asked for it again, so it waits, and is offered every hour."""

from __future__ import annotations

import os

import pytest

from gateway.deliver.care import MAX_ATTEMPTS
from gateway.deliver.confirm import MAX_LOST
from gateway.errors import GatewayError, Refused, Retry
from gateway.model import LedgerLine, Outcome
from gateway.state.progress import HOUR
from tests.deliver.conftest import KEY, Bench


def due(bench: Bench) -> float:
    return bench.store.not_before[KEY, "first"]


def ended(bench: Bench) -> None:
    """Delivered and confirmed, when its time has come."""
    bench.now = due(bench)
    assert bench.deliver.step() and bench.confirm.step()
    assert bench.store.states == {KEY: "confirmed"} and len(bench.archive.visible()) == 2
    assert bench.outbox.series() == []


@pytest.mark.parametrize(
    "error",
    [Refused("deliver.refused", "no such object"), Retry("deliver.timeout", "no answer"), Refused("deliver.conflict")],
)
def test_what_is_refused_waits(bench: Bench, error: GatewayError) -> None:
    bench.keep(1), bench.keep(2)
    bench.store.add(pacs="")
    bench.sink.error = error
    for _ in range(MAX_ATTEMPTS + 2):
        assert bench.deliver.step() and not bench.deliver.step()
        last, bench.now = bench.now, due(bench)
    assert HOUR <= bench.now - last <= 24 * HOUR, "later and later, but once a day"
    assert bench.store.states == {KEY: "retrieved"} and bench.events() == [("waits", error.reason)], "told once"
    bench.sink.error = None
    ended(bench)


def test_what_is_lost_again_and_again_is_put_every_hour(bench: Bench) -> None:
    bench.keep(1), bench.keep(2)
    bench.store.add(pacs="")
    bench.sink.forgetful = True
    for times in range(1, MAX_LOST + 3):
        assert bench.deliver.step() and bench.confirm.step()
        assert bench.store.states == {KEY: "retrieved"}
        rests, bench.now = due(bench) - bench.now, max(bench.now, due(bench))
        assert (rests >= HOUR) is (times > MAX_LOST)
    bench.sink.forgetful = False
    ended(bench)


def test_files_that_are_gone_end_it(bench: Bench) -> None:
    bench.store.add(pacs="")
    assert bench.deliver.step()
    assert bench.events() == [("failed", "outbox.empty")]


def test_what_was_spoilt_is_delivered_when_it_was_sent_again(bench: Bench) -> None:
    for number in (1, 2):
        file = bench.keep(number)
        bench.outbox.note(KEY, LedgerLine(f"hash-{number}", Outcome.KEPT, file=file.name, checksum="00"))
    bench.store.add(pacs="")
    for _ in range(3):
        assert bench.deliver.step()
        bench.now = due(bench)
    assert len(bench.outbox.damaged(KEY)) == 2, "all at once, so that all are sent again at once"
    assert bench.store.states == {KEY: "retrieved"} and bench.outbox.ledger(KEY) == {}
    assert bench.archive.visible() == {}
    bench.outbox.path(KEY, "ledger").unlink()
    bench.keep(1), bench.keep(2)
    ended(bench)


def test_what_has_come_just_now_is_not_judged(bench: Bench) -> None:
    """Its line may be behind it, although another file of the same name was spoilt before."""
    bench.store.add(pacs="")
    file = bench.keep(1)
    bench.outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=file.name, checksum="00"))
    bench.now = file.stat().st_mtime
    for _ in range(2):
        assert bench.deliver.step()
        os.utime(file, (due(bench), due(bench)))
        bench.now = due(bench)
    assert bench.outbox.damaged(KEY) == [] and bench.outbox.files(KEY) == [file]


def test_what_is_refused_for_ever_starves_nobody(bench: Bench) -> None:
    """However long a try of it takes: when it is due again at once, another series has its turn in between."""
    bench.keep(1)
    bench.store.add(pacs="")
    bench.sink.error = Refused("deliver.refused")
    for _ in range(3):
        assert bench.deliver.step()
        bench.now = due(bench)
    bench.keep(2, "S-BBBB")
    bench.store.add("S-BBBB")
    assert not bench.confirm.step(), "which asks all the time, and takes nobody's turn"
    assert bench.deliver.step() and bench.store.states[KEY] == "retrieved"
    assert bench.store.states["S-BBBB"] == "failed", "it had its turn, whatever came of it"
