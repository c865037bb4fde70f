"""A disk that fills up and is emptied again, with the real daemon: `unshare --mount python -m tests.faults.full`, as root."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import insert, select, update

from gateway.cstore.space import free_bytes
from gateway.state.db import Database, progress, series
from tests.faults.mounts import tmpfs
from tests.faults.receivers import Warm
from tests.faults.sending import Rejected, Sender
from tests.faults.site import Options, Sent, Site, sent
from tests.support.daemon import Daemon
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study

MIB: Final = 1 << 20
SIZE, LEAST = 96 * MIB, 48 * MIB
MOST: Final = 2_700_000  # a little more than five instances
DEADLINE: Final = 30.0
DEFERRED, LIMIT_EXCEEDED = 0xA700, (2, 3, 2)


def study(folder: Path) -> StudyFacts:
    """Instances of half a megabyte."""
    return make_study(
        folder, series=[SeriesSpec("CT", "Thorax", 60, rows=512, columns=512)], patient_id="SYNPID8300",
        name="Fullsynth^Synthia", birth_date="19510317", accession="SYNFULL001", study_date="20240304",
    )  # fmt: skip


class Filling:
    """A daemon on a file system of its own, an association that stays open, and what the metrics say."""

    def __init__(self, site: Site, made: StudyFacts) -> None:
        self._site, self._daemon = site, Daemon(site.folder, level="info")
        self._left = sent(made)
        self._classes = [next(sent(made)).message.sop_class]
        self.kept: list[Sent] = []

    def run(self) -> None:
        self._daemon.start()
        try:
            self._daemon.wait_ready()
            self._open = Sender(self._site.port, self._classes)
            self._outbox_full()
            self._disk_low()
            self._open.sock.close()
            assert self._daemon.stop() == 0
        finally:
            self._daemon.kill_group()
        self._look()

    def _outbox_full(self) -> None:
        """The outbox is measured every second: until then more goes in than may."""
        self._until(lambda: self._store() == DEFERRED, "the outbox takes no end")
        self._paused("outbox")
        waiting = sorted((self._site.folder / "state" / "outbox").glob("*/*.dcm"))
        assert sum(p.stat().st_size for p in waiting) >= MOST
        for path in waiting[5:]:  # delivered, in a manner of speaking: below the bound, but by less than a tenth
            path.unlink()
        time.sleep(2.5)
        self._paused("outbox")
        for path in waiting[:5]:
            path.unlink()
        self.kept.clear()
        self._resumed("outbox")

    def _disk_low(self) -> None:
        ballast = self._site.folder / "ballast"
        self._fill(ballast, LEAST - MIB)  # nothing is sent meanwhile: it could fill the outbox, too
        self._paused("disk")
        self._fill(ballast, LEAST + 2 * MIB)  # room again, but for a moment
        time.sleep(2.5)
        self._paused("disk")
        ballast.unlink()
        self._resumed("disk")

    def _paused(self, reason: str) -> None:
        self._until(lambda: self._metric(f'receiver_paused{{reason="{reason}"}}') == 1.0, f"no alert: {reason}")
        self._until(lambda: self._daemon.status()["paused"] == [reason], f"status does not say so: {reason}")
        before = self._metric(f'associations_rejected_total{{reason="{reason}"}}')
        with pytest.raises(Rejected) as refused:
            Sender(self._site.port, self._classes).sock.close()
        assert refused.value.args == LIMIT_EXCEEDED
        assert self._store() == DEFERRED
        self._until(
            lambda: self._metric(f'associations_rejected_total{{reason="{reason}"}}') > before, "no rejection counted"
        )

    def _resumed(self, reason: str) -> None:
        self._until(lambda: self._metric(f'receiver_paused{{reason="{reason}"}}') == 0.0, f"does not recover: {reason}")
        self._until(lambda: self._store() == 0, "the open association is not served again")
        with Sender(self._site.port, self._classes) as assoc:
            one = next(self._left)
            assert assoc.store(one.message) == 0
            self.kept.append(one)

    def _store(self) -> int:
        """One more over the association that is open all the time."""
        one = next(self._left)
        status = self._open.store(one.message)
        if status == 0:
            self.kept.append(one)
        return status

    def _look(self) -> None:
        kept = self._site.kept()
        assert self.kept and [kept.fault(one) for one in self.kept] == [""] * len(self.kept)
        assert kept.halves() == []
        kept.close()

    def _fill(self, ballast: Path, free: int) -> None:
        """Makes the ballast so large that `free` bytes are left."""
        now = ballast.stat().st_size if ballast.exists() else 0
        size = now + free_bytes(self._site.folder) - free
        with ballast.open("ab") as file:
            file.truncate(min(size, now))
            for _ in range(max(0, size - now) // MIB + 1):
                file.write(bytes(MIB))

    def _metric(self, name: str) -> float:
        for line in self._daemon.get("/metrics")[1].decode().splitlines():
            if line.startswith(f"pacs_gateway_{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def _until(self, reached: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + DEADLINE
        while not reached():
            assert time.monotonic() < until, f"{otherwise}\n{self._daemon.tail()}"
            time.sleep(0.1)


def on_its_way(site: Site) -> None:
    """The series has come, and its archive is not to be tried for an hour: what fills the outbox will be delivered."""
    database = Database(site.folder / "state" / "state.sqlite")
    with database.write() as c:
        c.execute(update(series).values(state="retrieved", node="gw1"))
        waits = {"sink": f"directory:{site.folder / 'archive'}", "not_before": time.time() + 3600}
        c.execute(insert(progress), [{"series_id": r.id, **waits} for r in c.execute(select(series.c.id))])
    database.close()


def still_coming(site: Site, made: StudyFacts) -> None:
    """A series that is larger than the bound is taken whole: nothing in the outbox would ever leave it otherwise."""
    daemon = Daemon(site.folder, level="info")
    daemon.start()
    try:
        daemon.wait_ready()
        instances = list(sent(made))
        with Sender(site.port, [instances[0].message.sop_class]) as assoc:
            for one in instances[:20]:
                assert assoc.store(one.message) == 0
                time.sleep(0.2)
        assert daemon.status()["paused"] == []
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()
    assert "outbox.only-begun" in daemon.log.read_text()
    _all_right(site, instances[:20])


def really_full(site: Site, made: StudyFacts) -> None:
    """No low water: writes fail and are short in the kernel, until there is room again."""
    receivers = Warm(site, processes=1)
    receivers.start()
    ballast, left = site.folder / "ballast", sent(made)
    with ballast.open("wb") as file:
        file.write(bytes(free_bytes(site.folder) - 4 * MIB))
    with Sender(receivers.port, [next(sent(made)).message.sop_class]) as assoc:
        stored, refused = _statuses(assoc, left)
        _all_right(site, stored)
        assert stored and len(refused) == 3
        ballast.unlink()
        assert [assoc.store(one.message) for one in refused] == [0, 0, 0]
    receivers.close()
    _all_right(site, [*stored, *refused])


def _statuses(assoc: Sender, left: Iterator[Sent]) -> tuple[list[Sent], list[Sent]]:
    """Sends until three were deferred: those that were stored, and those three."""
    stored: list[Sent] = []
    refused: list[Sent] = []
    while len(refused) < 3:
        one = next(left)
        status = assoc.store(one.message)
        assert status in (0, DEFERRED), hex(status)
        (refused if status else stored).append(one)
    return stored, refused


def _all_right(site: Site, stored: Sequence[Sent]) -> None:
    kept = site.kept()
    assert [kept.fault(one) for one in stored] == [""] * len(stored)
    assert kept.halves() == []
    kept.close()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="full-") as name:
        folder, made = Path(name), study(Path(name) / "source")
        bounds = Options(free=f"{LEAST} B", receiver=f'max_outbox = "{MOST} B"')
        with tmpfs(folder / "bounded", SIZE):
            site = Site(folder / "bounded", bounds)
            site.plan([made])
            on_its_way(site)
            Filling(site, made).run()
        with tmpfs(folder / "coming", SIZE):
            site = Site(folder / "coming", Options(free="1 MB", receiver=bounds.receiver))
            site.plan([made])
            still_coming(site, made)
        with tmpfs(folder / "unbounded", 24 * MIB):
            site = Site(folder / "unbounded", Options(free="1 B"))
            site.plan([made])
            really_full(site, made)
    print("paused and resumed: outbox, disk; not by what still comes; full and emptied")
    return 0


if __name__ == "__main__":
    sys.exit(main())
