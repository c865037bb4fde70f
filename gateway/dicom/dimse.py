"""C-STORE and C-ECHO as bytes (PS3.7 9.3.1, 9.3.5): fragments in, whole requests out; responses as a command set.

Pure. One message at a time: nobody who was not offered asynchronous operations may begin a second one (PS3.7 D.3.3.3), so
a message that begins inside another, on whatever context, is a violation, as is a data set without its command.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from gateway.dicom.pdu import Fragment, Violation
from gateway.model import Buffer

C_STORE_RQ, C_ECHO_RQ = 0x0001, 0x0030
RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101
KNOWN: Final = frozenset(
    request | answer
    for request in (C_STORE_RQ, 0x0010, 0x0020, 0x0021, C_ECHO_RQ, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150)
    for answer in (0, RESPONSE)
) | {0x0FFF}
"""All there are (PS3.7 E.1). Another one would end pynetdicom's thread by an exception."""
VERIFICATION: Final = "1.2.840.10008.1.1"

LONGEST_COMMAND: Final = 1 << 14
"""Bytes. Real ones stay below 500."""
LONGEST_UID: Final = 256
"""Characters: four times what is legal (PS3.5 9.1). UIDs are opaque to us."""

_ELEMENT: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<H")
SOP_CLASS, FIELD, MESSAGE_ID, ANSWERED_ID, DESTINATION, PRIORITY, DATA_SET_TYPE, STATUS, SOP_INSTANCE = (
    0x0002, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x1000,
)  # fmt: skip
"""Elements of group 0000 (PS3.7 E.1)."""


class Context(NamedTuple):
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


class Gathering(Protocol):
    """Where a data set is put together. `done` is called once, `close` always: what is gathered is void after it."""

    def add(self, view: memoryview) -> None: ...
    def done(self) -> Buffer: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Request:
    """A request whose command set is whole. UIDs are not in repr."""

    context_id: int
    context: Context
    kind: int  # Command Field
    message_id: int
    sop_class: bytes = field(repr=False)  # as sent, padding too
    sop_instance: bytes = field(repr=False)
    has_data_set: bool
    raw: bytes = field(repr=False)

    @property
    def is_store(self) -> bool:
        return self.kind == C_STORE_RQ

    @property
    def is_echo(self) -> bool:
        return self.kind == C_ECHO_RQ and not self.has_data_set and text(self.sop_class) == VERIFICATION


class Stored(NamedTuple):
    """A C-STORE request with all of its data set. Close `gathered` when it is answered."""

    request: Request
    gathered: Gathering


class Messages:
    """One association's incoming messages. `contexts`: by ID, as accepted; `gather`: makes room for one data set."""

    def __init__(self, contexts: Mapping[int, Context], gather: Callable[[Context], Gathering]) -> None:
        self._contexts, self._gather = contexts, gather
        self._command = bytearray()
        self._began: int | None = None  # the context of a command that is not whole
        self._store: Stored | None = None  # a command whose data set is not whole

    @property
    def between(self) -> bool:
        """True when no message has begun that is not whole."""
        return self._began is None and self._store is None

    def take(self, fragment: Fragment) -> Request | Stored | None:
        """A C-STORE once its data set is whole; any other request once its command is. Raises Violation."""
        if fragment.command:
            return self._take_command(fragment)
        store = self._store
        if store is None:
            raise Violation("data-set.without-command")
        if fragment.context != store.request.context_id:
            raise Violation("message.interleaved")
        store.gathered.add(fragment.view)
        if not fragment.ends:
            return None
        self._store = None
        return store

    def close(self) -> None:
        """The association has ended, whatever had begun."""
        if self._store is not None:
            self._store.gathered.close()
            self._store = None

    def _take_command(self, fragment: Fragment) -> Request | Stored | None:
        if self._store is not None:
            raise Violation("message.interleaved")
        if self._began not in (None, fragment.context):
            raise Violation("message.interleaved")
        context = self._contexts.get(fragment.context)
        if context is None:
            raise Violation("context.not-accepted")
        self._began = fragment.context
        if len(self._command) + len(fragment.view) > LONGEST_COMMAND:
            raise Violation("command.too-long")
        self._command += fragment.view
        if not fragment.ends:
            return None
        raw, self._command, self._began = bytes(self._command), bytearray(), None
        request = parse(raw, fragment.context, context)
        if not request.is_store:
            return request
        stored = Stored(request, self._gather(context))
        if not request.has_data_set:
            return stored
        self._store = stored
        return None


def parse(raw: bytes, context_id: int, context: Context) -> Request:
    """A command set (PS3.7 6.3.1: Implicit VR Little Endian, group 0000). Raises Violation."""
    found = elements(raw)
    try:
        kind, data_set = (_US.unpack(found[element])[0] for element in (FIELD, DATA_SET_TYPE))
        message_id = _US.unpack(found.get(MESSAGE_ID, b"\0\0"))[0]
    except (KeyError, struct.error):
        raise Violation("command.incomplete") from None
    sop_class, sop_instance = found.get(SOP_CLASS, b""), found.get(SOP_INSTANCE, b"")
    if max(len(sop_class), len(sop_instance)) > LONGEST_UID:
        raise Violation("command.uid")
    if kind not in KNOWN:
        raise Violation("command.unknown")
    if kind == C_STORE_RQ and not (MESSAGE_ID in found and sop_class and sop_instance):
        raise Violation("command.incomplete")
    return Request(context_id, context, kind, message_id, sop_class, sop_instance, data_set != NO_DATA_SET, raw)


def elements(raw: bytes) -> dict[int, bytes]:
    """A command set, by element of group 0000. Raises Violation."""
    found: dict[int, bytes] = {}
    at, size = 0, len(raw)
    while at < size:
        if size - at < _ELEMENT.size:
            raise Violation("command.cut-off")
        group, element, length = _ELEMENT.unpack_from(raw, at)
        at += _ELEMENT.size
        if group or length > size - at:
            raise Violation("command.malformed")
        found[element] = raw[at : at + length]
        at += length
    return found


def response(request: Request, status: int) -> bytes:
    """The command set of a response to a C-STORE or C-ECHO request (PS3.7 9.3.1.2, 9.3.5.2)."""
    answer: dict[int, bytes | int] = {
        SOP_CLASS: request.sop_class, FIELD: request.kind | RESPONSE, ANSWERED_ID: request.message_id,
        DATA_SET_TYPE: NO_DATA_SET, STATUS: status,
    }  # fmt: skip
    return command(answer | ({SOP_INSTANCE: request.sop_instance} if request.sop_instance else {}))


def command(values: Mapping[int, bytes | int]) -> bytes:
    """A command set of these elements in their order; a number is a US."""
    body = b"".join(_element(e, _US.pack(v) if isinstance(v, int) else v) for e, v in values.items())
    return _element(0, struct.pack("<I", len(body))) + body


def _element(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) & 1)  # a peer may have sent an odd one; ours are even (PS3.5 7.1.1)
    return _ELEMENT.pack(0, element, len(value)) + value


def text(uid: bytes) -> str:
    """A UID as it is told: padding off, nothing judged."""
    return uid.decode("latin-1").strip("\0 ")
