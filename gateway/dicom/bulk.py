"""Where Pixel Data begins in a data set that is still arriving, and where it ends (PS3.5 7.1, 8.2, A.4).

Pure. Found by structure alone, so that nothing else is ever taken for pixels: top level, elements in order, in the encoding of the
transfer syntax or, as some senders have it, in the other VR encoding (`part10.readings`).
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.dicom import part10
from gateway.dicom.part10 import DEFLATED, ITEM, MAX_DEPTH, UNDEFINED, ReadHeader, Unreadable

PIXEL_DATA: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
PIXEL_VRS: Final = frozenset((b"OB", b"OW", b"OF", b"OD", b"OV", b""))
_ITEM_HEAD: Final = 8


class Run:
    """A value that is passing by. `length`: of native Pixel Data; UNDEFINED: items up to the sequence delimiter."""

    def __init__(self, length: int, endian: str = "<") -> None:
        self._left = 0 if length == UNDEFINED else length
        self._items = length == UNDEFINED
        self._header = struct.Struct(endian + "HHI")
        self._cut = b""  # the beginning of an item's header whose end is still to come

    def take(self, view: memoryview) -> int:
        """How many bytes of `view`, from its beginning, belong to the value: all, until it ends."""
        at = 0
        while at < len(view):
            if self._left:
                step = min(self._left, len(view) - at)
                self._left -= step
                at += step
            elif self._items:
                at = self._next_item(view, at)
            else:
                break
        return at

    def _next_item(self, view: memoryview, at: int) -> int:
        piece = bytes(view[at : at + _ITEM_HEAD - len(self._cut)])
        self._cut += piece
        if len(self._cut) == _ITEM_HEAD:
            group, element, length = self._header.unpack(self._cut)
            self._cut = b""
            self._items = group << 16 | element == ITEM and length != UNDEFINED
            self._left = length if self._items else 0  # whatever else this is, what follows is no pixel
        return at + len(piece)


def find_pixels(view: memoryview, transfer_syntax: str) -> tuple[int, Run] | None:
    """Where the value of the top level's Pixel Data begins in the beginning of a data set; None: not here."""
    if transfer_syntax in DEFLATED:
        return None
    encodings, endian = part10.readings(transfer_syntax)
    for header in encodings:
        try:
            return _search(view, header, endian)
        except (Unreadable, struct.error):
            continue
    return None


def _search(view: memoryview, header: ReadHeader, endian: str) -> tuple[int, Run]:
    """Raises Unreadable for what is no data set in this encoding, struct.error where it is cut off."""
    at, last = 0, -1
    while True:
        tag, start, length, vr = header(view, at, endian)
        if tag <= last:
            raise Unreadable  # elements ascend (PS3.5 7.1)
        if tag in PIXEL_DATA:
            if vr not in PIXEL_VRS or (length != UNDEFINED and length & 1):
                raise Unreadable
            return start, Run(length, endian)
        last = tag
        if length == UNDEFINED:
            at = part10.after_items(view, start, header if vr != b"UN" else part10.implicit, endian, MAX_DEPTH)
        else:
            at = start + length
