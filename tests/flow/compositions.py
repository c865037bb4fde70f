"""Compositions: what goes wrong one at a time in other tests goes wrong at once, in any order, again and again.

    COMPOSITIONS=100 python -m pytest tests/flow/test_compositions.py

A whole site in one process with a clock of its own: the steps of the daemon over a real state, outbox and archive, a PACS that is
strange (`strange_pacs`), and, drawn by the same seed: whatever else may happen while one of them waits (another step, a command of
a person, a patient who opts out, an archive that goes away), a database that is busy, a disk that is full, and a crash at each of
these. After that all behave; failures are asked for again, as a person would; and the end must be that of a quiet site.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Table, select
from sqlalchemy.engine import Connection

from gateway.dicom.incoming import Incoming
from gateway.errors import Retry
from gateway.model import AccessionNumber, Wanted
from gateway.run import deciding, wiring
from gateway.run.deciding import Decision
from gateway.state.db import Database, asked, request, series
from gateway.state.outbox import Outbox
from tests.faults.sending import Message
from tests.flow.one_life import CONFIG, KEY, PROJECT, Life, cleaner
from tests.flow.strange_pacs import Exam, StrangePacs

BUSY, FULL, CRASH = 0.01, 0.015, 0.002
"""Chance of each at each transaction or file."""


class Crash(BaseException):
    """The process is gone."""


class Site:
    """`trace`: what happened; `wrong`: what must not."""

    def __init__(self, folder: Path, wanted: Sequence[Exam], seed: int, *, quiet: bool = False) -> None:
        self.folder, self.exams, self.quiet = folder, wanted, quiet
        self.rng, self.now, self.paused, self.depth = random.Random(f"site {seed}"), 1.8e9, False, 0
        self.pacs = StrangePacs(wanted, self, seed)
        self.pacs.strange *= not quiet
        self.trace = self.pacs.log
        self.wrong: list[str] = []
        self.withdrawn: set[str] = set()
        self._late: list[Message] = []
        self._running: set[str] = set()
        (folder / "archive").mkdir(parents=True)
        (folder / "pseudonym.key").touch(mode=0o600)
        (folder / "pseudonym.key").write_bytes(KEY)
        (folder / "gateway.toml").write_text(CONFIG.format(folder=folder))
        self.settings = wiring.load_settings(folder / "gateway.toml")

    def clock(self) -> float:
        return self.now

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        quiet, self.quiet = self.quiet, True
        with contextlib.ExitStack() as changed:
            for name, instead in {
                "time.time": self.clock, "gateway.cmove.transfer.Scu": self.pacs.scu, "gateway.cfind.findscu.Scu": self.pacs.scu,
                "gateway.run.wiring.make_cleaner": cleaner,
            }.items():  # fmt: skip
                changed.enter_context(patch(name, instead))
            for method in ("keep", "note", "remove", "clear"):
                changed.enter_context(patch.object(Outbox, method, self._unreliable(getattr(Outbox, method))))
            changed.enter_context(patch.object(Database, "write", self._busy(Database.write)))
            self.life = self._begun()
            self.keys = {self.ask(e): e for e in self.exams}
            self.quiet = quiet
            yield
            self.life.state.close()

    def _begun(self) -> Life:
        quiet, self.quiet = self.quiet, True
        life = Life(self.settings, self)
        self.quiet = quiet
        return life

    def restart(self) -> None:
        self._running.clear()
        self.depth = 0
        self.life.state.close()
        self.life = self._begun()

    # ---- what may go wrong

    def happens(self, what: str, chance: float) -> bool:
        if self.quiet or self.rng.random() >= chance:
            return False
        self.trace.append((what,))
        return True

    def _crashes(self, where: str) -> None:
        if self.happens(f"crash {where}", CRASH):
            raise Crash

    def _unreliable(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def unreliable(*args: Any, **named: Any) -> Any:
            self._crashes(f"before {method.__name__}")
            if method.__name__ in ("keep", "note") and self.happens(f"full at {method.__name__}", FULL):
                raise OSError(errno.ENOSPC, "No space left on device")
            done = method(*args, **named)
            self._crashes(f"after {method.__name__}")
            return done

        return unreliable

    def _busy(self, method: Callable[[Database], Any]) -> Callable[[Database], Any]:
        @contextlib.contextmanager
        def busy(database: Database) -> Iterator[Connection]:
            with method(database) as c:
                yield c
                self._crashes("before commit")
                if self.happens("busy", BUSY):
                    raise Retry("state.busy", charge=False)
            self._crashes("after commit")
            if self.happens("busy after commit", BUSY / 2):
                raise Retry("state.busy", charge=False)

        return busy

    # ---- what the PACS touches

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def arrive(self, one: Message) -> None:
        about = ("MAIN", "127.0.0.1", one.sop_class, one.SOPInstanceUID, "1.2.840.10008.1.2.1", one.data)
        self.rng.choice(self.life.intakes).take(Incoming(*about))

    def later(self, one: Message) -> None:
        self._late.append(one)

    def meanwhile(self) -> None:
        """Somebody else does something while this one waits."""
        if self.depth < 3 and self.happens("meanwhile", 0.1):
            self.depth += 1
            try:
                self.event()
            finally:
                self.depth -= 1

    # ---- what happens

    def step(self, name: str) -> object:
        """As a worker does it; none does two at once."""
        if name in self._running:
            return False
        self._running.add(name)
        self.now += 0.5
        with self._forgiven(name):
            return self.life.steps[name]()
        return False

    @contextlib.contextmanager
    def _forgiven(self, name: str) -> Iterator[None]:
        try:
            yield
        except Retry:
            return
        except OSError as err:
            if err.errno != errno.ENOSPC:
                self.wrong.append(f"{name}: {err!r}")
        except Exception as err:  # noqa: BLE001 - the worker's: it must not come to that
            self.wrong.append(f"{name}: {err!r}")
        finally:
            self._running.discard(name)

    def event(self) -> None:
        events: list[Callable[[], object]] = [
            self._time, self._cancel, self._retry, self._opt_out, self._pause, self._archive, self._decide, self._arrives_late,
            self.life.sweep,
        ]  # fmt: skip
        if self.rng.random() < 0.6:
            self.step(self.rng.choice(list(self.life.steps)))
        else:
            chosen = self.rng.choice(events)
            self.trace.append((chosen.__name__,))
            with self._forgiven(chosen.__name__):
                chosen()

    def _time(self) -> None:
        self.now += self.rng.choice([1, 60, 700, 4000, 90000])

    def _cancel(self) -> None:
        key = self.rng.choice(list(self.keys))
        if self.rng.random() < 0.3:
            self.life.state.store.cancel(keys=[key], now=self.now)

    def _retry(self) -> None:
        self.life.state.store.retry(state=self.rng.choice(["failed", "empty", "cancelled"]), now=self.now)

    def _opt_out(self) -> None:
        if self.rng.random() < 0.05:
            self.withdrawn.add(self.rng.choice(self.exams).patient)
            self.life.desk.opted_out(PROJECT, sorted(self.withdrawn))

    def _pause(self) -> None:
        self.paused = not self.paused

    def _archive(self) -> None:
        here, away = self.folder / "archive", self.folder / "away"
        if away.exists():
            here.unlink()
            away.rename(here)
        elif not self.quiet:
            here.rename(away)
            here.touch()

    def _decide(self) -> None:
        """What is another patient's is never released."""
        of = {one["series_id"]: self.keys[key].kind for one, key in self._asked()}
        for one in self.rows(series):
            if one["state"] == "held" and of[one["id"]] == "differs" and self.rng.random() < 0.3:
                word = self.rng.choice(["release", "discard"])
                deciding.decide(self.life.state, [one["key"]], Decision(word, "somebody", ""))

    def _asked(self) -> Iterator[tuple[dict[str, Any], str]]:
        keys = {one["id"]: one["key"] for one in self.rows(request)}
        return ((one, keys[one["request_id"]]) for one in self.rows(asked))

    def _arrives_late(self) -> None:
        while self._late:
            self.arrive(self._late.pop())

    # ---- a whole life

    def ask(self, e: Exam) -> str:
        """The key of the request."""
        wanted = Wanted(PROJECT, AccessionNumber(e.accession), e.patient, e.day, "US" if e.kind == "excluded" else "CT")
        self.life.state.store.add_requests([wanted], (), project=PROJECT, cursor=None, now=self.now)
        return self.life.state.views.by_accession(e.accession)[0].key

    def chaos(self, events: int) -> None:
        for _ in range(events):
            try:
                self.event()
            except Crash:
                self.restart()

    def peace(self) -> None:
        self.quiet, self.pacs.strange, self.paused = True, 0.0, False
        if (self.folder / "away").exists():
            self._archive()
        self.life.desk.opted_out(PROJECT, sorted(self.withdrawn))  # the list is read again and again
        self._arrives_late()
        self.settle()
        for states in (("failed", "empty", "held", "cancelled"), ("failed",)):
            for state in states:
                self.life.state.store.retry(state=state, now=self.now)
            self.settle()
        self.restart()
        self.settle()

    def settle(self) -> None:
        """Days go by."""
        for _ in range(12):
            self.now += 43200.0
            self.life.sweep()
            for _ in range(200):
                if not sum(bool(self.step(name)) for name in self.life.steps):
                    break
            else:
                self.wrong.append("it goes on for ever")

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with self.life.state.database.read() as c:
            return [dict(r) for r in c.execute(select(table)).mappings()]
