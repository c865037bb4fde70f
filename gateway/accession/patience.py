"""Every wait for the RIS has a deadline, also where the driver knows none."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds. `connect`: until logged in. `answer`: for the query, then for each page. `total`: for a whole poll.

    `grace`: on top of `answer`, for the server to end the statement itself before we cut the connection.
    """

    connect: float = 10.0
    answer: float = 60.0
    grace: float = 5.0
    total: float = 900.0


class Patience:
    """Times the one wait that is going on. `ran_out`: a wait failed after as long as it was allowed to take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self.ran_out = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._since = time.monotonic()
        try:
            yield
        except BaseException:
            # a server's own timer may ring a little before ours
            self.ran_out |= self.over(-0.05 * self._seconds)
            raise
        finally:
            self._since = None

    def over(self, grace: float = 0.0) -> bool:
        """True while a wait goes on that is longer than allowed; asked from other threads too."""
        since = self._since
        return since is not None and time.monotonic() - since > self._seconds + grace


@contextmanager
def cutting(fileno: Callable[[], int] | None, patience: Patience, grace: float) -> Iterator[None]:
    """Shuts a connection's socket down when a wait on it runs out: libpq waits for ever for a server that hangs.

    `fileno` None: the driver has a socket time-out of its own. The descriptor is duplicated, so that none of another
    connection is ever hit.
    """
    if fileno is None:
        yield
        return
    end = threading.Event()
    with socket.socket(fileno=os.dup(fileno())) as ours:
        watch = threading.Thread(target=_watch, args=(ours, patience, grace, end), name="ris-patience", daemon=True)
        watch.start()
        try:
            yield
        finally:
            end.set()
            watch.join()


def _watch(ours: socket.socket, patience: Patience, grace: float, end: threading.Event) -> None:
    while not end.wait(0.2):
        if patience.over(grace):
            with suppress(OSError):  # it has ended by itself
                ours.shutdown(socket.SHUT_RDWR)
            return
