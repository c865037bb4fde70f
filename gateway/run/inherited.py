"""A listening socket that systemd made for us, by pacs-gateway.socket (sd_listen_fds(3)).

So a port below 1024 needs no capability, and who connects while the daemon restarts waits in its queue.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from gateway.errors import Fatal

FIRST: Final = 3  # SD_LISTEN_FDS_START
UNIT: Final = "pacs-gateway.socket"


def inherited(port: int, environ: Mapping[str, str], pid: int) -> socket.socket | None:
    """A descriptor of our own for it; None when there is no such socket.

    Raises Fatal("receiver.address") when there are, but for other ports: who connects there would wait for ever.
    """
    found = [FIRST + i for i in range(_number(environ, pid))]
    if not found:
        return None
    ports = []
    for descriptor in found:
        listener = socket.socket(fileno=os.dup(descriptor))  # a reload may ask again
        at = listener.getsockname()
        if isinstance(at, tuple) and at[1] == port:
            return listener
        ports.append(str(at[1]) if isinstance(at, tuple) else "a path")
        listener.close()
    told = (
        f"{UNIT} listens on {', '.join(ports)}, receiver.port is {port}; make them the same, or disable the socket unit"
    )
    raise Fatal("receiver.address", told)


def _number(environ: Mapping[str, str], pid: int) -> int:
    """How many were passed to this very process: its children see the variables too."""
    if environ.get("LISTEN_PID") != str(pid):
        return 0
    number = environ.get("LISTEN_FDS", "")
    return int(number) if number.isdecimal() else 0
