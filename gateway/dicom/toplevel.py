"""Elements of a data set's top level as they came, in the shape of a C-FIND answer: `identifier.value` reads both alike.

Before anything is decoded, of bytes that may be anything: what cannot be read is not there. Standard: PS3.5 7.1.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.dicom.part10 import (
    DEFLATED,
    MAX_DEPTH,
    UNDEFINED,
    ReadHeader,
    Unreadable,
    after_items,
    implicit,
    readings,
)
from gateway.model import Buffer

HEAD: Final = 1 << 24  # bytes of a deflated data set that are looked at
LONGEST: Final = 1 << 16  # bytes of a value: a longer one is nothing that a rule could be about
_WIDTH: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "UV": 8, "SV": 8, "FD": 8, "US or SS": 2}


def top_level(data: Buffer, transfer_syntax: str, tags: frozenset[int]) -> Dataset:
    """Those of `tags` that are there, raw, up to where the data set stops making sense."""
    view = _view(data, transfer_syntax)
    (first, second), endian = readings(transfer_syntax)
    found = _values(view, first, endian, tags) or _values(view, second, endian, tags)
    row = Dataset()
    for tag, value in found.items():
        vr = dictionary_VR(tag)
        raw = _little(value, _WIDTH.get(vr, 1)) if endian == ">" else value
        row[Tag(tag)] = RawDataElement(Tag(tag), vr.split(" or ")[0], len(raw), raw, 0, False, True)
    return row


def _view(data: Buffer, transfer_syntax: str) -> memoryview:
    if transfer_syntax not in DEFLATED:
        return memoryview(data).cast("B")
    try:
        return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, HEAD))
    except zlib.error:
        return memoryview(b"")


def _values(view: memoryview, header: ReadHeader, endian: str, tags: frozenset[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, last, end = 0, -1, max(tags, default=0)
    try:
        while at < len(view):
            tag, start, length, vr = header(view, at, endian)
            if tag <= last or tag > end:
                break
            last = tag
            if length == UNDEFINED:
                at = after_items(view, start, header if vr != b"UN" else implicit, endian, MAX_DEPTH)
                continue
            at = start + length
            if tag in tags and length <= LONGEST and at <= len(view):
                found[tag] = bytes(view[start:at])
    except (Unreadable, struct.error):
        return found
    return found


def _little(value: bytes, width: int) -> bytes:
    """Binary numbers of big endian data sets, the other way round."""
    return b"".join(value[at : at + width][::-1] for at in range(0, len(value), width)) if width > 1 else value
