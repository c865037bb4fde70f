"""The lean path: pynetdicom negotiates, then the association's own thread reads the socket and answers C-STORE and C-ECHO as bytes.

A C-STORE never becomes an object of pynetdicom's, and nothing sleeps (figures in docs/adr/0011-lean-receive.md). All else stays
pynetdicom's: whatever is no C-STORE or C-ECHO is given back to it, byte for byte, for the rest of the association (release, abort,
N-ACTION); so are all endings. Where what is leaned on is missing, pynetdicom does everything.

Leaned on in pynetdicom 3.0.4, held by tests/dicom/test_lean_contract.py: `Association.run_reactor` calls `self._run_reactor()` once
the association is established; that loop serves until the end, whatever was said before; `dul.event_queue` takes "Evt17"
(connection lost) and "Evt19" (invalid PDU: A-ABORT); the DUL reads through `socket.ready` and `socket.recv` only.
"""

from __future__ import annotations

import contextlib
import inspect
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from gateway.dicom.bell import Bell
from gateway.dicom.dimse import Context, Messages, Request, Stored, response
from gateway.dicom.gather import Gatherer
from gateway.dicom.pdu import Stream, Violation, p_data
from gateway.dicom.sockets import QuickSocket, acknowledge_at_once, read_some

BUFFER: Final = 1 << 18
"""Bytes read at once, and held by each association."""
QUIET: Final = 0.5
"""Seconds without a new message after which a stopping server ends an association."""
TURN: Final = 0.0005
"""Seconds between two looks at whether the association is accepted; it takes the DUL's thread about as long."""
DISCARD: Final = 1.0
"""Seconds that a peer which broke the protocol may take for what it still has to send."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds: `pdu` from a PDU's first byte to its last, `idle` between two PDUs."""

    pdu: float
    idle: float


def available() -> bool:
    """Whether pynetdicom has what is leaned on."""
    return "self._run_reactor()" in inspect.getsource(Association.run_reactor) and (
        "self.event_queue.get" in inspect.getsource(DULServiceProvider.run_reactor)
    )


class Lean:
    """A server's lean associations. `answer(association, request, data set)` is a DIMSE status and raises nothing."""

    def __init__(
        self, answer: Callable[[Association, Stored], int], *, gather: Gatherer, longest: int, deadlines: Deadlines
    ) -> None:
        self._answer, self._gather, self._longest, self._deadlines = answer, gather, longest, deadlines
        self._lock = threading.Lock()
        self._running: set[Conversation] = set()
        self._stopping = False

    def attend(self, assoc: Association) -> None:
        """Call in a handler of EVT_REQUESTED, for an association that will be accepted."""
        wrapper = assoc.dul.socket
        if isinstance(wrapper, QuickSocket) and wrapper.socket is not None:
            wrapper.taken = True
            plain = assoc._run_reactor  # noqa: SLF001
            assoc._run_reactor = lambda: self._converse(assoc, wrapper, plain)  # type: ignore[method-assign]  # noqa: SLF001

    def stop(self) -> None:
        """From now on associations end as soon as they fall silent between two messages."""
        with self._lock:
            self._stopping = True
            for conversation in self._running:
                conversation.stop()

    def _converse(self, assoc: Association, wrapper: QuickSocket, plain: Callable[[], None]) -> None:
        """In the association's thread: its whole life, ending in pynetdicom's own loop."""
        with contextlib.ExitStack() as until_its_end:
            conversation = self._begun(assoc, wrapper, until_its_end)
            if conversation is None:
                wrapper.give_back(b"")
            else:
                conversation.converse(self._answer)
        plain()

    def _begun(
        self, assoc: Association, wrapper: QuickSocket, until_its_end: contextlib.ExitStack
    ) -> Conversation | None:
        """None: it is closed already, or neither descriptor nor memory is left for it: pynetdicom serves it."""
        sock = wrapper.socket
        if sock is None:
            return None
        try:
            slab = self._gather.association()
            until_its_end.callback(slab.close)
            messages = Messages(_accepted(assoc), slab)
            conversation = Conversation(assoc, sock, Stream(self._longest), messages, self._deadlines)
        except (ValueError, OSError, MemoryError):
            return None
        until_its_end.callback(self._ended, conversation, wrapper)
        with self._lock:
            self._running.add(conversation)
            if self._stopping:
                conversation.stop()
        wrapper.hang_up = conversation.hang_up
        return conversation

    def _ended(self, conversation: Conversation, wrapper: QuickSocket) -> None:
        with self._lock:
            self._running.discard(conversation)
        wrapper.hang_up = None
        conversation.close()


class Conversation:
    """What is said on one association's socket, until it is given back."""

    def __init__(
        self, assoc: Association, sock: socket.socket, stream: Stream, messages: Messages, deadlines: Deadlines
    ) -> None:
        self._assoc, self._socket, self._stream, self._messages = assoc, sock, stream, messages
        self._deadlines = deadlines
        self._buffer = memoryview(bytearray(BUFFER))
        self._bell = Bell()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        self._stopping = self._hung_up = False
        self._last = self._began = time.monotonic()
        self._pdus, self._was_between = 0, True

    def stop(self) -> None:
        self._stopping = True
        self._bell.ring()

    def hang_up(self) -> None:
        self._hung_up = True
        self._bell.ring()

    def close(self) -> None:
        self._messages.close()
        self._bell.close()

    def converse(self, answer: Callable[[Association, Stored], int]) -> None:
        """Serves until the association is pynetdicom's again: a request that is not ours, another PDU, or an ending."""
        self._wait_for_acceptance()
        buffer = self._buffer
        try:
            while size := self._receive(buffer):
                for fragment in self._stream.feed(buffer[:size]):
                    message = self._messages.take(fragment)
                    if message is not None and not self._serve(message, answer):
                        return
                self._note_progress()
                if self._stream.foreign:
                    self._give_back(self._stream.rest())
                    return
        except Violation as broken:
            structlog.get_logger().warning("association.violation", reason=str(broken))
            self._socket.settimeout(DISCARD)
            self._tell_dul("Evt19")
        except OSError:  # the connection is gone, or its peer takes no answer
            self._tell_dul("Evt17")

    def _serve(self, message: Request | Stored, answer: Callable[[Association, Stored], int]) -> bool:
        """Answers. False: not one of ours, and given back."""
        if isinstance(message, Stored):
            try:
                self._respond(message.request, answer(self._assoc, message))
            finally:
                message.gathered.close()
        elif message.is_echo:
            self._respond(message, 0x0000)
        else:
            self._give_back(p_data(message.context_id, command=message.raw, longest=0) + self._stream.rest())
            return False
        self._last = time.monotonic()  # what we took for it is no silence of the peer's
        return True

    def _respond(self, request: Request, status: int) -> None:
        longest = self._assoc.requestor.maximum_length or 0
        self._socket.sendall(p_data(request.context_id, command=response(request, status), longest=longest))

    def _receive(self, buffer: memoryview) -> int:
        """Bytes read. 0: it is over, and said to pynetdicom how. Raises OSError."""
        while not self._hung_up and self._socket.fileno() >= 0:
            wait = self._patience()
            if wait <= 0:
                self._end_by_deadline()
                return 0
            if self._readable(wait):
                with contextlib.suppress(ssl.SSLWantReadError):
                    return self._read(buffer)
        self._abort()
        return 0

    def _read(self, buffer: memoryview) -> int:
        size = read_some(self._socket, buffer)
        if size:
            acknowledge_at_once(self._socket)
        else:
            self._give_back(b"")  # the DUL finds the connection closed
        return size

    def _patience(self) -> float:
        """Seconds that the peer may still take."""
        now = time.monotonic()
        if not self._stream.between:
            return self._began + self._deadlines.pdu - now
        idle = QUIET if self._stopping and self._messages.between else self._deadlines.idle
        return self._last + idle - now

    def _readable(self, seconds: float) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        found = {fd for fd, _ in self._poll.poll(seconds * 1000)}
        if self._bell.fileno() in found:
            self._bell.silence()
        return self._socket.fileno() in found

    def _note_progress(self) -> None:
        """For the deadlines: a PDU that began just now, and when the last one was whole."""
        if self._stream.between:
            self._last = time.monotonic()
        elif self._was_between or self._stream.begun != self._pdus:
            self._began = time.monotonic()
        self._pdus, self._was_between = self._stream.begun, self._stream.between

    def _wait_for_acceptance(self) -> None:
        """The A-ASSOCIATE-AC leaves in the DUL's thread; nothing of ours may come before it."""
        deadline = time.monotonic() + self._deadlines.pdu
        never = threading.Event()
        while self._assoc.dul.state_machine.current_state == "Sta3" and time.monotonic() < deadline:
            never.wait(TURN)

    def _end_by_deadline(self) -> None:
        if not self._stream.between:
            self._tell_dul("Evt17")
        else:
            self._abort()

    def _abort(self) -> None:
        self._assoc.abort(block=False)

    def _tell_dul(self, event: str) -> None:
        """The socket stays taken: nothing in it is worth reading."""
        self._assoc.dul.event_queue.put(event)
        wrapper = self._assoc.dul.socket
        if isinstance(wrapper, QuickSocket):
            wrapper.ring()

    def _give_back(self, rest: bytes) -> None:
        self._assoc.dul._idle_timer.restart()  # noqa: SLF001
        wrapper = self._assoc.dul.socket
        if isinstance(wrapper, QuickSocket):
            wrapper.give_back(rest)


def _accepted(assoc: Association) -> dict[int, Context]:
    return {
        cx.context_id: Context(str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
        for cx in assoc.accepted_contexts
        if cx.context_id is not None
    }
