"""The Part 10 file meta information, made anew (PS3.10 7.1): nothing of the sender's is carried over.

No source AE titles, no private information, a zero preamble; only the two UIDs and the transfer syntax, and who wrote it.
"""

from __future__ import annotations

import struct

from gateway.deidentify.encoding import Codec

IMPLEMENTATION_CLASS_UID = b"2.25.322790543021498764523908417652390184712"
IMPLEMENTATION_VERSION_NAME = b"PACSGATEWAY"
CODEC = Codec(True, "<", {})


def file_meta(SOPClassUID: bytes, SOPInstanceUID: bytes, transfer_syntax: str) -> bytes:
    """Preamble, prefix and group 0002, always Explicit VR Little Endian. `SOPInstanceUID`: the new one."""
    codec = CODEC
    body = b"".join(
        (
            codec.encode(0x00020001, b"OB", b"\0\1"),
            codec.encode(0x00020002, b"UI", SOPClassUID),
            codec.encode(0x00020003, b"UI", SOPInstanceUID),
            codec.encode(0x00020010, b"UI", transfer_syntax.encode()),
            codec.encode(0x00020012, b"UI", IMPLEMENTATION_CLASS_UID),
            codec.encode(0x00020013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    return b"\0" * 128 + b"DICM" + codec.encode(0x00020000, b"UL", struct.pack("<I", len(body))) + body
