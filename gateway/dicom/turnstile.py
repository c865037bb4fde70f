"""Where connections are turned away for which there is no room: each is told so in DICOM's words, and all of them cost one thread.

An association of pynetdicom's has two threads from its first byte on. A crowd that comes at once would get no answer otherwise, and
a PACS takes a closed connection for something to report, a transient rejection for something to try again (PS3.8 9.3.4).
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.dicom.bell import Bell

ASSOCIATE_RQ: Final = 1
LONGEST: Final = 1 << 18  # bytes of a request that are waited for before it is answered
LINGER: Final = 2.0  # seconds that a peer may take to hang up after its answer
TICK: Final = 0.5
MOST: Final = 1024
"""Connections that are told at once; others are hung up on."""
HEAD: Final = struct.Struct(">BxI")


@dataclass
class Guest:
    """A connection, how its request begins, how much has come, and when its time is over (monotonic seconds)."""

    sock: socket.socket
    until: float
    head: bytes = b""
    said: int = 0
    answered: bool = False


class Turnstile:
    """`answer`: the PDU that each gets. `seconds`: to make a request. `spoke()`: one says something, or is hung up on unheard."""

    def __init__(self, answer: bytes, *, seconds: float, most: int = MOST, spoke: Callable[[], object] = tuple) -> None:
        self._answer, self._most, self._seconds, self._spoke = answer, most, seconds, spoke
        self._lock, self._bell, self._closed = threading.Lock(), Bell(), threading.Event()
        self._guests: dict[int, Guest] = {}
        self._thread = threading.Thread(target=self._run, name="turnstile", daemon=True)

    def take(self, sock: socket.socket) -> None:
        """From the accepting thread only; never waits. Raises RuntimeError when there are no threads left, and takes nobody."""
        if self._thread.ident is None:
            self._thread.start()
        with self._lock:
            welcome = len(self._guests) < self._most and not self._closed.is_set()
            if welcome:
                sock.setblocking(False)
                self._guests[sock.fileno()] = Guest(sock, time.monotonic() + self._seconds)
        if not welcome:
            sock.close()
            self._spoke()
            return
        self._bell.ring()

    def close(self) -> None:
        """Hangs up on those who are left."""
        self._closed.set()
        self._bell.ring()
        if self._thread.ident is not None:
            self._thread.join(TICK * 4)
        self._bell.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                guests = list(self._guests.values())
            ready = self._ready(guests)
            now = time.monotonic()
            for guest in guests:
                over = guest.sock.fileno() in ready and not self._listen(guest)
                if over or now > guest.until:
                    self._leave(guest)
        with self._lock:
            left = list(self._guests.values())
        for guest in left:
            self._leave(guest)

    def _ready(self, guests: list[Guest]) -> set[int]:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        for guest in guests:
            poll.register(guest.sock, select.POLLIN)
        found = {fd for fd, _ in poll.poll(TICK * 1000 if guests else None)}
        self._bell.silence()
        return found

    def _listen(self, guest: Guest) -> bool:
        """False: it has hung up, or is no DICOM peer."""
        try:
            some = guest.sock.recv(1 << 16)
            if some and not guest.said:
                self._spoke()
            if some and not guest.answered:
                guest.head = (guest.head + some[: HEAD.size])[: HEAD.size]
                guest.said += len(some)
                if self._has_asked(guest):
                    self._say(guest)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(some) and (guest.answered or guest.head[0] == ASSOCIATE_RQ)

    def _has_asked(self, guest: Guest) -> bool:
        if len(guest.head) < HEAD.size:
            return False
        kind, length = HEAD.unpack(guest.head)
        whole: int = min(HEAD.size + length, LONGEST)
        return kind == ASSOCIATE_RQ and guest.said >= whole

    def _say(self, guest: Guest) -> None:
        guest.answered, guest.until = True, time.monotonic() + LINGER
        guest.sock.send(self._answer)
        guest.sock.shutdown(socket.SHUT_WR)

    def _leave(self, guest: Guest) -> None:
        with self._lock:
            self._guests.pop(guest.sock.fileno(), None)
        guest.sock.close()
