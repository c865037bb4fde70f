"""The real daemon with a leak: each answer to /status keeps a file descriptor, a thread now and then, and 64 KiB."""

import os
import sys
import threading

from gateway.ops.health import Board
from gateway.run.cli import main

KEPT: list[tuple[int, bytes]] = []
EVERY = 10
snapshot = Board.snapshot


def leaky(self: Board) -> dict[str, object]:
    KEPT.append((os.dup(2), os.urandom(1 << 16)))
    if len(KEPT) % EVERY == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return snapshot(self)


if __name__ == "__main__":
    Board.snapshot = leaky  # type: ignore[method-assign]
    sys.exit(main())
