"""Ages as numbers, in structured reports: what is measured in years, above 89, is told as one class (PS3.16 TID 1007, TID 3602).

Rules are looked up by where an element stands; a measured value in years is a place of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.encoding import Codec, Header

MEASURED_VALUE, NUMERIC_VALUE, CODE_VALUE = 0x0040A300, 0x0040A30A, 0x00080100
IN_YEARS: Final = 1 << 32 | MEASURED_VALUE
"""In place of the tag of the Measured Value Sequence (0040,A300)."""
YEARS: Final = tuple(b"a a_j a_g a_t year Year YEAR years Years YEARS yr YR yrs y Y 258707000".split())
"""Code values of the unit: of UCUM, as others spell it, and of SNOMED CT."""
NEAR: Final = 1 << 12
"""Bytes in which the units stand, before the number."""
OTHERWISE: Final[Mapping[int, Rule]] = {
    NUMERIC_VALUE: Rule(Action.AGE, "default: a number of years, above 89 as 90"),
    **dict.fromkeys((0x0040A161, 0x0040A162, 0x0040A163), Rule(Action.REMOVE, "default: a number of years, again")),
}


def place_of(head: Header, buf: bytes, codec: Codec) -> int:
    """Where the items of a sequence stand, as rules are looked up. `codec`: of the items."""
    if head.tag != MEASURED_VALUE:
        return head.tag
    end = buf.find(codec.key(NUMERIC_VALUE, b"DS"), head.value, head.value + NEAR)
    units = buf[head.value : max(end, head.value)]
    return IN_YEARS if any(codec.encode(CODE_VALUE, b"SH", unit) in units for unit in YEARS) else head.tag
