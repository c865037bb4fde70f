"""Several archives of one project: each at its own pace; a series is confirmed, and let go of, with the last receipt."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.deliver.breaker import Breaker, Pace
from gateway.deliver.confirm import MAX_LOST
from gateway.deliver.sink import Receipt
from gateway.errors import Retry
from gateway.ops.declared import PREFIX
from gateway.state.progress import Stage
from tests.deliver.clean import Archive, clean_bytes, directory_archive
from tests.deliver.conftest import KEY, Bench, Moody
from tests.deliver.test_courier import deliveries
from tests.ops.test_metrics import samples

DOWN = Retry("sink.unreachable", "second cannot be reached", charge=False)
HOUR = 3600.0


class Two(Bench):
    """`second` is another archive of the same project. `order`: which files it was given, in which order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "second").mkdir()
        self.other: Archive = directory_archive(folder / "second")
        self.second = Listing(self.other.sink, "second")
        self.sinks = {"chest": [self.sink, self.second]}
        self.restart()

    def work(self) -> None:
        """Until nobody has anything to do; archives in trouble rest."""
        for _ in range(1000):
            busy = False
            for one in (*self.deliver.steps, *self.confirm.steps):
                try:
                    busy = one.step() or busy
                except Retry:
                    continue
            if not busy:
                return
        pytest.fail("it never ends")


class Listing(Moody):
    """Remembers what it was given."""

    def __init__(self, real: object, name: str) -> None:
        super().__init__(real, name)  # type: ignore[arg-type]
        self.given: list[str] = []

    def put(self, file: Path) -> Receipt:
        receipt = super().put(file)
        self.given.append(file.parent.name)
        return receipt


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_one_that_is_down_holds_up_nobody(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.second.error = DOWN
    two.work()
    assert two.archive.visible() != {} == two.other.visible()
    assert two.store.stages[KEY, "first"] == "confirmed"
    assert two.store.states == {KEY: "retrieved"}, "no receipt of the second: the series is not even delivered"
    assert len(two.outbox.files(KEY)) == 1
    assert two.board.states("sink") == {"first": True, "second": False}
    two.second.error = None
    two.now += HOUR
    two.work()
    assert two.store.states == {KEY: "confirmed"}
    assert two.archive.visible() == two.other.visible()
    assert two.outbox.series() == []
    assert two.store.stages == {}
    assert two.events() == [("receipt", "first"), ("delivered", ""), ("confirmed", "")]


def test_an_hour_of_backlog_arrives_in_order_of_age_and_nothing_twice(two: Two) -> None:
    two.second.error = DOWN
    keys = [f"S-{n:02}" for n in range(30)]
    for number, key in enumerate(keys):
        two.now += 120
        two.outbox.keep(key, f"2.25.1000{number}", [clean_bytes(number)])
        two.store.add(key)
        two.work()
    up, stages = samples(two.metrics), two.store.stages
    assert deliveries(two, "first") == {"delivered": 30, "confirmed": 30}
    assert deliveries(two, "second") == {"failed": 7}, "30 s, doubled, at most an hour: it was tried seven times"
    assert two.board.states("sink")["second"] is False
    assert {stage for (_, sink), stage in stages.items() if sink == "second"} <= {"waiting"}
    assert set(two.store.states.values()) == {"retrieved"} and len(two.outbox.series()) == 30
    two.second.error = None
    two.now += HOUR
    two.work()
    assert sorted(two.second.given[:3]) == keys[:3], "tried meanwhile, in the order of their last try"
    assert two.second.given[3:] == keys[3:]
    assert set(two.store.states.values()) == {"confirmed"}
    assert two.archive.visible() == two.other.visible() and len(two.other.visible()) == 30
    assert deliveries(two, "second") == {"failed": 7, "delivered": 30, "confirmed": 30}
    assert deliveries(two, "first") == {"delivered": 30, "confirmed": 30}
    lag = PREFIX + 'delivery_lag_seconds{sink="second"}'
    assert lag not in up and lag in samples(two.metrics)
    assert two.board.states("sink")["second"] and two.store.stages == {}


def test_killed_it_goes_on_with_what_is_missing(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.second.error = DOWN
    two.work()
    assert two.progress.claim(Stage.WAITING, two.ways[1].route, lease=HOUR, now=two.now + HOUR)
    two.second.error = None
    two.restart()
    two.now += HOUR
    two.work()
    assert two.store.states == {KEY: "confirmed"}
    assert deliveries(two, "first") == {"delivered": 1, "confirmed": 1}


def test_a_receipt_for_other_files_does_not_count(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.second.error = DOWN
    two.work()
    assert two.store.stages[KEY, "first"] == "confirmed"
    two.keep(2)  # late, and the first archive has given its receipt
    two.second.error = None
    two.now += HOUR
    two.work()
    assert two.store.states == {KEY: "confirmed"}
    assert two.archive.visible() == two.other.visible() and len(two.archive.visible()) == 2
    assert two.outbox.series() == []


def test_what_one_loses_goes_to_that_one_again(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.deliver.step()
    two.other.lose(next(iter(two.other.visible())))
    two.work()
    assert two.store.states == {KEY: "confirmed"}
    assert deliveries(two, "first") == {"delivered": 1, "confirmed": 1}
    assert deliveries(two, "second") == {"delivered": 2, "lost": 1, "confirmed": 1}


def test_one_that_lies_ends_the_series_and_keeps_its_files(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.second.forgetful = True
    for _ in range(MAX_LOST):
        two.work()
        two.now += HOUR
    assert two.store.states == {KEY: "failed"}
    assert two.events()[-1] == ("failed", "deliver.lost")
    assert deliveries(two, "second")["lost"] == MAX_LOST + 1
    assert len(two.outbox.files(KEY)) == 1 and two.store.stages == {}


def test_an_archive_less_in_the_configuration_is_not_waited_for(two: Two) -> None:
    two.keep(1)
    two.store.add()
    two.second.error = DOWN
    two.work()
    two.sinks = {"chest": [two.sink]}
    two.restart()
    two.work()
    assert two.store.states == {KEY: "confirmed"}
    assert two.outbox.series() == []


def test_an_archive_more_in_the_configuration_is_waited_for(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.sinks = {"chest": [two.sink]}
    two.restart()
    two.keep(1)
    two.store.add()
    two.deliver.step()
    assert two.store.states == {KEY: "delivered"}
    two.sinks = {"chest": [two.sink, two.second]}
    two.restart()
    two.work()
    assert two.store.states == {KEY: "confirmed"} and two.archive.visible() == two.other.visible()


def test_a_withdrawn_series_is_let_go_of(two: Two) -> None:
    two.keep(1)
    two.store.add()
    row = two.progress.claim(Stage.WAITING, two.ways[0].route, lease=HOUR, now=two.now)
    assert row is not None and two.store.claims != []
    two.store.withdraw(KEY)
    assert not two.progress.delivered(row, two.ways[0].route, now=two.now)
    assert two.store.claims == []
    two.work()
    assert two.store.states == {KEY: "withdrawn"}


def test_stopped_it_ends_between_two_files(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        two.keep(number)
    two.store.add()
    step, way = two.deliver.steps[1], two.ways[1]
    put = two.second.put

    def last(file: Path) -> Receipt:
        way.stop.set()
        return put(file)

    monkeypatch.setattr(two.second, "put", last)
    assert step.step()
    assert len(two.other.visible()) == 1
    assert two.store.attempts[KEY, "second"] == 0 and two.store.claims == []
    assert two.board.states("sink")["second"] is True, "stopping is nobody's fault"


def test_a_pace_is_kept_on_average() -> None:
    pace, now = Pace(1000.0), 50.0
    for size in (500, 2000, 0):
        now += pace.due(now)
        pace.sent(size, now)
    assert (now, pace.due(now)) == (52.5, 0.0)
    now += 100  # idle time is no credit
    pace.sent(3000, now)
    assert pace.due(now) == 3.0
    assert Pace(None).due(now) == 0.0


def test_a_clock_set_back_makes_nothing_wait_for_longer() -> None:
    pace, breaker, now = Pace(1000.0), Breaker(), 7200.0
    assert pace.due(now) == 0.0
    pace.sent(3000, now)
    breaker.failed(now)
    assert pace.due(now + 1.0) == 2.0
    assert pace.due(now - 3600.0) == 2.0
    assert breaker.rests(now + 1.0) and not breaker.rests(now - 3600.0)


def test_the_courier_keeps_the_pace(bench: Bench) -> None:
    bench.max_rate = 100_000.0
    bench.restart()
    for number in (1, 2, 3):
        bench.keep(number)
    bench.store.add()
    size = bench.outbox.files(KEY)[0].stat().st_size
    began = bench.now
    object.__setattr__(bench.ways[0], "stop", Sleeping(bench))
    assert bench.deliver.step()
    assert bench.now - began == pytest.approx(2 * size / 100_000.0)


class Sleeping:
    """Time passes only while somebody waits."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self._bench.now += seconds
        return False


def test_a_breaker_opens_and_lets_one_try() -> None:
    breaker = Breaker()
    assert not breaker.rests(0.0)
    breaker.failed(0.0)
    assert breaker.rests(29.9) and not breaker.rests(30.0)
    breaker.failed(30.0)
    assert breaker.rests(89.9) and not breaker.rests(90.0)
    breaker.worked()
    assert not breaker.rests(90.0)
