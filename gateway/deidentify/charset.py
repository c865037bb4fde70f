"""Text of a data set as its Specific Character Set (0008,0005) says: decoded without ever failing, encoded without ever leaving it.

Single and multi-byte sets, and ISO 2022 with code extensions (PS3.5 6.1.2, PS3.3 C.12.1.1.2). The names of Python's codecs and
the escape sequences are pydicom's.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

DEFAULT = "latin-1"
"""For data sets that declare nothing, or what nobody knows: every byte is some character, and ASCII is itself."""

SEVERAL_BYTES = frozenset({"shift_jis", "UTF8"})
SINGLE_BYTE = frozenset(
    codec for term, codec in python_encoding.items() if term.startswith("ISO_IR")
) - SEVERAL_BYTES | {DEFAULT}
"""What UTF-8 is often sent as: there its letters fall apart, and what was one word (Piñera) would be two, one of them harmless."""

ESCAPES = re.compile(
    b"(" + b"|".join(re.escape(code) for code in sorted(CODES_TO_ENCODINGS, key=len, reverse=True)) + b")"
)
STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Codecs that want to see the escape sequence themselves."""


@dataclass(frozen=True)
class Charset:
    """`names`: Python codecs, that of the first value first."""

    names: tuple[str, ...] = (DEFAULT,)

    def decode(self, raw: bytes) -> str:
        """What cannot be decoded becomes U+FFFD."""
        if b"\x1b" in raw:
            return "".join(self._fragments(raw))
        return raw.decode("ascii") if raw.isascii() else _read(raw, self.names[0])

    def encode(self, text: str) -> bytes:
        """In the first character set, so that no escape sequence is needed; what it does not have is left out."""
        if text.isascii():
            return text.encode("ascii")
        if self.names[0] == "shift_jis":  # ISO_IR 13 is its single-byte half
            text = "".join(c for c in text if len(c.encode("shift_jis", "ignore")) == 1)
        return text.encode(self.names[0], "ignore")

    def _fragments(self, raw: bytes) -> list[str]:
        """Each piece in the set that its escape sequence names; a backslash ends what was designated (PS3.5 6.1.2.5.3)."""
        first, *rest = ESCAPES.split(raw)
        texts = [_read(first, self.names[0])]
        for escape, piece in zip(rest[::2], rest[1::2], strict=True):
            codec = CODES_TO_ENCODINGS[escape]
            texts.append(_read(escape + piece if codec in STATEFUL else piece, codec))
        return texts


def _read(raw: bytes, codec: str) -> str:
    if codec in SINGLE_BYTE:
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode("utf-8")
    return raw.decode(codec, "replace")


@lru_cache(256)
def read_charset(value: bytes) -> Charset:
    """`value`: raw (0008,0005), with padding, possibly of several values, possibly empty."""
    terms = [term.strip(" \0") for term in value.decode("latin-1").split("\\")]
    codecs = [_codec(term) for term in terms]
    names = tuple(dict.fromkeys(codec for codec in codecs if codec)) or (DEFAULT,)
    return Charset(names)


def _codec(term: str) -> str:
    """A defined term of PS3.3 C.12.1.1.2 as a codec; also as it is misspelt: ISO-IR 100, ISO IR 100, iso_ir 100."""
    spelt = re.sub(r"^ISO[-_ ]IR[-_ ]?", "ISO_IR ", term.upper())
    spelt = re.sub(r"^ISO[-_ ]?2022[-_ ]IR[-_ ]?", "ISO 2022 IR ", spelt)
    codec = python_encoding.get(spelt, "")
    return DEFAULT if codec == "iso8859" else codec
