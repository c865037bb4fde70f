"""A day in the life, with the real daemon killed again and again: `python -m tests.flow.day --count 2000 [--kills 10] [--days 2]`.

The gateway is asked for so many accession numbers as a back-fill, two scripted PACS answer as real ones do, and the daemon is
killed (SIGKILL, the whole group) at moments spread over the day. At the end of each day the balance adds up to what was asked, part
by part as foreseen, and the archive holds exactly what it should; after the second it is the same archive.

Pauses between tries are cut short in the state, as if hours went by.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import update

from gateway.errors import Retry
from gateway.state.balance import PARTS, Balance
from gateway.state.db import Database, series
from gateway.state.views import Views
from tests.flow import daily
from tests.flow.daily import MAIN, OLD, Archive, Exam, Holding
from tests.support.daemon import Daemon, command
from tests.support.process import free_port
from tests.support.scripting import ScriptedPacs
from tests.support.world import archive_files, pixel_digest

KEY: Final = bytes(range(1, 33))
PROJECT: Final = "chest-ct"
WITHOUT: Final = 0.35
"""Chance that a kill comes before the daemon is ready."""
CONFIG: Final = (
    daily.TWO_PACS
    + """
[[project]]
name = "chest-ct"
pacs = ["main", "old"]

[project.select]
study = "'CT' in ModalitiesInStudy"

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""
)


@dataclass
class Day:
    """What one day came to. `files`: of the archive, path -> SHA-256; `failed`: how moves failed; `wrong`: empty if all is well."""

    balance: Balance
    files: Mapping[str, str] = field(repr=False)
    moves: int
    failed: Counter[str]
    killed_at: Sequence[int]
    seconds: float
    wrong: Sequence[str]


class Running:
    """One day's daemon, and its state looked at from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.daemon = folder, Daemon(folder, level="info")
        self.database = Database(folder / "state" / "state.sqlite")
        self._views = Views(self.database, KEY)

    def close(self) -> None:
        self.daemon.kill_group()
        self.database.close()

    def balance(self) -> Balance:
        return self._views.balances()[0]

    def left(self) -> int:
        """Requests that are not over yet. Hours go by."""
        with contextlib.suppress(Retry), self.database.write() as c:
            c.execute(update(series).where(series.c.state == "planned").values(not_before=0.0))
        return self.balance().total("in progress")

    def delivered(self) -> int:
        return self.balance().total("delivered")


def furnished(folder: Path, ports: Mapping[str, int], wanted: Sequence[Exam]) -> None:
    """Configuration, key, archive, and a state that has been asked for everything."""
    (folder / "archive").mkdir(parents=True)
    key = folder / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_bytes(KEY)
    config = folder / "gateway.toml"
    config.write_text(CONFIG.format(folder=folder, metrics=free_port(), **ports))
    lines = [f"{e.accession},{e.patient},{daily.day(e)},CT" for e in wanted]
    file = folder / "list.csv"
    file.write_text("\n".join(["accession_number,patient_id,study_date,modality", *lines, ""]))
    told = command(config, "requests", "add", "--project", PROJECT, str(file))
    assert told.returncode == 0, told.stderr
    file.unlink()


@contextlib.contextmanager
def opened(
    holdings: Sequence[Holding], receiver: int, kind: type[Archive] = Archive
) -> Iterator[tuple[dict[str, ScriptedPacs], list[Archive]]]:
    """Both PACS."""
    for holding in holdings:
        holding.moves = 0
    archives = [kind(name, list(holdings), receiver) for name in (MAIN, OLD)]
    with ExitStack() as stack:
        yield {a.name: stack.enter_context(a.pacs()) for a in archives}, archives


def live(folder: Path, wanted: Sequence[Exam], holdings: Sequence[Holding], *, kills: int, seed: int) -> Day:
    """One day, from the back-fill until everything is over."""
    receiver, began = free_port(), time.monotonic()
    with opened(holdings, receiver) as (pacs, archives):
        furnished(folder, {"receiver": receiver, **{name: one.port for name, one in pacs.items()}}, wanted)
        running = Running(folder)
        try:
            moments = _killed(running, daily.expected(list(wanted))["delivered"], kills, random.Random(seed))
            running.daemon.start()
            running.daemon.wait_until(lambda: running.left() == 0, 120 + 2 * len(wanted))
            assert running.daemon.stop() == 0
            balance = running.balance()
        finally:
            running.close()
    files = archive_files(folder)
    return Day(
        balance, files, sum(a.moves for a in archives), sum((a.failed for a in archives), Counter()), moments,
        time.monotonic() - began, list(archives_wrong(folder, balance, wanted, holdings)),
    )  # fmt: skip


def _killed(running: Running, whole: int, kills: int, rng: random.Random) -> list[int]:
    """Kills it so often on the way; how many requests were delivered at each kill."""
    moments = []
    for n in range(kills):
        goal = whole * (n + 1) // (kills + 1)
        running.daemon.start()
        if rng.random() > WITHOUT:
            running.daemon.wait_until(partial(_reached, running, goal), 120 + 2 * whole)
        time.sleep(rng.uniform(0.0, 1.0))
        running.daemon.kill_group()
        moments.append(running.delivered())
    return moments


def _reached(running: Running, goal: int) -> bool:
    return running.delivered() >= goal or running.left() == 0


def archives_wrong(
    folder: Path, balance: Balance, wanted: Sequence[Exam], holdings: Sequence[Holding]
) -> Iterator[str]:
    foreseen = daily.expected(list(wanted))
    found = Counter({part: number for part in PARTS if (number := balance.total(part))})
    if balance.asked != len(wanted) or not balance.adds_up:
        yield f"the balance does not add up: {balance.asked} asked, {dict(balance.unaccounted)} unaccounted"
    if found != foreseen:
        yield f"not what was foreseen: {dict(found)} instead of {dict(foreseen)}"
    there = [p for p in (folder / "archive").rglob("*") if p.is_file()]
    if sorted(map(pixel_digest, there)) != daily.pixels(list(holdings)):
        yield f"the archive holds {len(there)} files, and not exactly those that it should"
    if left := [p for p in (folder / "state" / "outbox").iterdir() if not p.name.startswith(".")]:
        yield f"{len(left)} series are left in the outbox"


def days(folder: Path, count: int, *, kills: int, number: int) -> Iterator[Day]:
    """So many days of the same hospital; a later archive that differs from the first is wrong."""
    wanted = daily.exams(count)
    holdings = daily.hospital(folder / "hospital", wanted)
    first: Mapping[str, str] | None = None
    for n in range(number):
        one = live(folder / f"day{n}", wanted, holdings, kills=kills, seed=n)
        if first is not None and one.files != first:
            one.wrong = [*one.wrong, "not the archive of the first day"]
        first = first or one.files
        yield one


def told(day: Day) -> str:
    parts = {part: number for part in PARTS if (number := day.balance.total(part))}
    return (
        f"asked {day.balance.asked} = {parts}; adds up: {day.balance.adds_up}; {len(day.files)} files; {day.moves} moves, "
        f"failed {dict(day.failed)}; delivered at each kill {day.killed_at}; {day.seconds:.0f} s; wrong: {day.wrong}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--days", type=int, default=2)
    words, wrong = parser.parse_args(), False
    with tempfile.TemporaryDirectory(prefix="day-") as name:
        for day in days(Path(name), words.count, kills=words.kills, number=words.days):
            print(told(day), flush=True)
            wrong = wrong or bool(day.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
