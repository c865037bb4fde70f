"""`make bench`: how many instances per second we de-identify on one core, beside other tools and plain `cp`, and what leaks.

All work on the same files in the same minutes, pinned to one core: file in, file out, in memory where there is room (`--folder`
takes another place: there the disk's part counts for all alike, and brings every ratio nearer to one), nothing synced. Rounds
alternate between the tools, so that a busy machine hits all alike; a ratio is taken within each round, and its median counts.
What each tool wrote is searched for the identifiers that stand in its input. The targets are those of issue 3; a target missed
is said, and no failure: no figure here is compared with the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.deid_corpus import make_corpus
from tests.bench.deid_leaks import Score, score
from tests.bench.machine import fresh
from tests.support.process import new_folder

ROOT: Final = Path(__file__).parents[2]
PEER_PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
DEADLINE: Final = 120.0  # seconds for one tool's part of a round
MEMORY: Final = Path("/dev/shm")
ROOM: Final = 6 << 30  # bytes
OURS, CP = "ours", "cp"
CT, ENHANCED = "CT, 525 KB", "enhanced CT"
OPTIONS: Final = ("retain-longitudinal-modified-dates", "retain-patient-characteristics", "clean-descriptors")


@dataclass(frozen=True)
class Tool:
    """`argv`: what a file to warm up with, the source and the destination folder are added to.

    `slow`: takes a part of the files, and one enhanced round.
    """

    name: str
    argv: tuple[str, ...]
    slow: bool = False


@dataclass(frozen=True)
class Run:
    """One tool on one folder, once. `rate`: instances per second, refused ones not counted. `cpu`: its seconds on the core."""

    files: int
    refused: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.files / self.seconds


@dataclass(frozen=True)
class Target:
    """`least`: how many times as fast as `beside` we are to be."""

    corpus: str
    beside: str
    least: float


TARGETS: Final = (
    Target(CT, "dcmanon", 3),
    Target(CT, "dicognito", 15),
    Target(CT, "dicom-anonymizer", 15),
    Target(CT, CP, 1 / 2.5),
    Target(ENHANCED, "dcmanon", 1),
)


def tools() -> list[Tool]:
    def ours(*options: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.bench.deid_ours", "files", *options)

    def peer(name: str) -> tuple[str, ...]:
        return (str(PEER_PYTHON), str(ROOT / "tests" / "bench" / "deid_peer.py"), name)

    return [
        Tool(OURS, ours()),
        Tool(CP, ("cp",)),
        Tool("copyfile", peer("copyfile")),
        Tool("dcmanon", peer("dcmanon")),
        Tool("ours, 3 options", ours(*OPTIONS)),
        Tool("dicognito", peer("dicognito"), slow=True),
        Tool("dicom-anonymizer", peer("dicom-anonymizer"), slow=True),
    ]


def run(tool: Tool, warm: Path, source: Path, dest: Path) -> Run:
    """Raises RuntimeError when the tool ends with an error."""
    if tool.name == CP:
        return copied(source, dest)
    done = subprocess.run(
        [*tool.argv, str(warm), str(source), str(dest)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{tool.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def copied(source: Path, dest: Path) -> Run:
    """One `cp` for all files; the start of the program counts, a millisecond."""
    files = sorted(source.iterdir())
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["cp", *files, dest], check=True, timeout=DEADLINE)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(len(files), 0, seconds, used)


@dataclass(frozen=True)
class Corpus:
    """`sources`: for tools that are slow and those that are not. `warm`: a file like them."""

    sources: Mapping[bool, Path]
    identifiers: frozenset[bytes]
    warm: Path


@dataclass
class Series:
    """What was measured on one corpus, by tool: the runs by round, and what the first one wrote."""

    name: str
    runs: dict[str, dict[int, Run]]
    scores: dict[str, Score]


def measure(name: str, corpus: Corpus, rounds: Sequence[Sequence[Tool]]) -> Series:
    """`rounds`: who takes part, in turn."""
    series = Series(name, {}, {})
    for number, taking_part in enumerate(rounds):
        for tool in taking_part:
            dest = new_folder("deid")
            source = corpus.sources[tool.slow]
            fresh(sum(file.stat().st_size for file in source.iterdir()))
            series.runs.setdefault(tool.name, {})[number] = run(tool, corpus.warm, source, dest)
            if tool.name not in series.scores:
                series.scores[tool.name] = score(source, dest, corpus.identifiers)
            shutil.rmtree(dest)
    return series


def ratios(series: Series, beside: str) -> list[float]:
    """How many times as fast as `beside` we were, in each round that both took part in."""
    ours, theirs = series.runs[OURS], series.runs.get(beside, {})
    return [ours[n].rate / theirs[n].rate for n in sorted(ours.keys() & theirs.keys()) if theirs[n].files]


def by_cpu(series: Series, beside: str) -> float:
    """The same of the seconds on the core, each at its least: what others on a busy machine take counts little."""
    ours, theirs = (min(r.cpu / r.files for r in series.runs[name].values() if r.files) for name in (OURS, beside))
    return theirs / ours


def spread(numbers: Iterable[float], form: str) -> str:
    """The median, least and most."""
    found = sorted(numbers)
    return f"{statistics.median(found):{form}} ({found[0]:{form}} - {found[-1]:{form}})" if found else "-"


def show(series: Series) -> None:
    head = ("instances/s, median (range)", "CPU ms", "ours is x times", "by CPU", "wrote", "leaks", "pixels")
    print(
        f"\n{series.name}\n{'':17}{head[0]:>29}{head[1]:>10}{head[2]:>22}{head[3]:>8}{head[4]:>10}{head[5]:>12}{head[6]:>10}"
    )
    for name, by_round in series.runs.items():
        runs, found = list(by_round.values()), series.scores[name]
        cpu = min(r.cpu / max(r.files, 1) for r in runs) * 1000
        written, leaks = f"{runs[0].files}/{runs[0].files + runs[0].refused}", f"{found.leaked}/{found.planted}"
        told = ("", "") if name == OURS else (spread(ratios(series, name), ".2f"), f"{by_cpu(series, name):.2f}")
        rate = f"{name:17}{spread((r.rate for r in runs), '.4g'):>29}{cpu:10.2f}"
        print(
            f"{rate}{told[0]:>22}{told[1]:>8}{written:>10}{leaks:>12}{f'{found.whole}/{found.files}':>10}", flush=True
        )


def judge(measured: Iterable[Series]) -> None:
    by_name = {series.name: series for series in measured}
    print("\nTargets (issue 3)")
    for target in TARGETS:
        found = ratios(by_name[target.corpus], target.beside)
        met = bool(found) and statistics.median(found) >= target.least
        cpu = by_cpu(by_name[target.corpus], target.beside)
        told = f"{spread(found, '.2f')} x {target.beside}, wanted {target.least:g}; by CPU {cpu:.2f}"
        print(f"{'met    ' if met else 'NOT MET'} {target.corpus:12} {told}")


def machine() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?: ?")
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {model.partition(': ')[2]}, Python {platform.python_version()}, {load}"


def usual_folder() -> Path:
    """In memory; where that has no room, where temporary files are."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY if roomy else Path(tempfile.gettempdir())


def pinned() -> None:
    """This process and all it starts, on the last core that it may use."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def part_of(folder: Path, files: int) -> Path:
    """A folder with the first of the files, as links."""
    part = new_folder("part")
    for file in sorted(folder.iterdir())[:files]:
        os.link(file, part / file.name)
    return part


def profile(warm: Path, source: Path, passes: int) -> None:
    """Where our time goes; read, clean and write in one process."""
    argv = [
        sys.executable,
        "-m",
        "tests.bench.deid_profile",
        str(warm),
        str(source),
        str(new_folder("deid")),
        str(passes),
    ]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=DEADLINE)


def main() -> None:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("-n", "--instances", type=int, default=400)
    wants.add_argument("-s", "--slow-instances", type=int, default=40, help="for tools that do some 30 a second")
    wants.add_argument("-f", "--frames", type=int, default=4000)
    wants.add_argument("-r", "--rounds", type=int, default=7)
    wants.add_argument("--folder", type=Path, default=usual_folder(), help="where the files are (%(default)s)")
    asked = wants.parse_args()
    tempfile.tempdir = str(asked.folder)
    pinned()
    print(f"{machine()}, files in {asked.folder}", flush=True)
    corpus = make_corpus(new_folder("corpus"), instances=asked.instances, frames=asked.frames)
    everybody = tools()
    warm = make_corpus(new_folder("warm"), instances=1, frames=3)
    sources = {False: corpus.ct, True: part_of(corpus.ct, asked.slow_instances)}
    ct = Corpus(sources, corpus.identifiers, next(warm.ct.iterdir()))
    measured = [measure(CT, ct, [everybody] * asked.rounds)]
    show(measured[0])
    profile(ct.warm, corpus.ct, 3)
    quick = [tool for tool in everybody if not tool.slow]
    sources = dict.fromkeys((False, True), corpus.enhanced)
    enhanced = Corpus(sources, corpus.identifiers, next(warm.enhanced.iterdir()))
    measured.append(measure(ENHANCED, enhanced, [everybody, *[quick] * (asked.rounds - 1)]))
    show(measured[1])
    profile(enhanced.warm, corpus.enhanced, 1)
    judge(measured)


if __name__ == "__main__":
    main()
