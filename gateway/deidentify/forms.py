"""What a value that is kept as it is must look like (PS3.5 6.2): only of VRs in whose place text could hide."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Form = Callable[..., Any]
"""`fullmatch` of a pattern: bytes, from, to -> a match or None."""

# Possessive throughout: a value of 64 KB must not make a pattern try anything twice.
_DECIMAL = rb" *+(?:[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[Ee][+-]?[0-9]++)?)? *+"
_INTEGER = rb" *+(?:[+-]?[0-9]{1,12}+(?:\.[0-9]{0,12}+)?)? *+"  # an exposure of "120.5" is common, and no less a number
_CODE = rb"[A-Z0-9 _]*+"
_UID = rb"[0-9.]{0,64}+"
_DAY = rb"(?:[0-9]{4}\.[0-9]{2}\.[0-9]{2}|[0-9]{8})? *+"
_TIME = rb"(?:[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:\.[0-9]{1,7}+)?)?)?)? *+"
_MOMENT = rb"(?:[0-9]{4,14}+(?:\.[0-9]{1,7}+)?(?:[+-][0-9]{4})?)? *+"
_AGE = rb" *+(?:[0-9]{3}[DWMY])? *+"


def _several(one: bytes) -> Form:
    return re.compile(one + rb"(?:\\" + one + rb")*+[ \0]*+").fullmatch


FORMS: Mapping[bytes, Form] = {
    b"CS": _several(_CODE), b"DS": _several(_DECIMAL), b"IS": _several(_INTEGER), b"AS": _several(_AGE),
    b"UI": _several(_UID), b"DA": _several(_DAY), b"TM": _several(_TIME), b"DT": _several(_MOMENT),
}  # fmt: skip
"""By VR. A number with an exponent where none belongs, or a code of more than 16 characters, is odd but tells nothing."""
SIZES: Mapping[bytes, int] = {
    b"US": 2, b"SS": 2, b"AT": 4, b"UL": 4, b"SL": 4, b"FL": 4, b"FD": 8, b"SV": 8, b"UV": 8,
}  # fmt: skip
"""Bytes of one value."""


def form_of(vr: bytes) -> Form | None:
    """What a kept value of that VR must match, None for anything (of even length)."""
    size = SIZES.get(vr, 2)
    return FORMS.get(vr) or (_whole(size) if size > 2 else None)


def _whole(size: int) -> Form:
    def whole(buf: bytes, start: int, end: int) -> bool:
        return (end - start) % size == 0 and end <= len(buf)

    return whole


def is_legal(vr: bytes, raw: bytes) -> bool:
    """Whether `raw` can be a value of that VR at all."""
    size = SIZES.get(vr)
    if size:
        return len(raw) % size == 0
    form = FORMS.get(vr)
    return form is None or form(raw) is not None
