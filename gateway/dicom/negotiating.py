"""A-ASSOCIATE-RQ and -AC before pynetdicom reads them: without what is skipped or not tested (PS3.8 9.3.2, 9.3.3). Pure.

pynetdicom 3.0.4 aborts, or its threads die, for an item that it does not know, for what is only told (an implementation's version
name with a NUL in it), for a context without a transfer syntax and for the rest of one that was refused. DCMTK minds none of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from gateway.model import Buffer

ASSOCIATE: Final = (0x01, 0x02)
FIXED: Final = 74  # bytes before the first item
VERSION, CALLED, CALLING = slice(6, 8), slice(10, 26), slice(26, 42)
ONE: Final = b"\0\1"
PROPOSED, ANSWERED, TRANSFER_SYNTAX, USER = 0x20, 0x21, 0x40, 0x50
OUTER: Final = frozenset({0x10, PROPOSED, ANSWERED, USER})
LONGEST_PDU = 0x51
INNER: Final = frozenset({LONGEST_PDU, 0x52, 0x54})
"""Maximum length, implementation class and roles. The rest we neither offer nor answer (PS3.7 D.3.3), or it is only told."""

MOST, LEAST = 1 << 17, 8
"""Bytes of a PDU that we send. Who takes any (0) would get a file as one, in memory several times over."""

_HEAD: Final = struct.Struct(">BxH")


def plain(raw: bytearray) -> bytearray:
    """Other PDUs, and those that are cut off, as they are."""
    if len(raw) < FIXED or raw[0] not in ASSOCIATE:
        return raw
    try:
        items = b"".join(
            _item(kind, _needed(kind, value)) for kind, value in _items(raw[FIXED:]) if _is_item(kind, value)
        )
    except (struct.error, IndexError):
        return raw
    version = ONE if raw[7] & 1 else raw[VERSION]  # a bit for each version; the others' are not tested
    titles = _title(raw[CALLED]) + _title(raw[CALLING])
    body = version + raw[8:10] + titles + raw[42:FIXED] + items
    return raw[:2] + struct.pack(">I", len(body)) + body


def _items(raw: Buffer) -> Iterator[tuple[int, bytes]]:
    """Raises struct.error."""
    at = 0
    while at < len(raw):
        kind, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield kind, struct.unpack_from(f"{length}s", raw, at)[0]
        at += length


def _item(kind: int, value: bytes) -> bytes:
    return _HEAD.pack(kind, len(value)) + value


def _is_item(kind: int, value: bytes) -> bool:
    if kind == PROPOSED:
        return value[0] & 1 == 1 and any(inner == TRANSFER_SYNTAX for inner, _ in _items(value[4:]))
    return kind in OUTER


def _needed(kind: int, value: bytes) -> bytes:
    if kind == ANSWERED and value[2]:
        return value[:4]  # the transfer syntax of a context that was refused is not significant
    if kind == USER:
        return b"".join(_item(inner, _needed(inner, told)) for inner, told in _items(value) if inner in INNER)
    if kind == LONGEST_PDU:
        return struct.pack(">I", _longest(*struct.unpack(">I", value)))
    return value


def _longest(announced: int) -> int:
    """Even: DCMTK takes no fragment of odd length."""
    return max(min(announced or MOST, MOST) & ~1, LEAST)


def _title(raw: bytearray) -> bytearray:
    """Of an AE: padded by spaces, not by NULs."""
    return raw.partition(b"\0")[0].ljust(len(raw))
