"""`make bench`: accession numbers resolved per second, ours over one association, beside a `findscu` process for each question.

To resolve one is to know its study and the study's series: two questions. The same Orthanc and the same dcmqrscp answer both sides,
in turns, in one run; every answer is checked. The peers' findscu is measured as it is shipped, with Nagle's algorithm on, and with
TCP_NODELAY in its environment. A target that is missed is printed as NOT MET; it is a measurement, not a failure.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

from gateway.cfind.findscu import Finder
from gateway.model import AccessionNumber
from gateway.run.commands.find import Uncounted
from gateway.settings import Pacs
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer
from tests.support.process import HOST, new_folder, program

TARGET: Final = 8.0
"""Times as many as with a findscu process for each question."""
DEADLINE: Final = 60.0
Way = Callable[[PacsPeer, Sequence[StudyFacts]], None]


def studies(number: int) -> list[StudyFacts]:
    """Each of one tiny instance."""
    folder = new_folder("find-corpus")
    return [
        make_study(
            folder, patient_id=f"SYNPID{i}", name=f"Findsynth{i:04d}^Berta", birth_date="19500102", accession=f"SYNFIND{i:05d}",
            study_date="20240503", series=[SeriesSpec("CT", "Thorax", 1, rows=4, columns=4)],
        )
        for i in range(number)
    ]  # fmt: skip


def ours(peer: PacsPeer, wanted: Sequence[StudyFacts]) -> None:
    pacs = Pacs(name="main", ae_title=peer.ae_title, host=peer.host, port=peer.port)
    with closing(Finder(pacs, "RESEARCH", Uncounted())) as finder:
        for study in wanted:
            found = finder.find(AccessionNumber(study.patient["accession"]))
            uids = [s.SeriesInstanceUID for one in found.studies for s in one.series]
            assert uids == [s.SeriesInstanceUID for s in study.series], "another answer"


def findscu(**environment: str) -> Way:
    """Two processes an accession number."""
    inherited = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}

    def ask(peer: PacsPeer, level: str, *keys: str) -> str:
        words = [word for key in (f"QueryRetrieveLevel={level}", *keys) for word in ("-k", key)]
        argv = [program("findscu"), "-S", "-aec", peer.ae_title, *words, HOST, str(peer.port)]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=DEADLINE, check=True, env={**inherited, **environment}
        )
        return done.stdout + done.stderr

    def resolve(peer: PacsPeer, wanted: Sequence[StudyFacts]) -> None:
        for study in wanted:
            told = ask(peer, "STUDY", f"AccessionNumber={study.patient['accession']}", "StudyInstanceUID", "PatientID")
            assert study.StudyInstanceUID in told, "no answer"
            told = ask(peer, "SERIES", f"StudyInstanceUID={study.StudyInstanceUID}", "SeriesInstanceUID", "Modality")
            assert study.series[0].SeriesInstanceUID in told, "no answer"

    return resolve


WAYS: Final[Mapping[str, tuple[Way, int]]] = {
    "ours": (ours, 1), "findscu, as shipped": (findscu(), 10), "findscu, nodelay": (findscu(TCP_NODELAY="1"), 10),
}  # fmt: skip
"""Way, and by how much fewer accession numbers it is given: a process takes its time."""


def measure(peer: PacsPeer, corpus: Sequence[StudyFacts], rounds: int) -> dict[str, float]:
    """Accession numbers per second, the median of the rounds, which take turns."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _, (name, (way, fewer)) in itertools.product(range(rounds), WAYS.items()):
        some = corpus[: max(5, len(corpus) // fewer)]
        began = time.monotonic()
        way(peer, some)
        rates[name].append(len(some) / (time.monotonic() - began))
    return {name: statistics.median(found) for name, found in rates.items()}


def report(name: str, rates: Mapping[str, float]) -> None:
    for way, rate in rates.items():
        print(f"{name:9} {way:20} {rate:7.1f} accession numbers/s", flush=True)
    for way in list(rates)[1:]:
        ratio = rates["ours"] / rates[way]
        print(
            f"{name:9} target at least {TARGET:g} x {way}: {ratio:.1f}  {'met' if ratio >= TARGET else 'NOT MET'}",
            flush=True,
        )


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("-n", "--studies", type=int, default=400)
    wants.add_argument("-r", "--rounds", type=int, default=3)
    asked = wants.parse_args()
    corpus = studies(asked.studies)
    for name, start in (("Orthanc", Orthanc), ("dcmqrscp", Dcmqrscp)):
        with start() as peer:
            peer.upload([file for study in corpus for file in study.files])
            report(name, measure(peer, corpus, asked.rounds))


if __name__ == "__main__":
    main()
