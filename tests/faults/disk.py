"""Each call that an instance costs is made to fail: `python -m tests.faults.disk` runs every call with ENOSPC and with EIO.

A real receive process (`wiring.make_server`) under strace(1). A first instance shows which calls there are; then one instance
for each call and error. Whatever fails is answered 0xA700 and leaves nothing half-written; whatever is answered 0x0000 is there,
whole, once, and by the order of the calls on stable storage before the response left; the same instance again is stored.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.state.journal import AGAIN, QUIET
from tests.faults.receivers import Warm
from tests.faults.sending import Sender
from tests.faults.site import Kept, Sent, Site, sent
from tests.faults.storage import Storage, answers
from tests.faults.tracing import Call, Fault, Trace
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study

ERRORS: Final = ("ENOSPC", "EIO")
OUT_OF_RESOURCES: Final = 0xA700
MANY: Final = 50  # cases of one kind, at most
PAUSES: Final = (0, QUIET / 4, QUIET / 2, QUIET, AGAIN)  # before each try: while the journal rests, it is not used
CAPTURE: Final = ("DERIVED", "SECONDARY")
KINDS: Final = {
    "first of its series": [SeriesSpec("CT", f"Thorax {i}", 1) for i in range(MANY)],
    "next of its series": [SeriesSpec("CT", "Thorax", MANY)],
    "excluded, first": [SeriesSpec("CT", f"Capture {i}", 1, image_type=CAPTURE) for i in range(MANY)],
    "excluded, next": [SeriesSpec("CT", "Captures", MANY, image_type=CAPTURE)],
    "held, first": [SeriesSpec("US", f"Sono {i}", 1) for i in range(MANY)],
    "held, next": [SeriesSpec("US", "Sono", MANY)],
    "large, next": [  # too large for the journal
        SeriesSpec("CT", "Large", 32, rows=1600, columns=1600)
    ],
}


def study(folder: Path) -> StudyFacts:
    """One series that everybody has seen, then those of the kinds."""
    series = [SeriesSpec("CT", "Known", 1), *(spec for specs in KINDS.values() for spec in specs)]
    return make_study(
        folder, series=series, patient_id="SYNPID8200", name="Disksynth^Synthia", birth_date="19510317",
        accession="SYNDISK001", study_date="20240304",
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A call of the receive path that may fail. `says`: for people. `ledger`: the number counts calls about the ledger only."""

    name: str
    number: int
    says: str
    ledger: bool


class Disk:
    """One receive process whose calls fail."""

    def __init__(self, folder: Path) -> None:
        made = study(folder / "source")
        self._site = Site(folder / "site")
        self._site.plan([made])
        self._warm = Warm(self._site, processes=1)
        self._warm.start()
        everything = sent(made)
        self._known = next(everything)
        self._of = {
            name: [next(everything) for _ in range(sum(s.instances for s in specs))] for name, specs in KINDS.items()
        }
        self._classes = sorted({one.message.sop_class for of in self._of.values() for one in of})
        self.wrong: list[str] = []
        self.cases = 0
        for name in KINDS:
            if "next" in name:
                self._plain(self._of[name].pop())

    def close(self) -> None:
        self._warm.close()

    def places(self, kind: str) -> list[Place]:
        """Sends instances undisturbed: the calls one takes, up to the response, at least (a ledger may have to be read again)."""
        found = []
        for _ in range(3):
            one = self._of[kind].pop()
            storage = self._storage(one)
            status, calls = self._send(one)
            owed = storage.see(calls)
            if status or owed:
                self.wrong.append(f"{kind}: undisturbed: 0x{status:04X}, {owed}")
            found.append(list(self._places(calls)))
        return min(found, key=len)

    def fail(self, kind: str, place: Place, error: str) -> None:
        """One instance whose call at that place fails; then the same again, undisturbed."""
        self.cases += 1
        said = f"{kind}: {error} at {place.says}"
        for pause in PAUSES:
            time.sleep(pause)
            one = self._of[kind].pop()
            storage = self._storage(one)
            path = str(self._ledger(one)) if place.ledger else ""
            status, calls = self._send(one, Fault(place.name, place.number, error, path=path))
            if any(c.injected for c in calls):
                break
        else:
            self.wrong.append(f"{said}: nothing failed")
        self._judge(one, status, storage.see(calls), said)
        again, calls = self._send(one, warm=False)
        if again:
            self.wrong.append(f"{said}: again: 0x{again:04X}")
        self._judge(one, again, storage.see(calls), f"{said}: again")

    def cut_short(self, kind: str, limit: int, *, mended: bool) -> None:
        """Files may not grow beyond `limit` bytes, so that a write really is short; `mended`: when it goes on they may."""
        self.cases += 1
        one, said = self._of[kind].pop(), f"{kind}: short write at {limit} bytes"
        storage = self._storage(one)
        fault = Fault("writev", 1, delay=0.5) if mended else None
        self._limit(limit)
        timer = threading.Timer(0.2, self._limit, [resource.RLIM_INFINITY]) if mended else threading.Timer(1e6, print)
        timer.start()
        status, calls = self._send(one, fault)
        timer.cancel()
        timer.join()
        self._limit(resource.RLIM_INFINITY)
        if status != (0 if mended else OUT_OF_RESOURCES):
            self.wrong.append(f"{said}: 0x{status:04X}")
        self._judge(one, status, storage.see(calls), said)
        if not mended:
            self._plain(one)
            self._judge(one, 0, [], f"{said}: again")

    def ledger_size(self, kind: str) -> int:
        """Bytes of the ledger to which the next instance of that kind is noted."""
        return self._ledger(self._of[kind][-1]).stat().st_size

    def _limit(self, most: int) -> None:
        resource.prlimit(self._warm.group, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def _judge(self, one: Sent, status: int, owed: Sequence[str], said: str) -> None:
        kept = self._site.kept()
        if status == 0:
            self.wrong += [f"{said}: acknowledged, but owed: {o}" for o in owed]
        elif status != OUT_OF_RESOURCES:
            self.wrong.append(f"{said}: 0x{status:04X}")
        if status == 0 or kept.line(one) is not None:  # what counts is whole, acknowledged or not
            fault = kept.fault(one)
            self.wrong += [f"{said}: 0x{status:04X}, but {fault}"] if fault else []
        if kept.halves():
            self.wrong.append(f"{said}: something half-written stays")
        kept.close()

    def _plain(self, one: Sent) -> None:
        with Sender(self._warm.port, self._classes) as assoc:
            status = assoc.store(one.message)
            if status:
                self.wrong.append(f"undisturbed: 0x{status:04X}")

    def _send(self, one: Sent, fault: Fault | None = None, *, warm: bool = True) -> tuple[int, list[Call]]:
        """`warm`: on an association that has done something before, unseen: what it opens once is open."""
        with Sender(self._warm.port, self._classes) as assoc:
            if warm:
                assert assoc.store(self._known.message) == 0
            with Trace(self._warm.group, fault) as trace:
                status = assoc.store(one.message)
        return status, trace.calls

    def _storage(self, one: Sent) -> Storage:
        state, ledger = self._site.folder / "state", self._ledger(one)
        return Storage(state, [] if ledger.exists() else [ledger])

    def _ledger(self, one: Sent) -> Path:
        kept: Kept = self._site.kept()
        folder = kept.outbox.path(kept.series(one), "ledger")
        kept.close()
        return folder

    def _places(self, calls: Sequence[Call]) -> Iterator[Place]:
        state = str(self._site.folder / "state")
        end = next(call.begun for call in calls if answers(call))
        spooled, noted = set(), Counter[str]()
        for call in calls:
            inside = [p for p in call.paths if p.startswith(state) and not Path(p).name.startswith("state.sqlite")]
            if not inside or call.ended >= end:
                continue
            short = inside[0].removeprefix(state)
            if "#" in short:  # the pixels of a large one, piece by piece, into a file without a name: one piece will do
                if call.name in spooled:
                    continue
                spooled.add(call.name)
                short = "nameless"
            of_ledger = Path(short).name == "ledger"  # how many calls before it: as many as the network had pieces
            noted[call.name] += of_ledger
            number = noted[call.name] if of_ledger else call.number
            where = "ledger" if of_ledger else Path(short).suffix or short.count("/")
            yield Place(call.name, number, f"{call.name} {number} ({where})", of_ledger)


def every(disk: Disk, kinds: Iterable[str] = KINDS, *, both: bool) -> None:
    """Every place of these kinds. `both`: with each of ERRORS, else with one in turn."""
    for kind in kinds:
        for i, place in enumerate(disk.places(kind)):
            errors = ERRORS if both else (ERRORS[i % 2],)
            for error in ("EIO",) if "sync" in place.name else errors:
                disk.fail(kind, place, error)


def short(disk: Disk) -> None:
    """Short writes of a file, of its ledger line and of a line alone."""
    disk.cut_short("next of its series", 1000, mended=False)
    disk.cut_short("next of its series", 1000, mended=True)
    disk.cut_short("next of its series", disk.ledger_size("next of its series") + 20, mended=False)
    disk.cut_short("excluded, next", disk.ledger_size("excluded, next") + 20, mended=False)
    disk.cut_short("held, next", 1000, mended=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        disk = Disk(Path(name))
        try:
            every(disk, both=True)
            short(disk)
        finally:
            disk.close()
    print(f"{disk.cases} cases", *disk.wrong, sep="\n")
    return 1 if disk.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
