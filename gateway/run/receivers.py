"""The receive processes and the one listener they share, made or inherited once: connections wait in its queue while a process is
replaced."""

from __future__ import annotations

import os
import socket

from gateway.cstore.page import Page
from gateway.errors import Fatal
from gateway.run.children import Kind
from gateway.run.inherited import inherited
from gateway.settings import Receiver

BACKLOG = 512


def listen(receiver: Receiver) -> socket.socket:
    """The one listening socket: systemd's, or our own. Raises Fatal("receiver.address") when it cannot be had."""
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
        mend = "another program has the port, or ports below 1024 need the socket unit"
        raise Fatal("receiver.address", f"{receiver.bind}:{receiver.port}: {err.strerror}; {mend}") from None
    return listener


def receive_kind(receiver: Receiver, listener: socket.socket, page: Page) -> Kind:
    return Kind("receive", "gateway.run.receive", processes(receiver), (listener.fileno(), page.fileno()))


def processes(receiver: Receiver) -> int:
    return os.cpu_count() or 1 if receiver.processes == "auto" else receiver.processes
