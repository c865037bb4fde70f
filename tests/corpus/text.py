"""Text as the bytes of a character set, code extensions included (PS3.5 6.1.2)."""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes, encode_string

ESCAPE = re.compile(rb"\x1b(?:\$?[()][A-Z]|\$[A-Z])")
DELIMITERS = {"PN": "^=\\", "LO": "\\", "SH": "\\", "UC": "\\"}
CHARACTER_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))


@lru_cache(64)
def codecs(charset: str) -> tuple[str, ...]:
    """Python's names of what (0008,0005) says."""
    return tuple(convert_encodings(charset.split("\\")))


@lru_cache(4096)
def encode(text: str, charset: str, vr: str) -> bytes:
    """Each component by itself, since a delimiter ends what an escape sequence began (PS3.5 6.1.2.5.3)."""
    if text.isascii():
        return text.encode("ascii")
    marks = DELIMITERS.get(vr, "")
    pieces = re.split(f"([{re.escape(marks)}])", text) if marks else [text]
    return b"".join(encode_string(piece, list(codecs(charset))) if piece else b"" for piece in pieces)


@lru_cache(4096)
def decode(raw: bytes, charset: str) -> str:
    """As a reader would: what cannot be decoded becomes U+FFFD."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    return decode_bytes(raw, list(codecs(charset)), set(b"^=\\\r\n\t\f"))


@lru_cache(4096)
def bare(text: str, charset: str) -> bytes:
    """The bytes of a word without the escape sequences around it; b"" where the set does not have it."""
    try:
        return ESCAPE.sub(b"", encode_string(text, list(codecs(charset))))
    except (UnicodeError, ValueError):
        return b""
