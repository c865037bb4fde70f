"""`python -m tests.faults.warm CONFIG LISTENER`: receive processes that are there at once, as often as they are cut.

Everything is loaded once; each line "N" on standard input forks a process group of N receivers, each with what
`gateway.run.receive` serves (`wiring.make_server`), and the number of the group is told when all of them are ready.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

from gateway.cstore.page import Page
from gateway.dicom.quiet import silence
from gateway.ops import log
from gateway.run import wiring
from gateway.run.nodes import kept_keys
from gateway.settings import Settings
from tests.bench.receiver import Uncounted


def main() -> None:
    settings = wiring.load_settings(Path(sys.argv[1]))
    silence()
    log.configure("error", sys.stderr)
    for project in settings.project:
        wiring.make_cleaner(project, kept_keys(settings))  # what it remembers for all is loaded before the first fork
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    for line in sys.stdin:
        ready, tell = os.pipe()
        page = Page(len(settings.pacs))
        group = _fork_group(settings, page, int(line), tell)
        os.close(tell)
        for _ in range(int(line)):
            assert os.read(ready, 1) == b"r", "a receiver did not start"
        os.close(ready)
        sys.stdout.write(f"{group}\n")
        sys.stdout.flush()
        os.waitpid(group, 0)
        page.close()


def _fork_group(settings: Settings, page: Page, number: int, tell: int) -> int:
    group = os.fork()
    if group == 0:
        os.setsid()
        for _ in range(number - 1):
            if os.fork() == 0:
                break
        _serve(settings, page, tell)
    return group


def _serve(settings: Settings, page: Page, tell: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server = wiring.make_server(settings, socket.socket(fileno=int(sys.argv[2])), Uncounted(), page, stop)
    os.write(tell, b"r")
    server.serve(stop)
    os._exit(0)


if __name__ == "__main__":
    main()
