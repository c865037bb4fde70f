"""What the daemon is told by signals."""

from __future__ import annotations

import os
import signal
import threading


class Signals:
    """SIGTERM and SIGINT: stop, a second one at once. SIGHUP: reload."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self._told = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self.reload.set())

    def _stop(self, *_: object) -> None:
        if self._told:
            os._exit(1)
        self._told = True  # not `stop`: that is set by what ends the daemon from inside, too, and its drain is not to be cut short
        self.stop.set()
