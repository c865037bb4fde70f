"""A first look at the top level: what has to be known of an instance before the walk through it can begin.

Headers only, up to the patient's age; the walk itself would come too late, as dates before the patient ID are to be shifted too.
Nothing is judged here: what cannot be read ends the look, and the walk says what is wrong with it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping

from gateway.deidentify.encoding import ITEM, ITEM_END, SEQUENCE_END, SHORT_VRS, UNDEFINED, Codec, Malformed

CHARACTER_SET = 0x00080005
SOP_CLASS = 0x00080016
STUDY_DATE = 0x00080020
PATIENT_ID = 0x00100020
BIRTH_DATE = 0x00100030
PATIENT_AGE = 0x00101010
STUDY_INSTANCE = 0x0020000D
WANTED = frozenset({CHARACTER_SET, SOP_CLASS, STUDY_DATE, PATIENT_ID, BIRTH_DATE, PATIENT_AGE, STUDY_INSTANCE})
LONGEST = 1 << 16
"""Bytes of a value; longer ones are none of those wanted."""


def preview(data: bytes, codec: Codec, *, whole: bool = False) -> Mapping[int, bytes]:
    """The raw values of `WANTED`, of each the first. The study's UID is only looked for where no patient ID is.

    `whole`: the elements may be out of order, so look at all of them.
    """
    found: dict[int, bytes] = {}
    with contextlib.suppress(Malformed, struct.error):
        _look(data, codec, found, whole=whole)
    return found


def _look(data: bytes, codec: Codec, found: dict[int, bytes], *, whole: bool) -> None:
    pos, size, header, explicit, unpack = 0, len(data), codec.header, codec.explicit, codec.short.unpack_from
    while pos < size:
        if explicit and data[pos + 4 : pos + 6] in SHORT_VRS:  # what `header` would tell, without the price of a call
            group, element, _, length = unpack(data, pos)
            tag, pos = group << 16 | element, pos + 8
        else:
            tag, vr, length, pos = header(data, pos)
            if length == UNDEFINED:
                pos = _close(data, pos, codec, vr)
                continue
        if tag in WANTED and tag not in found and length < LONGEST:
            found[tag] = data[pos : pos + length]
        pos += length
        if tag < PATIENT_AGE or whole or tag >> 16 & 1:  # private elements may stand anywhere (`past_private`)
            continue
        if tag >= STUDY_INSTANCE or found.get(PATIENT_ID, b"").strip(b" \0"):
            return


def _close(data: bytes, pos: int, codec: Codec, vr: bytes) -> int:
    """Where a value of undefined length ends; items of known length are stepped over, what UN holds is implicit (PS3.5 6.2.2)."""
    inside = [Codec(False, "<", codec.vrs) if vr == b"UN" else codec]
    while inside:
        tag, vr, length, pos = inside[-1].header(data, pos)
        if tag in (ITEM_END, SEQUENCE_END):
            inside.pop()
        elif length != UNDEFINED:
            pos += length
        elif tag != ITEM and vr == b"UN":
            inside.append(Codec(False, "<", codec.vrs))
        else:
            inside.append(inside[-1])
    return pos
