"""Small file systems of one's own, in a mount namespace that ends with its process: for root only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.daemon import REPOSITORY
from tests.support.process import program

EXT4_SHUTDOWN: Final = 0x8004587D  # _IOR('X', 125, __u32), fs/ext4/ext4.h
NO_LOG_FLUSH: Final = 2  # as when the power goes: nothing more is written, the journal neither
DEADLINE: Final = 20.0


def inside(module: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE WORDS` in a mount namespace of its own. Only root may: the test is skipped, or fails under CI=true."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("only root may mount file systems")
    argv = [program("unshare"), "--mount", "--propagation", "private", sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False, cwd=REPOSITORY)


@contextlib.contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[None]:
    """`folder` is a file system of `size` bytes in memory."""
    folder.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        run("umount", "--lazy", str(folder))


class Ext4:
    """`folder` is an ext4 file system on a file beside it."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._image = folder, folder.with_suffix(".img")
        folder.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(size)
        run("mkfs.ext4", "-q", str(self._image))
        self.mount()

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self._image), str(self._folder))

    def cut(self) -> None:
        """The power goes: what was not on stable storage is lost."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def sync(self) -> None:
        run("sync", "--file-system", str(self._folder))

    def unmount(self) -> None:
        unmount(self._folder)


def unmount(folder: Path) -> None:
    """Once whoever was killed there has gone."""
    until = time.monotonic() + DEADLINE
    while subprocess.run([program("umount"), str(folder)], capture_output=True, check=False).returncode:
        assert time.monotonic() < until, "the file system stays busy"
        time.sleep(0.02)


def run(*argv: str) -> None:
    words: Sequence[str] = [program(argv[0], Path("/sbin")), *argv[1:]]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
