"""One screening process: looks at the pixels of what is held, with low priority and bounded memory and time.

Only this process, and the command `deid`, ever load the recogniser. What it cannot survive costs it one try at that file, and
the second time the file is left to a person (`cstore.screening`).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from gateway.errors import Fatal
from gateway.ops.metrics import RemoteCount
from gateway.run import wiring
from gateway.run.children import Kind
from gateway.run.opening import open_state
from gateway.run.process import begin
from gateway.run.worker import Role, Watch, work
from gateway.settings import Settings

NICE: Final = 15
MEMORY: Final = 4 << 30
"""Bytes the process may write to, beside the file it has mapped: a picture that unpacks to more cannot be screened."""
LONGEST: Final = 1800
"""Seconds for one file; then the kernel ends the process (SIGALRM), even where foreign code never returns."""
IDLE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
OOM_SCORE_ADJ: Final = Path("/proc/self/oom_score_adj")
OOM_SCORE: Final = "500"
"""When the machine is out of memory, this process goes first (proc(5), oom_score_adj)."""


def screen_kind(settings: Settings) -> Kind:
    """One process, none when no project has its pixels cleaned."""
    number = int(any(map(wiring.is_screened, settings.project)))
    return Kind("screen", "gateway.run.screen", number, drain=10.0, longest_pause=LONGEST_PAUSE)


def main() -> int:
    refused = _stand_back()
    begun = begin()
    if refused:
        structlog.get_logger().warning("screen.unbounded", reason=",".join(refused))
    count = RemoteCount(begun.pipe)
    failed: list[Fatal] = []

    def give_up(err: Fatal) -> None:
        failed.append(err)
        begun.stop.set()

    state = open_state(begun.settings)
    step = wiring.make_screen_step(begun.settings, state, count)
    begun.ready()
    role = Role("screen", _bounded(step.step), lambda: None, idle=IDLE)
    work(role, begun.stop, Watch(count, give_up))
    state.close()
    return 1 if failed else 0


def _bounded(step: Callable[[], bool]) -> Callable[[], bool]:
    def bounded() -> bool:
        signal.alarm(LONGEST)
        try:
            return step()
        finally:
            signal.alarm(0)

    return bounded


def _stand_back() -> list[str]:
    """Behind everything else on this machine. -> what the system does not allow; the screening goes on without.

    Before anything else: a process that nobody may inspect may not write into its own /proc either.
    """
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, NICE)),
        ("memory", lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))),
        ("oom", lambda: OOM_SCORE_ADJ.write_text(OOM_SCORE, encoding="ascii")),
    )
    refused = []
    for name, step in steps:
        try:
            step()
        except OSError:
            refused.append(name)
    return refused


if __name__ == "__main__":
    sys.exit(main())
