"""The long run of broken data sets: each must be refused or clean, soon and quietly.

python -m tests.deidentify.fuzz --count 100000 --seed 1 --minutes 30 --save /tmp/findings
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.dicom.part10 import peek, read_file
from gateway.errors import Refused
from gateway.model import Dropped, Held, Kept
from gateway.settings import Deidentify
from tests.deidentify.broken import DEFLATED, OWN, Case, inflated, make_case
from tests.deidentify.nested import OPTION_SETS, Options
from tests.deidentify.reading import survivors

LIMIT = 2.0
"""Seconds of this process's time, so that a busy machine is no hang; nothing in the engine sleeps."""


@dataclass
class Tally:
    """What became of the cases. `failures`: number, kind and what went wrong; never a value."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    seconds: float = 0.0


class Hung(BaseException):
    """The watchdog's own: no handler of the engine's catches it."""


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    def bark(signum: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGPROF, bark)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@lru_cache(32)
def cleaner_of(options: Options) -> Cleaner:
    return make_cleaner(project="alpha", deidentify=Deidentify(options=options), instance_rule=None, key=bytes(32))


def run_case(case: Case, scratch: Path) -> tuple[str, bytes]:
    """What became of it, and all bytes that came out, inflated, but for those of pixels.

    Pixels pass unread: what a broken file has put among them is told apart ("kept, value among pixels"), not hidden.
    """
    data, syntax = case.data, case.syntax
    if case.file:
        scratch.write_bytes(data)
        try:
            data, syntax = bytes((found := read_file(scratch))[0]), found[1]
        except Refused as refused:
            return refused.reason, b""
    with contextlib.suppress(Refused):
        peek(data, syntax)
    result = cleaner_of(case.options).clean(data, syntax, frozenset(OWN))
    if isinstance(result, Dropped):
        return f"{result.outcome} {result.reason}", b""
    assert isinstance(result, Kept | Held)
    output = b"".join(result.parts)
    if syntax == DEFLATED:
        output = b"".join(result.parts[:1]) + inflated(b"".join(result.parts[1:]))
    told = type(result).__name__.lower()
    header = b"".join(part for part in result.parts if not isinstance(part, memoryview))
    if syntax != DEFLATED and leaked(output) and not leaked(header):
        return f"{told}, value among pixels", header
    return told, output


def leaked(output: bytes) -> bool:
    return bool(survivors(output, [(value.encode(), value) for value in OWN]))


def try_case(case: Case, number: int, scratch: Path, tally: Tally) -> None:
    start, outcome = time.process_time(), ""
    try:
        with watched(LIMIT):
            outcome, output = run_case(case, scratch)
    except Hung:
        tally.failures.append((number, case.kind, "hangs"))
    except Exception as raised:  # noqa: BLE001 - that none comes is what is tested
        place = raised.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        tally.failures.append((number, case.kind, f"raises {type(raised).__name__} in {where}"))
    else:
        if leaked(output):
            tally.failures.append((number, case.kind, f"leaks ({outcome})"))
    took = time.process_time() - start
    tally.slowest = max(tally.slowest, (took, number, case.kind))
    tally.outcomes[outcome or "failed"] += 1
    tally.kinds[case.kind if "+" not in case.kind else "two at once"] += 1
    tally.cases += 1


def fuzz(seed: int, count: int, minutes: float, save: Path | None = None) -> Tally:
    """Runs the cases 1 to `count` of `seed`, or as many as the minutes allow."""
    for options in OPTION_SETS:
        cleaner_of(options)
    tally, begun = Tally(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, count + 1):
            case, failed = make_case(seed, number), len(tally.failures)
            try_case(case, number, Path(folder, "case.dcm"), tally)
            if save and len(tally.failures) > failed:
                save.mkdir(parents=True, exist_ok=True)
                (save / f"{seed}-{number}.bin").write_bytes(case.data)
            if time.perf_counter() - begun > minutes * 60:
                break
    tally.seconds = time.perf_counter() - begun
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--save", type=Path, default=None)
    given = parser.parse_args()
    tally = fuzz(given.seed, given.count, given.minutes, given.save)
    figures = {"cases": tally.cases, "seconds": round(tally.seconds), "rate": round(tally.cases / tally.seconds)}
    told = {
        **figures,
        "slowest": tally.slowest,
        "outcomes": dict(tally.outcomes.most_common()),
        "kinds": dict(tally.kinds),
    }
    print(json.dumps({**told, "failures": tally.failures[:200], "failed": len(tally.failures)}, indent=1))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
