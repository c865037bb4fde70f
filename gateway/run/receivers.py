"""The receive processes and the one listener they share, made or inherited once: connections wait in its queue while a process is
replaced."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.cstore.page import Page
from gateway.errors import Fatal
from gateway.run.children import Kind
from gateway.run.inherited import inherited
from gateway.settings import Receiver

BACKLOG = 512

BIND: Final = "correct `bind`: an address of this machine, 0.0.0.0 or :: for all"
MENDS: Final[Mapping[int, str]] = MappingProxyType({
    errno.EACCES: "ports below 1024 are systemd's to open: systemctl enable --now pacs-gateway.socket",
    errno.EADDRINUSE: "another program has the port: end it, or choose another port (the socket unit or the daemon may have it)",
})  # fmt: skip
"""By what the kernel says; of anything else the address is the cause."""


def listen(receiver: Receiver) -> socket.socket:
    """The one listening socket: systemd's, or our own. Raises Fatal("receiver.address"): what is found; the mend."""
    listener = inherited(receiver.port, os.environ, os.getpid()) or _bound(receiver)
    listener.setblocking(False)  # shared: whoever loses the race for a connection must not sleep on it
    return listener


def _bound(receiver: Receiver) -> socket.socket:
    family = socket.AF_INET6 if ":" in receiver.bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((receiver.bind, receiver.port))
        listener.listen(BACKLOG)
    except OSError as err:
        listener.close()
        told = f"{receiver.bind}:{receiver.port}: {err.strerror}; {MENDS.get(err.errno or 0, BIND)}"
        raise Fatal("receiver.address", told) from None
    return listener


def receive_kind(receiver: Receiver, listener: socket.socket, page: Page) -> Kind:
    return Kind("receive", "gateway.run.receive", processes(receiver), (listener.fileno(), page.fileno()))


def processes(receiver: Receiver) -> int:
    return os.cpu_count() or 1 if receiver.processes == "auto" else receiver.processes
