"""The Part 10 file meta information, made anew (PS3.10 7.1): nothing of the sender's is carried over.

No source AE titles, no private information, a zero preamble; only the two UIDs and the transfer syntax, and who wrote it.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from gateway.deidentify.encoding import Codec

IMPLEMENTATION_CLASS_UID = b"2.25.322790543021498764523908417652390184712"
IMPLEMENTATION_VERSION_NAME = b"PACSGATEWAY"
CODEC = Codec(True, "<", {})


def file_meta(SOPClassUID: bytes, SOPInstanceUID: bytes, transfer_syntax: str) -> bytes:
    """Preamble, prefix and group 0002, always Explicit VR Little Endian. `SOPInstanceUID`: the new one."""
    instance = CODEC.encode(0x00020003, b"UI", SOPInstanceUID)
    before, after = _around(SOPClassUID, len(instance), transfer_syntax)
    return before + instance + after


@lru_cache(64)
def _around(SOPClassUID: bytes, size: int, transfer_syntax: str) -> tuple[bytes, bytes]:
    """What stands before and behind the element of the instance, which has `size` bytes."""
    before = CODEC.encode(0x00020001, b"OB", b"\0\1") + CODEC.encode(0x00020002, b"UI", SOPClassUID)
    after = b"".join(
        (
            CODEC.encode(0x00020010, b"UI", transfer_syntax.encode()),
            CODEC.encode(0x00020012, b"UI", IMPLEMENTATION_CLASS_UID),
            CODEC.encode(0x00020013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    length = CODEC.encode(0x00020000, b"UL", struct.pack("<I", len(before) + size + len(after)))
    return b"\0" * 128 + b"DICM" + length + before, after
