"""`part10.peek` for many instances: where the UIDs were in one is where they are in the next, if it is laid out alike.

The instances of a series differ in values, seldom in their lengths. So of some that were read the places of the UIDs are kept, and
a mask of all bytes that led there: tags, VRs and lengths, and what is inside of sequences of undefined length. Where one of these
differs, the elements are read as ever (tests/dicom/test_layouts.py: never another answer than `peek`'s).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.dicom.part10 import DEFLATED, Found, Ids, Unreadable, find_ids, ids_of, peek, readings
from gateway.model import Buffer

MOST: Final = 1 << 13
"""Bytes of a header up to the last of the UIDs; what is longer has values that differ in length each time."""
EACH: Final = 4
SYNTAXES: Final = 64
"""Layouts of one transfer syntax, as several series arrive at a time, and syntaxes."""


class Layout(NamedTuple):
    """`guard`: which bits of the bytes up to `end` decide. `number`: these bits; no other is remembered."""

    end: int
    number: int
    guard: int
    places: Mapping[int, tuple[int, int]]

    def fits(self, view: memoryview) -> bool:
        return len(view) >= self.end and _number(view[: self.end]) & self.guard == self.number


class Layouts:
    """Bounded; threads may use it at the same time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Layout, ...]] = {}

    def peek(self, data: Buffer, transfer_syntax: str) -> Ids:
        """As `part10.peek`, whose errors it raises."""
        view, known = memoryview(data).cast("B"), self._known.get(transfer_syntax, ())
        with contextlib.suppress(Unreadable, struct.error):
            for layout in known:
                if layout.fits(view):
                    if layout is not known[0]:
                        self._first(layout, transfer_syntax, known)
                    return ids_of(view, layout.places)
            if transfer_syntax not in DEFLATED:
                (header, _), endian = readings(transfer_syntax)
                found = find_ids(view, header, endian)
                ids = ids_of(view, found.places)
                if found.end <= min(MOST, len(view)):
                    self._first(_layout(view, found), transfer_syntax, known)
                return ids
        return peek(data, transfer_syntax)

    def _first(self, layout: Layout, transfer_syntax: str, known: tuple[Layout, ...]) -> None:
        if transfer_syntax not in self._known and len(self._known) >= SYNTAXES:
            self._known.clear()
        others = [other for other in known if other is not layout]
        self._known[transfer_syntax] = (layout, *others[: EACH - 1])


def _layout(view: memoryview, found: Found) -> Layout:
    mask = bytearray(found.end)
    for start, end in found.read:
        mask[start:end] = b"\xff" * (end - start)
    guard = _number(mask)
    return Layout(found.end, _number(view[: found.end]) & guard, guard, found.places)


def _number(data: Buffer) -> int:
    return int.from_bytes(data, "little")
