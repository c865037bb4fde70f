"""One receive process: takes the listener as a descriptor, besides what every child process of the daemon gets."""

from __future__ import annotations

import socket
import sys

from gateway.ops.metrics import RemoteCount
from gateway.run import wiring
from gateway.run.process import begin


def main() -> int:
    begun = begin()
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = wiring.make_server(begun.settings, listener, RemoteCount(begun.pipe))
    begun.ready()
    server.serve(begun.stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
