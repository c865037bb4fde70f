"""How a child process of the daemon begins and tells that it lives; `children` is the other side.

It gets the settings on standard input, which stays open as the life line: when it ends, the supervisor is gone, and so is this
process, at once. SIGTERM drains. Its last three words are its place among those of its kind, the counting pipe, and the level of
its log.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass

from gateway.dicom.quiet import silence
from gateway.ops import log
from gateway.ops.core import forbid_core_dumps, one_heap, seldom_collect
from gateway.settings import Settings

READY = b'"ready"\n'
BEAT = b'"beat"\n'
BEAT_SECONDS = 2.0
BEATS_PER_COLLECTION = 10


@dataclass(frozen=True)
class Begun:
    """`place`: from 0. `pipe`: where counts go. `stop`: set by SIGTERM."""

    settings: Settings
    place: int
    pipe: int
    stop: threading.Event

    def ready(self) -> None:
        seldom_collect()
        os.write(self.pipe, READY)
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def _beat(self) -> None:
        beats = 0
        while not self.stop.wait(BEAT_SECONDS):
            beats += 1
            if beats % BEATS_PER_COLLECTION == 0:
                gc.collect()
            try:
                os.write(self.pipe, BEAT)
            except OSError:  # full, or the supervisor is gone: the life line decides
                continue


def begin() -> Begun:
    """First of all in the process's `main`."""
    forbid_core_dumps()
    one_heap()
    settings: Settings = pickle.load(sys.stdin.buffer)  # noqa: S301  written by our own supervisor
    silence()
    log.configure(sys.argv[-1], sys.stderr)
    log.install_hooks()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_life_line, daemon=True).start()
    return Begun(settings, int(sys.argv[-3]), int(sys.argv[-2]), stop)


def _life_line() -> None:
    while os.read(0, 1):
        continue
    os._exit(70)
