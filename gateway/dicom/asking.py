"""A question to a PACS by whoever asks it, without pynetdicom: its objects cost a millisecond for each answer.

pynetdicom has negotiated and keeps the association; while a question is open its DUL stands aside, and the asking thread writes
and reads the socket itself. What is no answer (release, abort, end of the connection) is given back to it, byte for byte.

Leaned on in pynetdicom 3.0.4, held by tests/dicom/test_asking_contract.py: the DUL reads through `socket.ready` and `socket.recv`
only, and sends nothing by itself while the association is established.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext

from gateway.dicom.answers import C_CANCEL, Answer, Arriving
from gateway.dicom.dimse import (
    ANSWERED_ID,
    DATA_SET_TYPE,
    DESTINATION,
    FIELD,
    MESSAGE_ID,
    NO_DATA_SET,
    PRIORITY,
    SOP_CLASS,
    command,
)
from gateway.dicom.identifier import UNREADABLE
from gateway.dicom.models import SYNTAXES
from gateway.dicom.pdu import Stream, Violation, p_data
from gateway.dicom.sockets import MAX_PDU, QuickSocket, acknowledge_at_once, read_some, shut
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import Refused, Retry

LOW: Final = 2  # priority: the hospital's own users come first
DATA_SET: Final = 0x0001
BUFFER: Final = 1 << 16
LOOK: Final = 0.25  # seconds between looks at whether the association is still there
ASIDE: Final = 5.0  # seconds within which the DUL's thread stands aside


def ended() -> Retry:
    return Retry("pacs.aborted", "the association ended before the answer was complete", charge=False)


class Question:
    """One open question. `pdu`: seconds from a PDU's first byte to its last. Every failure is a Retry("pacs.aborted").

    `stale`: the number of the last question, where its answers bore it: what bears it now is no answer to this one (F16).
    """

    def __init__(
        self, assoc: Association, sock: socket.socket, context: PresentationContext, kind: int, pdu: float
    ) -> None:
        self._assoc, self._socket, self._context, self._kind, self._pdu = assoc, sock, context, kind, pdu
        self._number = 0
        self.stale: int | None = None
        self.answered: int | None = None
        """Its number, if its last answer bore that: some PACS number theirs as they like."""
        self._stream, self._arriving = Stream(MAX_PDU), Arriving(kind)
        self._answers: deque[Answer] = deque()
        self._buffer = memoryview(bytearray(BUFFER))
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._began = 0.0
        self._over = False

    def ask(self, message_id: int, identifier: Dataset, *, destination: str = "") -> None:
        """`destination`: AE title, of a C-MOVE. Raises Refused("dicom.unencodable")."""
        syntax, self._number = self._syntax(), message_id
        data = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        if data is None:
            raise Refused("dicom.unencodable", "the question cannot be encoded")
        values: dict[int, bytes | int] = {SOP_CLASS: str(self._context.abstract_syntax).encode(), FIELD: self._kind}
        values[MESSAGE_ID] = message_id
        if destination:
            values[DESTINATION] = _even(destination)
        self._send(values | {PRIORITY: LOW, DATA_SET_TYPE: DATA_SET}, data)

    def cancel(self, message_id: int) -> None:
        """C-CANCEL (PS3.7 9.3.2.3)."""
        self._send({FIELD: C_CANCEL, ANSWERED_ID: message_id, DATA_SET_TYPE: NO_DATA_SET})

    def answer(self, seconds: float) -> Answer | None:
        """The next one; None when none is whole by then."""
        until = time.monotonic() + seconds
        while not self._answers:
            if self._over:
                raise ended()
            wait = until - time.monotonic()
            if wait <= 0:
                return None
            if self._readable(min(wait, LOOK)):
                self._read()
        found = self._answers.popleft()
        number = found.number(ANSWERED_ID)
        if number is not None and number == self.stale:
            raise ended()
        self.answered = number if number == self._number else None
        return found

    def row(self, answer: Answer) -> Dataset:
        """The data set, unconverted; an empty one when it cannot be decoded."""
        syntax = self._syntax()
        try:
            return decode(io.BytesIO(answer.data), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        except (*UNREADABLE, ArithmeticError):  # a sequence that is cut off is an OSError
            return Dataset()

    def close(self) -> None:
        """The association is pynetdicom's again, and at its end when something came behind the last answer."""
        if self._answers or not self._arriving.between:
            self._assoc.abort()
            shut(self._assoc)
        if not self._over:
            self._give_back(self._stream.rest())

    def _syntax(self) -> UID:
        return UID(str(self._context.transfer_syntax[0]))

    def _send(self, values: dict[int, bytes | int], data: bytes = b"") -> None:
        longest = self._assoc.acceptor.maximum_length or 0
        try:
            self._socket.sendall(
                p_data(self._context.context_id or 1, command=command(values), longest=longest, data=data)
            )
        except OSError:
            raise ended() from None

    def _readable(self, seconds: float) -> bool:
        dul = self._assoc.dul
        if self._socket.fileno() < 0 or not dul.is_alive() or dul.state_machine.current_state != "Sta6":
            raise ended()
        if not self._stream.between and time.monotonic() - self._began > self._pdu:
            raise ended()
        return (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0) or bool(
            self._poll.poll(seconds * 1000)
        )

    def _read(self) -> None:
        between, begun = self._stream.between, self._stream.begun
        try:
            size = read_some(self._socket, self._buffer)
            acknowledge_at_once(self._socket)
            for fragment in self._stream.feed(self._buffer[:size]):
                self._answers.extend(self._arriving.take(fragment))
        except ssl.SSLWantReadError:
            return
        except (OSError, Violation):
            raise ended() from None
        if between or self._stream.begun != begun:
            self._began = time.monotonic()
        if not size or self._stream.foreign:
            self._give_back(self._stream.rest())

    def unasked(self) -> bool:
        """Something is there before anything was asked. (Over TLS it may be no data.)"""
        return not isinstance(self._socket, ssl.SSLSocket) and bool(self._poll.poll(0))

    def _give_back(self, rest: bytes) -> None:
        self._over = True
        wrapper = self._assoc.dul.socket
        if isinstance(wrapper, QuickSocket):
            wrapper.give_back(rest)


@contextlib.contextmanager
def question(assoc: Association, model: str, kind: int, *, pdu: float, stale: int | None = None) -> Iterator[Question]:
    """On an association that has accepted `model`. `pdu`, `stale`: see `Question`. After a failure it is the caller's to abort."""
    wrapper = assoc.dul.socket
    context = next(cx for cx in assoc.accepted_contexts if cx.abstract_syntax == model)
    if not {*context.transfer_syntax} <= {*SYNTAXES}:
        raise Retry(
            "pacs.context-refused", "accepted with a syntax that was not proposed", after=CONFIG_PAUSE, charge=False
        )
    if not isinstance(wrapper, QuickSocket) or wrapper.socket is None:
        raise ended()
    assoc._reactor_checkpoint.clear()  # noqa: SLF001  its other thread stands still (`reactor`)
    if not wrapper.stand_aside(ASIDE):
        raise ended()
    asked = Question(assoc, wrapper.socket, context, kind, pdu)
    asked.stale = stale
    if asked.unasked():  # an answer that is late, or the end of the connection
        raise ended()
    yield asked
    asked.close()
    assoc._reactor_checkpoint.set()  # noqa: SLF001


def _even(ae_title: str) -> bytes:
    raw = ae_title.encode("ascii")
    return raw + b" " * (len(raw) & 1)
