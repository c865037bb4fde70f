"""Our engine on a folder: `python -m tests.bench.deid_ours WAY [OPTION...] WARM SOURCE DEST`; prints what `deid_peer.timed` tells.

`files`: each file read, cleaned, verified and written, without the sync that the product adds, as the other tools have none.
`memory`: the data sets are in memory beforehand, as the receiver has them, and the clean parts are not written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.dicom.part10 import read_file, write_file
from gateway.model import Buffer, Kept
from gateway.ops.core import seldom_collect
from gateway.settings import Deidentify
from tests.bench.deid_peer import WARM, Tool, timed

KEY = bytes(range(32))
OWN: frozenset[str] = frozenset()


class Refusal(ValueError):
    """No clean file was made of one."""


def make(options: tuple[str, ...]) -> Cleaner:
    return make_cleaner(project="bench", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)


def cleaned(cleaner: Cleaner, dataset: Buffer, transfer_syntax: str) -> tuple[Buffer, ...]:
    """The parts of the clean file. Raises Refusal for what is dropped or held."""
    done = cleaner.clean(dataset, transfer_syntax, OWN)
    if not isinstance(done, Kept):
        raise Refusal(done.reason)
    return done.parts


def through_files(cleaner: Cleaner) -> Tool:
    """As `pacs-gateway deid` reads and writes."""

    def run(source: Path, dest: Path) -> None:
        write_file(dest, cleaned(cleaner, *read_file(source)))

    return run


def in_memory(cleaner: Cleaner, source: Path) -> Tool:
    held = {path: read_file(path) for path in source.iterdir()}

    def run(source: Path, dest: Path) -> None:
        cleaned(cleaner, *held[source])

    return run


def main() -> None:
    way, *options, warm, source, dest = sys.argv[1:]
    cleaner = make(tuple(options))
    run = through_files(cleaner) if way == "files" else in_memory(cleaner, Path(source))
    through_files(cleaner)(Path(warm), Path(dest, WARM))
    seldom_collect()  # as the commands do
    print(json.dumps(timed(run, sorted(Path(source).iterdir()), Path(dest))))


if __name__ == "__main__":
    main()
