"""Where our time goes, by instance: `python -m tests.bench.deid_profile WARM SOURCE DEST PASSES`.

Steps are timed from outside, by a clock put around the functions that the cleaner calls; it costs about a microsecond a step.
`rest` is what the cleaner does between them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.deidentify import cleaner
from gateway.deidentify.walker import Walker
from tests.bench import deid_ours
from tests.bench.deid_peer import WARM

STEPS: Final[tuple[tuple[object, str], ...]] = (
    (deid_ours, "read_file"),
    (cleaner, "preview"),
    (cleaner, "harvest"),
    (Walker, "walk"),
    (cleaner, "judge"),
    (cleaner, "verify"),
    (cleaner, "file_meta"),
    (deid_ours, "write_file"),
)
"""Who calls it, by which name."""


def timed(step: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def run(*args: object, **named: object) -> object:
        started = time.perf_counter()
        try:
            return step(*args, **named)
        finally:
            spent[name] += time.perf_counter() - started

    return run


def main() -> None:
    (warm, source, dest), passes = map(Path, sys.argv[1:4]), int(sys.argv[4])
    spent = dict.fromkeys((name for _, name in STEPS), 0.0)
    for owner, name in STEPS:
        setattr(owner, name, timed(getattr(owner, name), name, spent))
    files = sorted(source.iterdir())
    run = deid_ours.through_files(deid_ours.make(()))
    run(warm, dest / WARM)
    spent.update(dict.fromkeys(spent, 0.0))
    started = time.perf_counter()
    for _ in range(passes):
        for file in files:
            run(file, dest / file.name)
    whole, number = time.perf_counter() - started, passes * len(files)
    spent["rest"] = whole - sum(spent.values())
    print(
        f"\n{whole / number * 1e6:.0f} us an instance: "
        + ", ".join(f"{n} {s / number * 1e6:.0f}" for n, s in spent.items())
    )


if __name__ == "__main__":
    main()
