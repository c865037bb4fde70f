"""One receive process: takes the settings on standard input, the listener and the counting pipe as descriptors.

Standard input stays open as the life line: when it ends, the supervisor is gone, and so is this process, at once. SIGTERM drains.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading

from gateway.dicom.quiet import silence
from gateway.ops import log
from gateway.ops.core import forbid_core_dumps, forbid_inspection
from gateway.ops.metrics import RemoteCount
from gateway.run import wiring
from gateway.settings import Settings

READY = b'"ready"\n'
BEAT = b'"beat"\n'
BEAT_SECONDS = 2.0


def main() -> int:
    forbid_core_dumps()
    forbid_inspection()
    listener_fd, pipe_fd = int(sys.argv[1]), int(sys.argv[2])
    settings: Settings = pickle.load(sys.stdin.buffer)
    silence()
    log.configure(sys.argv[3], sys.stderr)
    log.install_hooks()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_life_line, daemon=True).start()
    listener = socket.socket(fileno=listener_fd)
    server = wiring.make_server(settings, listener, RemoteCount(pipe_fd))
    threading.Thread(target=_beat, args=(pipe_fd, stop), daemon=True).start()
    os.write(pipe_fd, READY)
    server.serve(stop)
    return 0


def _life_line() -> None:
    while os.read(0, 1):
        continue
    os._exit(70)


def _beat(pipe_fd: int, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        try:
            os.write(pipe_fd, BEAT)
        except OSError:  # full, or the supervisor is gone: the life line decides
            continue


if __name__ == "__main__":
    sys.exit(main())
