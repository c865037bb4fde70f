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
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self.reload.set())

    def _stop(self, *_: object) -> None:
        if self.stop.is_set():
            os._exit(1)
        self.stop.set()
