"""The process group is killed at random moments under load: `python -m tests.faults.cuts --count 100 [--daemon]`.

Several associations send at once and note what was acknowledged, to the byte. After each cut: whatever was acknowledged is
in the outbox, whole, as its ledger says; nothing planted is in any byte of any file; no instance is there twice. What is
left is sent after the next start; when all of it is there, once each, it begins anew.
"""

from __future__ import annotations

import argparse
import queue
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError

from tests.faults.receivers import Receivers, Running, Warm, emptied, swept
from tests.faults.sending import Sender
from tests.faults.site import Search, Sent, Site, pixels, sent
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study

ASSOCIATIONS: Final = 4
LONGEST: Final = 0.5  # seconds under load before the cut
MOST_WAITS: Final = 1000  # hundredths of a second
SEVERAL: Final = 12
AGAIN: Final = 5  # instances that are sent again although they were acknowledged


@dataclass
class Tally:
    """What happened. `halves`: files that a cut left half-written; `untold`: whole, but the answer was cut off."""

    cuts: int = 0
    acknowledged: int = 0
    halves: int = 0
    untold: int = 0
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)


def corpus(folder: Path, studies: int = 3) -> list[StudyFacts]:
    """Small and large instances, some that the rules exclude."""
    specs = (
        SeriesSpec("CT", "Thorax", 24), SeriesSpec("CT", "Thorax large", 6, rows=512, columns=512),
        SeriesSpec("CT", "Captures", 4, image_type=("DERIVED", "SECONDARY")), SeriesSpec("MR", "Head", 10),
    )  # fmt: skip
    return [
        make_study(
            folder, series=specs, seed=i, patient_id=f"SYNPID{8100 + i}", name=f"Cutsynth{i:02d}^Synthia",
            birth_date=f"19{50 + i}0317", accession=f"SYNCUT{i:04d}", study_date="20240304",
        )
        for i in range(studies)
    ]  # fmt: skip


Moment = Callable[[threading.Event, "queue.SimpleQueue[Sent]"], object]


class Cutting:
    """One site, cut again and again. `power`: a cut loses what is not on stable storage, and lets calls fail before it kills."""

    def __init__(
        self,
        site: Site,
        studies: Sequence[StudyFacts],
        receivers: Receivers,
        rng: random.Random,
        *,
        power: bool = False,
    ) -> None:
        self._site, self._studies, self._receivers, self._rng, self._power = site, studies, receivers, rng, power
        self._all = [one for study in studies for one in sent(study)]
        self._classes = sorted({one.message.sop_class for one in self._all})
        self._search = Search(studies)
        self._acknowledged: list[Sent] = []
        self.tally = Tally()

    def cut(self) -> None:
        """Start, load, SIGKILL at a random moment, and a look at what is there."""
        self._receivers.start()
        self._load(self._moment)
        self.tally.cuts += 1
        self._look()
        if len(self._acknowledged) == len(self._all):
            self.begin_anew()

    def finish(self) -> None:
        """What is left is sent; then all of it is there, once each."""
        self._receivers.start()
        self._load(lambda over, told: None, until_done=True)
        self._look()
        self.begin_anew()

    def begin_anew(self) -> None:
        self.tally.rounds += 1
        swept(self._site.folder / "state").sweep()
        kept = self._site.kept()
        there = Counter(self._whole(kept.files()))
        if there != Counter(one.pixels for one in self._all if not one.excluded):
            self._wrong("not everything, or not once")
        if kept.halves():
            self._wrong("something half-written stays")
        kept.close()
        emptied(self._site)
        self._site.plan(self._studies)
        self._acknowledged.clear()

    # ---- the senders

    def _moment(self, over: threading.Event, told: queue.SimpleQueue[Sent]) -> None:
        """Any; the power, which goes seldom, goes when several were acknowledged, or that takes too long."""
        waited = 0
        while self._power and told.qsize() < SEVERAL and waited < MOST_WAITS:
            over.wait(0.01)
            waited += 1
        over.wait(self._rng.uniform(0.0, LONGEST * (3 if self._power else 1)))

    def _load(self, moment: Moment, *, until_done: bool = False) -> None:
        """Sends what is left from several associations until the moment comes, then cuts."""
        left = [one for one in self._all if one not in self._acknowledged]
        left += self._rng.sample(self._acknowledged, min(AGAIN, len(self._acknowledged)))
        self._rng.shuffle(left)
        work: queue.SimpleQueue[Sent] = queue.SimpleQueue()
        for one in left:
            work.put(one)
        over, told = threading.Event(), queue.SimpleQueue[Sent]()
        senders = [
            threading.Thread(target=self._send, args=(work, told, over), daemon=True) for _ in range(ASSOCIATIONS)
        ]
        for sender in senders:
            sender.start()
        moment(over, told)
        for sender in senders if until_done else ():
            sender.join()
        over.set()
        self._receivers.cut()
        for sender in senders:
            sender.join()
        self._note(told)

    def _send(self, work: queue.SimpleQueue[Sent], told: queue.SimpleQueue[Sent], over: threading.Event) -> None:
        try:
            with Sender(self._receivers.port, self._classes) as assoc:
                while not work.empty():
                    one = work.get_nowait()
                    status = assoc.store(one.message)
                    if status and not (self._power and over.is_set()):
                        self._wrong(f"status 0x{status:04X}")
                    elif not status:
                        told.put(one)
        except (OSError, queue.Empty) as err:
            if not over.is_set() and not isinstance(err, queue.Empty):
                self._wrong(f"{type(err).__name__} before the cut")

    def _note(self, told: queue.SimpleQueue[Sent]) -> None:
        while not told.empty():
            one = told.get()
            self.tally.acknowledged += 1
            if one not in self._acknowledged:
                self._acknowledged.append(one)

    # ---- the look

    def _look(self) -> None:
        if self._power:
            swept(self._site.folder / "state").sweep()  # what is in a journal counts
        kept = self._site.kept()
        there = Counter(self._whole(kept.files()))
        for one in self._acknowledged:
            fault = kept.fault(one)
            if fault and not (self._power and kept.line(one) is None and one.pixels in there):  # the file is the fact
                self._wrong(f"acknowledged, but {fault}")
        if set(there) - {one.pixels for one in self._all} or any(n > 1 for n in there.values()):
            self._wrong("files that nobody sent, or twice")
        self.tally.halves += len(kept.halves())
        self.tally.untold += len(there) - sum(not one.excluded for one in self._acknowledged)
        kept.close()
        for place in self._search.hits(self._site.folder):
            self._wrong(f"something planted in {place}")

    def _whole(self, files: Sequence[Path]) -> Iterator[str]:
        for file in files:
            try:
                yield pixels(file)
            except (InvalidDicomError, EOFError, AttributeError):
                self._wrong("a file that is not whole")

    def _wrong(self, what: str) -> None:
        self.tally.wrong.append(f"cut {self.tally.cuts}: {what}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--daemon", action="store_true", help="the whole daemon, not its receive processes alone")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cuts-") as name:
        folder = Path(name)
        studies, site = corpus(folder / "source"), Site(folder / "site")
        site.plan(studies)
        receivers: Receivers = Running(site) if words.daemon else Warm(site)
        cutting = Cutting(site, studies, receivers, random.Random(words.seed))
        try:
            for _ in range(words.count):
                cutting.cut()
            cutting.finish()
        finally:
            receivers.close()
    print(cutting.tally)
    return 1 if cutting.tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
