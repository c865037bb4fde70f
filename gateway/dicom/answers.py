"""Responses to C-FIND and C-MOVE as bytes (PS3.7 9.3.2, 9.3.4): fragments in, whole answers out. Pure.

As lenient as a PACS needs: the context of an answer is not looked at, nor the message that it says it answers (but see `asking`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.dicom.dimse import (
    ANSWERED_ID,
    DATA_SET_TYPE,
    FIELD,
    LONGEST_COMMAND,
    NO_DATA_SET,
    RESPONSE,
    STATUS,
    elements,
)
from gateway.dicom.pdu import Fragment, Violation

C_FIND, C_MOVE, C_CANCEL = 0x0020, 0x0021, 0x0FFF
LONGEST_ROW: Final = 1 << 24
"""Bytes of one answer's data set."""
_US: Final = struct.Struct("<H")


class Answer(NamedTuple):
    """One response: the elements of its command, and its data set as sent, b"" for none."""

    command: Mapping[int, bytes]
    data: bytes

    @property
    def status(self) -> int:
        """-1 for one that is no number, which is no success."""
        found = self.number(STATUS)
        return -1 if found is None or len(self.command[STATUS]) != _US.size else found

    def number(self, element: int) -> int | None:
        """The first number of an element; None where there is none."""
        raw = self.command.get(element, b"")
        return int(_US.unpack_from(raw)[0]) if len(raw) >= _US.size else None


class Arriving:
    """The answers to one request. `kind`: its command field."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._raw = bytearray()
        self._command: Mapping[int, bytes] | None = None  # of an answer whose data set is not whole

    @property
    def between(self) -> bool:
        """True when no answer has begun that is not whole."""
        return self._command is None and not self._raw

    def take(self, fragment: Fragment) -> list[Answer]:
        """The answers that it makes whole. Raises Violation.

        One that says that a data set follows, and is followed by the next answer, has none.
        """
        late = []
        if fragment.command and self._command is not None and not self._raw:
            late, self._command = [Answer(self._command, b"")], None
        if fragment.command is (self._command is not None):
            raise Violation("message.interleaved" if fragment.command else "data-set.without-command")
        self._raw += fragment.view
        if len(self._raw) > (LONGEST_COMMAND if fragment.command else LONGEST_ROW):
            raise Violation("answer.too-long")
        if not fragment.ends:
            return late
        raw, self._raw = bytes(self._raw), bytearray()
        if self._command is None:
            return late + self._commanded(elements(raw))
        answer, self._command = Answer(self._command, raw), None
        return [answer]

    def _commanded(self, command: Mapping[int, bytes]) -> list[Answer]:
        if command.get(FIELD) != _US.pack(self._kind | RESPONSE) or not (
            command.get(STATUS) and ANSWERED_ID in command
        ):
            raise Violation("answer.unexpected")
        if command.get(DATA_SET_TYPE, b"") == _US.pack(NO_DATA_SET):
            return [Answer(command, b"")]
        self._command = command
        return []
