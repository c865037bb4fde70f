"""What bytes say to those who know how they are encoded: UTF-16, base64, hexadecimal digits, percent signs, XML entities."""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator
from functools import lru_cache

LEAST = 5
"""Bytes of what is searched in decoded text: shorter ones would turn up by chance in what was never encoded."""
TOKEN = 8
"""Characters of base64 from six bytes, of hexadecimal from four."""

_RUN = b"n0n0n0n"
_WIDE = re.compile(rb"(?:[\x09-\x0d\x20-\x7e\xa0-\xff]\0){3,}[\x09-\x0d\x20-\x7e\xa0-\xff]")
# "0" for NUL, "n" for a letter or digit
_CLASSES = b"".join(b"n" if chr(code).isalnum() or code >= 0xC0 else b" " if code else b"0" for code in range(256))
_TOKEN = re.compile(rb"[A-Za-z+/_-][A-Za-z0-9+/_-]{7,}(?:\r?\n[A-Za-z0-9+/]{4,})*")
_ALPHABET = bytes(code if (chr(code).isalnum() and code < 0x80) or code in b"+/-_." else 0x20 for code in range(256))
LARGE = 1 << 18
"""Bytes above which a run must begin with a letter: those of numbers, times and UIDs are too many."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_HEX = re.compile(rb"[0-9a-fA-F]{8,}")
_ESCAPED = re.compile(rb"%[0-9a-fA-F]{2}|=[0-9A-F]{2}|&#?[0-9a-zA-Z]{2,8};|\\u[0-9a-fA-F]{4}")
_PERCENT = re.compile(rb"[%=]([0-9a-fA-F]{2})")
_BACKSLASH = re.compile(rb"\\u([0-9a-fA-F]{4})")
NUMERALS = b"0123456789."
_NO_LETTER = re.compile(r"[^\0-\x7f\w\u0300-\u036f]|[⺀-鿿가-힣ｦ-ﾟ]")
_NO_BYTE = re.compile(rb"[\x80-\xff]{2,}|[\xa0\xab\xad\xb7\xbb]")
"""Accented letters of a byte each seldom meet, and others are two bytes at least; of single ones what is a mark in most sets."""


def wide_view(raw: bytes) -> bytes:
    """Lower-case text that stands as UTF-16 in either byte order, as Latin-1; b"" for none."""
    if _RUN not in raw.translate(_CLASSES):
        return b""
    return b"\0".join(run.replace(b"\0", b"") for run in _WIDE.findall(raw)).lower()


def coded_view(raw: bytes) -> bytes:
    """Lower-case bytes of all that is encoded in characters; b"" for nothing."""
    return b"\0".join(filter(None, (*_tokens(raw), *_unescaped(raw))))


def _tokens(raw: bytes) -> Iterator[bytes]:
    """What runs of base64, which may go on behind line ends (RFC 2045), and of hexadecimal digits stand for."""
    if len(raw) > LARGE:
        tokens = set(_TOKEN.findall(raw))
    else:
        tokens = {token for token in raw.translate(_ALPHABET, b"\r\n").split() if len(token) >= TOKEN}
    for token in tokens:
        if b"." in token and not token.strip(NUMERALS):
            continue
        yield _decoded(token) if len(token) < 256 else _decode(token)


@lru_cache(256)
def _decoded(token: bytes) -> bytes:
    return _decode(token)


def _decode(token: bytes) -> bytes:
    """What a run of characters may stand for, wherever in it an encoded text begins."""
    pieces: list[bytes] = []
    for run in token.translate(_URL_SAFE, b"\r\n").split(b"."):
        if len(run) >= TOKEN and not run.isdigit():
            pieces += (binascii.a2b_base64(run[at:] + b"A" * (-(len(run) - at) % 4)) for at in range(4))
    narrow = [piece.replace(b"\0", b"") for piece in pieces if b"\0" in piece]
    return b"\0".join((*pieces, *narrow, *map(_hexadecimal, _HEX.findall(token)))).lower()


def _hexadecimal(digits: bytes) -> bytes:
    """Read from either digit on, also without NULs."""
    pieces = [bytes.fromhex(digits[at : len(digits) - (len(digits) - at) % 2].decode()) for at in range(2)]
    return b"\0".join((*pieces, *(piece.replace(b"\0", b"") for piece in pieces))).lower()


def _unescaped(raw: bytes) -> Iterator[bytes]:
    """Percent-encoded, quoted-printable, XML and JSON text."""
    if (b"%" in raw or b"&" in raw or b"=" in raw or b"\\u" in raw) and _ESCAPED.search(raw):
        yield _PERCENT.sub(lambda match: bytes.fromhex(match[1].decode()), raw).lower()
        text = _BACKSLASH.sub(lambda match: b"&#x" + match[1] + b";", raw).decode("latin-1")
        yield html.unescape(text).encode("utf-8", "ignore").lower()


def apart_view(text: bytes) -> bytes:
    """With a blank for what is no letter beside one: marks (also no-break spaces) and ideographs."""
    try:
        return _NO_LETTER.sub(" ", text.decode()).encode()
    except UnicodeDecodeError:
        return _NO_BYTE.sub(b" ", text)


def is_legible(text: bytes) -> bool:
    """Whether it is ASCII or UTF-8. What samples of a waveform spell by chance, a tag and its value, mostly is not."""
    try:
        return text.decode().isprintable()
    except UnicodeDecodeError:
        return False
