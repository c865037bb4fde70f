"""Associations one after the other, a C-ECHO in each, until standard input ends: `hammer.py PORT`, in the network of a machine.

Prints a line when the first was served, at the end how many were served, refused, and failed in another way.
"""

from __future__ import annotations

import socket
import sys
import threading

from tests.dicom import wire
from tests.support.process import HOST


def once(port: int) -> None:
    with socket.create_connection((HOST, port), timeout=60) as sock:
        sock.sendall(wire.associate_rq(calling="HOSPITALPACS"))
        assert wire.read_pdu(sock)[0] == 2
        sock.sendall(wire.echo())
        assert wire.status(sock) == 0
        sock.sendall(wire.RELEASE)
        assert wire.read_pdu(sock)[0] == 6


def until_told(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main() -> None:
    port, over = int(sys.argv[1]), threading.Event()
    threading.Thread(target=until_told, args=(over,), daemon=True).start()
    once(port)
    print("served", flush=True)
    served, refused, failed = 1, 0, 0
    while not over.wait(0.02):
        try:
            once(port)
        except ConnectionRefusedError:
            refused += 1
        except (OSError, AssertionError):
            failed += 1
        else:
            served += 1
    print(served, refused, failed)


if __name__ == "__main__":
    main()
