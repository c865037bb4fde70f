"""P-DATA-TF on the wire (PS3.8 9.3.5, Annex E): bytes in, fragments out; and a message's bytes back into PDUs.

Pure: no socket, no clock, nothing kept but the header that a read cut in two. Every length is checked before it is believed, so
what a peer claims costs nothing: a fragment is handed on as it comes in, however long it says it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

P_DATA: Final = 4
COMMAND, LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2); the others are not looked at."""
SLACK: Final = 12
"""Bytes by which a PDU may exceed what we announced: some senders do not count its headers (PS3.8 D.1)."""

_PDU: Final = struct.Struct(">BxI")
_PDV: Final = struct.Struct(">IBB")
_HEAD: Final = 6  # bytes of either header, of a PDU and of a PDV
_CONTROL: Final = 2  # bytes of a PDV behind its length: context, message control header


class Violation(Exception):
    """The peer broke the protocol; the association cannot go on. The argument is a slug."""


class Fragment(NamedTuple):
    """A piece of a PDV as it was read. `view` lies in the buffer given to `feed`: copy it before the next read.

    `ends`: this piece ends its PDV, and as the PDV is the message's last, the command or data set is whole.
    """

    context: int
    command: bool
    view: memoryview
    ends: bool


class Stream:
    """One association's incoming PDUs. `longest`: the maximum length that was announced to the peer (bytes)."""

    def __init__(self, longest: int) -> None:
        self._longest = longest + SLACK
        self._cut = b""  # the beginning of a header whose end is still to come
        self._pdu = self._pdv = 0  # bytes still to come
        self._context = self._control = 0
        self._view = memoryview(b"")
        self._at = 0
        self.begun = 0  # PDUs
        self.foreign = False
        """Here begins a PDU of another type; `rest` gives it, and nothing more can be fed."""

    @property
    def between(self) -> bool:
        """True when no PDU has begun that is not whole."""
        return not (self._pdu or self._cut)

    def feed(self, view: memoryview) -> Iterator[Fragment]:
        """All fragments in `view`, in order. Raises Violation. `rest` may be asked between two of them."""
        self._view, self._at = view, 0
        while self._at < len(view) and not self.foreign:
            if self._pdv or self._begins():
                yield self._piece()

    def rest(self) -> bytes:
        """What has not been handed on, as a stream that another reader can go on with; a PDU under way gets a header anew."""
        begun = _PDU.pack(P_DATA, self._pdu) if self._pdu else b""
        return begun + self._cut + bytes(self._view[self._at :])

    def _piece(self) -> Fragment:
        start = self._at
        size = min(self._pdv, len(self._view) - start)
        self._at = start + size
        self._pdv -= size
        self._pdu -= size
        control = self._control
        ends = control & LAST != 0 and not self._pdv
        return Fragment(self._context, control & COMMAND != 0, self._view[start : self._at], ends)

    def _begins(self) -> bool:
        """Reads the next header, a PDU's or a PDV's. True: an empty fragment may be handed on."""
        if self._pdu and self._pdu < _HEAD:
            raise Violation("pdv.cut-off")
        head = self._header()
        if not head:
            return False
        if not self._pdu:
            self._begin_pdu(head)
            return False
        return self._begin_pdv(head)

    def _header(self) -> bytes:
        """Six bytes, or none yet."""
        head = self._cut + bytes(self._view[self._at : self._at + _HEAD - len(self._cut)])
        self._at += len(head) - len(self._cut)
        self._cut = head if len(head) < _HEAD else b""
        return b"" if self._cut else head

    def _begin_pdu(self, head: bytes) -> None:
        kind, length = _PDU.unpack(head)
        if kind != P_DATA:
            self.foreign, self._cut = True, head
            return
        if length > self._longest:
            raise Violation("pdu.too-long")
        if length < _HEAD:
            raise Violation("pdu.empty")
        self._pdu = length
        self.begun += 1

    def _begin_pdv(self, head: bytes) -> bool:
        length, self._context, self._control = _PDV.unpack(head)
        self._pdu -= _HEAD
        self._pdv = length - _CONTROL
        if not 0 <= self._pdv <= self._pdu:
            raise Violation("pdv.length")
        return not self._pdv


def p_data(context: int, *, command: bytes, longest: int, data: bytes = b"") -> bytes:
    """The PDUs of a command, and of its data set. `longest`: the peer's maximum length (PS3.8 D.1), 0 for none."""
    return _pdus(context, COMMAND, command, longest) + _pdus(context, 0, data, longest)


def _pdus(context: int, control: int, message: bytes, longest: int) -> bytes:
    room = max(longest - _HEAD, 1) if longest else max(len(message), 1)
    pieces = [message[at : at + room] for at in range(0, len(message), room)]
    last = len(pieces) - 1
    return b"".join(
        _PDU.pack(P_DATA, len(piece) + _HEAD)
        + _PDV.pack(len(piece) + _CONTROL, context, control | (LAST if number == last else 0))
        + piece
        for number, piece in enumerate(pieces)
    )
