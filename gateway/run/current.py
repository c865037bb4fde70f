"""The configuration in force, and how it is exchanged while the daemon runs: validated first, refused without touching anything."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import structlog

from gateway.errors import BadConfiguration, Fatal
from gateway.ops.health import try_path
from gateway.ops.httpd import listen_tcp
from gateway.run import wiring
from gateway.run.receivers import listen
from gateway.settings import Settings


class Current:
    """The configuration in force, and its listener. `began`: when the daemon did, in epoch and in monotonic seconds."""

    def __init__(
        self, settings: Settings, listener: socket.socket, path: Path, began: tuple[float, float] | None = None
    ) -> None:
        self.settings, self.listener = settings, listener
        self.began = began or (time.time(), time.monotonic())
        self._path = path

    def renewed(self) -> Current | None:
        """From the file, read again. None: it has mistakes or its port cannot be had, and everything goes on as it was."""
        log = structlog.get_logger()
        try:
            new = wiring.load_settings(self._path)
            self._check_fixed(new)
            self._check_later(new)
            return Current(new, self._listener(new), self._path, self.began)
        except BadConfiguration as err:
            log.error("daemon.reload.refused", count=len(err.mistakes), detail=err.detail)
        except Fatal as err:
            log.error("daemon.reload.refused", reason=err.reason, detail=err.detail)
        return None

    def _check_fixed(self, new: Settings) -> None:
        old = self.settings
        if (new.state_dir, new.database, new.node) != (old.state_dir, old.database, old.node):
            raise Fatal("daemon.reload", "state_dir, database and node change only with a restart")

    def _check_later(self, new: Settings) -> None:
        """What is made only when the life before has ended could be made now. Raises Fatal."""
        for _, source in wiring.sourced(new):
            wiring.make_sql_source(new, source)
        old = self.settings
        if new.metrics != old.metrics:
            own = new.metrics.port == old.metrics.port  # free by then
            listen_tcp(new.metrics.bind, 0 if own else new.metrics.port).close()
        if new.health.socket != old.health.socket:
            try_path(new.health.socket)

    def _listener(self, new: Settings) -> socket.socket:
        """The same one, as long as its address is. Raises Fatal("receiver.address")."""
        old = self.settings.receiver
        if (new.receiver.bind, new.receiver.port) == (old.bind, old.port):
            return self.listener
        try:
            return listen(new.receiver)
        except Fatal as err:
            if new.receiver.port != old.port:
                raise
            told = f"this daemon itself listens on {old.bind}:{old.port}; to {new.receiver.bind} only with a restart"
            raise Fatal(err.reason, told) from None
