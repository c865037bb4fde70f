"""The power goes at random moments: `unshare --mount python -m tests.faults.power --count 20 [--unsynced]`, as root.

A SIGKILL loses nothing that a write has handed to the kernel, so it cannot show a missing fsync. Here the state lies on an
ext4 that is shut down without flushing its journal (EXT4_IOC_SHUTDOWN), with receive processes under load; then it is mounted
again, as after a power cut, and what was acknowledged must be there, be it without its ledger line where the file itself is
the fact. Without `--journal` the disk is too small for one, and every file goes into one that was prepared, or is synced itself.

`--unsynced`: fsync and fdatasync do nothing; `--unrecovered`: what is in the journal, or prepared, is lost. Either must be
found out.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from gateway.state.outbox import JOURNAL
from tests.faults.cuts import Cutting, corpus
from tests.faults.mounts import Ext4
from tests.faults.receivers import Warm
from tests.faults.site import Site

SIZE: Final = 256 << 20
LARGE: Final = 1 << 30
UNSYNCED: Final = (
    "strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0",
)  # fmt: skip


class Powered:
    """Receivers whose file system is gone with them, and there again at the next look."""

    def __init__(self, receivers: Warm, disk: Ext4, loses: Path | None = None) -> None:
        """`loses`: a folder that is gone after a cut."""
        self._receivers, self._disk, self._loses = receivers, disk, loses
        self.port = receivers.port

    def start(self) -> None:
        self._disk.sync()  # what the test has prepared
        self._receivers.start()

    def cut(self) -> None:
        self._disk.cut()
        self._receivers.cut()
        self._disk.unmount()
        self._disk.mount()
        if self._loses:
            shutil.rmtree(self._loses, ignore_errors=True)

    def close(self) -> None:
        self._receivers.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", action="store_true")
    parser.add_argument("--unsynced", action="store_true")
    parser.add_argument("--unrecovered", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="power-") as name:
        disk = Ext4(Path(name) / "disk", LARGE if words.journal else SIZE)
        studies, site = corpus(Path(name) / "source", studies=2), Site(Path(name) / "disk" / "site")
        site.plan(studies)
        lost = site.folder / "state" / "outbox" / JOURNAL if words.unrecovered else None
        receivers = Powered(Warm(site, prefix=UNSYNCED if words.unsynced else ()), disk, lost)
        cutting = Cutting(site, studies, receivers, random.Random(words.seed), power=True)
        try:
            for _ in range(words.count):
                cutting.cut()
        finally:
            receivers.close()
            disk.unmount()
    print(cutting.tally)
    return 1 if cutting.tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
