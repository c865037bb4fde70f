"""A network namespace with one cable to this machine, which can be pulled: a node behind it is partitioned from all the others."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

OURS: Final = "10.77.{n}.1"
THEIRS: Final = "10.77.{n}.2"


@dataclass(frozen=True)
class Island:
    """`ours`, `theirs`: the addresses at both ends. A program started with `before` in front lives on it."""

    name: str
    cable: str
    ours: str
    theirs: str

    @property
    def before(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def pull(self) -> None:
        """Nothing passes, nothing is refused: packets go nowhere."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        _ip("link", "set", self.cable, "up")


@contextlib.contextmanager
def island(number: int) -> Iterator[Island]:
    """Skips the test where namespaces may not be made. `number`: one to 250, its own for each of a machine."""
    here = Island(f"gw{os.getpid()}n{number}", f"gw{os.getpid()}a"[:15], OURS.format(n=number), THEIRS.format(n=number))
    end = f"gw{os.getpid()}b"[:15]
    try:
        _ip("netns", "add", here.name)
    except (OSError, RuntimeError) as err:
        refuse = pytest.fail if os.environ.get("CI") == "true" and os.geteuid() == 0 else pytest.skip
        refuse(f"no network namespaces here ({type(err).__name__})")
    try:
        _ip("link", "add", here.cable, "type", "veth", "peer", "name", end, "netns", here.name)
        _ip("addr", "add", f"{here.ours}/30", "dev", here.cable)
        _ip("link", "set", here.cable, "up")
        for words in (
            ["addr", "add", f"{here.theirs}/30", "dev", end],
            ["link", "set", end, "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-n", here.name, *words)
        yield here
    finally:
        with contextlib.suppress(RuntimeError):
            _ip("link", "del", here.cable)
        _ip("netns", "del", here.name)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
