"""One file that an archive chokes on holds up no other, and ends; an archive that chokes on everything is down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from gateway.deliver import storescu
from gateway.deliver.breaker import LONGEST_WAIT
from gateway.deliver.care import MAX_ATTEMPTS, OF_ALL
from gateway.deliver.sink import Receipt
from gateway.deliver.storescu import StoreSink
from gateway.deliver.verdict import FAILED
from gateway.dicom.association import Deadlines, Scu
from gateway.errors import Retry
from gateway.settings import DicomSink
from tests.deliver.clean import clean_bytes, clean_file
from tests.deliver.conftest import Bench, Moody
from tests.support.process import HOST
from tests.support.raw_pacs import RawPacs


class Choking(Moody):
    """Hangs up in the middle of any file of these series, and of these files. `reason`, `charge`: what it looks like."""

    keys: frozenset[str] = frozenset()
    files: frozenset[Path] = frozenset()
    reason = "sink.aborted"
    charge = False
    takes: Callable[[], None] = staticmethod(lambda: None)

    def put(self, file: Path) -> Receipt:
        if file.parent.name in self.keys or file in self.files:
            self.takes()
            raise Retry(self.reason, "no answer", charge=self.charge)
        return super().put(file)


class Poisoned(Bench):
    def __init__(self, folder: Path, *keys: str) -> None:
        super().__init__(folder)
        self.choking = Choking(self.archive.sink, "first")
        self.choking.keys = frozenset(keys)
        self.sink = self.choking
        self.sinks = {"chest": [self.choking]}
        self.restart()
        self.added = 0

    def arrive(self, number: int) -> None:
        """So many series more."""
        for _ in range(number):
            self.added += 1
            self.outbox.keep(f"S-{self.added}", f"2.25.1000{self.added}", [clean_bytes(self.added)])
            self.store.add(f"S-{self.added}")

    def go_on(self, hours: float) -> int:
        """Both steps until they are idle, each ten minutes. How often the archive was found in trouble."""
        troubles, until = 0, self.now + 3600.0 * hours
        while self.now < until:
            try:
                while self.deliver.step() or self.confirm.step():
                    continue
            except Retry:
                troubles += 1
            self.now += 600.0
        return troubles


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (("S-1",), "sink.aborted"),
        (("S-1", "S-2", "S-3"), "sink.aborted"),
        (("S-1",), "sink.unfinished"),
        (("S-1",), "sink.unable"),
        (("S-1",), "sink.out-of-resources"),
        (("S-1",), "sink.unwritable"),
        (("S-1", "S-2"), FAILED),
    ],
)
def test_a_file_that_an_archive_chokes_on_holds_up_nobody_and_ends(
    tmp_path: Path, poison: tuple[str, ...], reason: str
) -> None:
    bench = Poisoned(tmp_path, *poison)
    bench.choking.reason, bench.choking.charge = reason, reason == FAILED
    bench.arrive(6)
    bench.go_on(3.0)
    others = {f"S-{n}": "confirmed" for n in range(1, 7) if f"S-{n}" not in poison}
    assert bench.store.states.items() >= others.items()
    for _ in range(16):
        bench.arrive(1)
        bench.go_on(2 * LONGEST_WAIT / 3600.0)
    assert {bench.store.states[key] for key in poison} == {"failed"}
    assert {reason for key, event, reason in bench.store.history if event == "failed"} == {reason}
    assert list(bench.store.states.values()).count("confirmed") == bench.added - len(poison)


@pytest.mark.parametrize("reason", ["sink.full", "sink.busy"])
def test_a_file_that_an_archive_has_no_room_for_holds_up_nobody_and_waits(tmp_path: Path, reason: str) -> None:
    """0xA700 to one large object, for ever: each other series was held up for a minute and a half."""
    bench = Poisoned(tmp_path, "S-1")
    bench.choking.reason = reason
    bench.arrive(30)
    bench.go_on(2.0)
    assert list(bench.store.states.values()) == ["retrieved", *["confirmed"] * 29]
    bench.go_on(48.0)
    assert bench.store.states["S-1"] == "retrieved" and bench.board.states("sink")["first"] is not None
    bench.choking.keys = frozenset()
    bench.go_on(1.5)
    assert bench.store.states["S-1"] == "confirmed"


@pytest.mark.parametrize(("reason", "minutes", "hours", "tries"), [("sink.full", 10, 18.0, 60), (FAILED, 1, 4.0, 80)])
def test_nor_do_several_that_take_long_to_fail(
    tmp_path: Path, reason: str, minutes: int, hours: float, tries: int
) -> None:
    """As soon as the last of them had failed the first was due again: nothing else was tried, or one a day."""
    bench = Poisoned(tmp_path, *(f"S-{n}" for n in range(1, 9)))
    bench.choking.reason, bench.choking.charge = reason, reason == FAILED
    began, failed = bench.now, list[float]()

    def takes() -> None:
        failed.append(bench.now)
        bench.now += 60.0 * minutes

    bench.choking.takes = takes
    bench.arrive(20)
    while bench.now < began + 3600.0 * hours:
        with suppress(Retry):
            while bench.now < began + 3600.0 * hours and (bench.deliver.step() or bench.confirm.step()):
                continue
        bench.now += 60.0
    assert list(bench.store.states.values()) == ["retrieved"] * 8 + ["confirmed"] * 12
    assert len(failed) < tries


@pytest.mark.parametrize("status", [0xFF00, 0xC001, 0xFE00, 0x0110, 0xA700, 0xA900, 0x0124, 0x0212])
def test_what_an_archive_cannot_list_may_be_of_one_series_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(storescu, "Scu", partial(Scu, deadlines=Deadlines(question=0.5)))
    with RawPacs(lambda asked: asked.says(status)) as archive, pytest.raises(Retry) as caught:
        StoreSink(DicomSink(ae_title="RAW", host=HOST, port=archive.port), "RESEARCH").put(clean_file(tmp_path))
    assert caught.value.reason not in OF_ALL and not caught.value.charge


def test_an_archive_that_chokes_on_everything_is_down_and_charges_nobody(tmp_path: Path) -> None:
    bench = Poisoned(tmp_path, *(f"S-{n}" for n in range(1, 7)))
    bench.arrive(6)
    assert 5 < bench.go_on(24.0) < 40
    assert set(bench.store.attempts.values()) == {0}
    bench.choking.keys = frozenset()
    bench.go_on(1.1)
    assert set(bench.store.states.values()) == {"confirmed"}


def test_one_that_could_not_and_does_not_say_why_ends_no_series_while_it_takes_none(tmp_path: Path) -> None:
    """0x0110 to everything, as its database is down: all that waited had failed within an hour."""
    bench = Poisoned(tmp_path)
    bench.arrive(6)
    bench.choking.error = Retry(FAILED, "first answered 0x0110")
    assert bench.go_on(24.0) == 0
    assert set(bench.store.states.values()) == {"retrieved"} and bench.board.states("sink") == {"first": False}
    bench.choking.error = None
    bench.go_on(1.1)
    assert set(bench.store.states.values()) == {"confirmed"} and bench.board.states("sink") == {"first": True}


def test_nor_when_it_was_back_for_a_moment_and_is_down_again(tmp_path: Path) -> None:
    """Its disk was full for hours, then cleared a little: all that had not been tried in that moment failed at the next one."""
    bench = Poisoned(tmp_path)
    bench.arrive(6)
    bench.choking.error = Retry(FAILED, "first answered 0x0110")
    for _ in range(2):
        bench.go_on(24.0)
        bench.choking.error = None
        bench.arrive(1)
        assert bench.deliver.step()
        bench.choking.error = Retry(FAILED, "first answered 0x0110")
    bench.go_on(24.0)
    assert "failed" not in bench.store.states.values()


def test_a_file_that_went_through_since_is_under_no_suspicion(tmp_path: Path) -> None:
    """Of an archive that comes and goes, the first file of a large series is the one that meets it gone, again and again."""
    bench = Poisoned(tmp_path)
    first, second = (bench.outbox.keep("S-0", f"2.25.2000{n}", [clean_bytes(n)]).path for n in (1, 2))
    bench.store.add("S-0")
    bench.arrive(1)
    for gone in (first, second, first):
        bench.choking.files = frozenset({gone})
        bench.go_on(0.1)
    assert bench.store.states["S-1"] == "delivered"
    assert bench.store.attempts["S-0", "first"] == 0


def test_one_that_is_full_is_full_for_all(tmp_path: Path) -> None:
    """What it says of itself is never charged, whoever went through meanwhile."""
    bench = Poisoned(tmp_path, "S-1")
    bench.choking.reason = "sink.full"
    bench.arrive(1)
    for _ in range(9):
        bench.go_on(2.0)
        bench.arrive(1)
    assert bench.store.attempts["S-1", "first"] == 0
    assert list(bench.store.states.values()).count("confirmed") == bench.added - 2
    assert bench.added > MAX_ATTEMPTS
