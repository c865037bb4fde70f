"""An archive that is a file system at its quota: `unshare --mount python -m tests.deliver.quota`, as root; prints what happened.

btrfs, for its quota groups hold for root as well, and statfs(2) tells of room that is not there: only a write says EDQUOT.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from gateway import settings
from gateway.deliver.directory import DirectorySink
from gateway.errors import Retry
from tests.deliver.clean import clean_file
from tests.faults.mounts import run, unmount

DISK: Final = 256 << 20
FILES: Final = 24
PIXELS: Final = 512 << 10


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="quota-") as name:
        folder = Path(name)
        disk, archive = folder / "disk", folder / "disk" / "archive"
        disk.mkdir()
        with (folder / "image").open("wb") as file:
            file.truncate(DISK)
        run("mkfs.btrfs", "-q", str(folder / "image"))
        run("mount", "-o", "loop", str(folder / "image"), str(disk))
        try:
            run("btrfs", "quota", "enable", str(disk))
            run("btrfs", "subvolume", "create", str(archive))
            limit(archive, FILES * PIXELS // 3)
            deliver(archive, [clean_file(folder / "outbox", n, pixels=PIXELS, fill=n) for n in range(FILES)])
        finally:
            unmount(disk)


def limit(archive: Path, size: int) -> None:
    run("btrfs", "qgroup", "limit", str(size), str(archive))


def deliver(archive: Path, files: list[Path]) -> None:
    """Until the quota is reached, with a look at what is there; then it is raised, and everything is put, what was there too."""
    sink, stopped = DirectorySink(settings.DirectorySink(path=archive)), ""
    put: list[Path] = []
    try:
        for file in files:
            sink.put(file)
            put.append(file)
    except Retry as err:
        stopped = err.reason
    there = {path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    print(f"stopped by {stopped} with some but not all: {0 < len(put) < len(files)}")
    print(f"only what was put is there, whole: {there == {file.read_bytes() for file in put}}")
    limit(archive, 2 * FILES * PIXELS)
    print(f"new then: {[sink.put(file).new for file in files] == [file not in put for file in files]}")
    print(f"confirmed: {sink.confirm(*files)}, {sum(path.is_file() for path in archive.rglob('*'))} files")


if __name__ == "__main__":
    main()
