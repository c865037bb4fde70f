"""Another tool on a folder: `python deid_peer.py TOOL WARM SOURCE DEST`, in the peers' own environment, nothing of ours imported.

Each tool as its user would run it at its best on many files: one process, set up before the clock starts, its own defaults. A
file that it refuses is left out and counted. Prints what `deid.Run` reads: files written, files refused, seconds, CPU seconds.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

Tool = Callable[[Path, Path], None]
WARM: Final = "warm"
"""What the first file is written to, which is not timed: tables that are read when first needed are no part of the work."""


def dcmanon() -> Tool:
    """Rust, with the Python interface that its package offers; it reads the file by itself and returns bytes."""
    anonymizer = importlib.import_module("dcmanon").Anonymizer()

    def run(source: Path, dest: Path) -> None:
        made = anonymizer.anonymize(str(source))
        with dest.open("wb") as file:
            file.write(made)

    return run


def dicognito() -> Tool:
    """Through its Python interface, as its manual shows; the command of 0.19.0 stops with a TypeError."""
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer(seed="bench")
    dcmread = importlib.import_module("pydicom").dcmread

    def run(source: Path, dest: Path) -> None:
        with dcmread(source) as ds:
            anonymizer.anonymize(ds)
            ds.save_as(dest)

    return run


def dicom_anonymizer() -> Tool:
    """Its one function for a file, which is what its command does in a loop; its newest table."""
    module = importlib.import_module("dicomanonymizer.simpledicomanonymizer")
    rules = module.initialize_actions("dicomfields_2026c")

    def run(source: Path, dest: Path) -> None:
        module.anonymize_dicom_file(str(source), str(dest), base_rules_gen=lambda: dict(rules))

    return run


def copy() -> Tool:
    """The least there is to do, in this very loop."""

    def run(source: Path, dest: Path) -> None:
        shutil.copyfile(source, dest)

    return run


TOOLS: Final = {"dcmanon": dcmanon, "dicognito": dicognito, "dicom-anonymizer": dicom_anonymizer, "copyfile": copy}


def timed(run: Tool, sources: Iterable[Path], dest: Path) -> dict[str, float]:
    """Files are named as their sources are. What a tool raises on a bad file is its own affair: it counts as refused."""
    (dest / WARM).unlink(missing_ok=True)
    files = refused = 0
    started, used = time.perf_counter(), time.process_time()
    for source in sources:
        target = dest / source.name
        try:
            run(source, target)
            files += 1
        except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
            target.unlink(missing_ok=True)
            refused += 1
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return {"files": files, "refused": refused, "seconds": seconds, "cpu": cpu}


def main() -> None:
    tool, warm, source, dest = sys.argv[1], *map(Path, sys.argv[2:])
    warnings.simplefilter("ignore")
    logging.disable()
    run = TOOLS[tool]()
    run(warm, dest / WARM)
    print(json.dumps(timed(run, sorted(source.iterdir()), dest)))


if __name__ == "__main__":
    main()
