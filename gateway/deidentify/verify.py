"""The last look: the encoded result is searched for the patient's own values before anyone may have it. It fails closed.

Independent of the walker: the values come from `harvest`, the result is read here with a reader of its own, and what the cleaner
says is pixel data is believed only when an element header before it says so too, with just that length. A hit is reported
as `verify.<kind of value>`, never with the value. The matching policy, and so which coincidences are let pass, is in `needles`.

Two rounds: `bytes.find` over the whole header tells in microseconds that nothing is there. Only where a short word or a number
was found are the elements read one by one, to see whether it stands there by itself.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.deidentify.encoding import PIXEL_TAGS, UNDEFINED, Codec, Malformed
from gateway.deidentify.harvest import UID, Harvest, Own
from gateway.deidentify.needles import SURE, Match, Needle, needles_of
from gateway.deidentify.pixels import PIXEL_VRS, is_encapsulated
from gateway.model import Buffer

NUMERIC_VRS = frozenset((b"DS", b"IS", b"AS", b"TM", b"UI"))
BINARY_VRS = frozenset(
    (b"AT", b"FD", b"FL", b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SL", b"SS", b"SV", b"UL", b"US", b"UV")
)
UNREADABLE = "verify.unreadable"
NO_NUMBER_BEFORE = rb"(?<![0-9])(?<![0-9]\.)"
"""A dot is a decimal point or a UID's only between digits: that of "No.20261234" or "MRN 7654321." is none."""
LETTER = rb"[0-9a-z\x80-\xff]"


@dataclass(frozen=True)
class Found:
    """One element of the result as verify reads it: lower-case value."""

    vr: bytes
    value: bytes


def verify(parts: Sequence[Buffer], codec: Codec, original: Harvest, own: Iterable[str], kept: frozenset[int]) -> str:
    """`parts`: the clean data set, pixel data as memoryviews. `kept`: tags whose values the project keeps. -> "" or the reason."""
    segments = _segments(parts, codec)
    if segments is None:
        return "verify.pixels"
    text = b"\0\0".join(segments).lower()
    if not original.uids.isdisjoint(UID.findall(text)):
        return "verify.uid"
    searched = [o for o in original.values if o.tag not in kept] + [Own(0, value.strip().encode()) for value in own]
    suspects = [n for o in searched for n in needles_of(o, original.character_set) if n.text in text]
    suspects += _wide(text, searched, original.character_set)
    sure = [n for n in suspects if n.match is Match.ANYWHERE]
    if sure:
        return f"verify.{sure[0].kind}"
    return _look_closer(segments, codec, suspects) if suspects else ""


def _wide(text: bytes, searched: Iterable[Own], character_set: str) -> list[Needle]:
    """Needles that only appear once NULs are taken out: UTF-16. Shorter ones would be chance."""
    narrow = text.replace(b"\0", b"")
    needles = (n for o in searched for n in needles_of(o, character_set) if len(n.text) >= SURE)
    return [
        n._replace(match=Match.ANYWHERE)
        for n in needles
        if n.match is not Match.NUMBER and n.text in narrow and n.text not in text
    ]


def _segments(parts: Sequence[Buffer], codec: Codec) -> list[bytes] | None:
    """The bytes between pixel data, without its header; None when a view is passed off as pixel data that is not."""
    segments: list[bytes] = []
    pending: list[bytes] = []
    for part in parts:
        if isinstance(part, memoryview):
            head = _pixel_header(pending.pop() if pending else b"", part, codec)
            if not head:
                return None
            segments.append(b"".join(pending))
            pending = []
        else:
            pending.append(bytes(part))
    return [*segments, b"".join(pending)]


def _pixel_header(head: bytes, value: memoryview, codec: Codec) -> bytes:
    """`head` when it is exactly the header of pixel data with this value's length, else b""."""
    try:
        tag, vr, length, at = codec.header(head, 0)
    except (Malformed, struct.error):
        return b""
    fits = is_encapsulated(value, codec) if length == UNDEFINED else length == len(value)
    return head if tag in PIXEL_TAGS and vr in PIXEL_VRS and at == len(head) and fits else b""


def _look_closer(segments: Sequence[bytes], codec: Codec, suspects: Sequence[Needle]) -> str:
    """Whether a word or number found in the bytes is one, read as elements. -> "" or the reason."""
    patterns = [(n, re.compile(_bounded(n))) for n in suspects]
    try:
        for segment in segments:
            for found in _elements(segment, 0, len(segment), codec):
                for needle, pattern in patterns:
                    if _counts(needle, found.vr) and pattern.search(found.value):
                        return f"verify.{needle.kind}"
    except (Malformed, struct.error, RecursionError):
        return UNREADABLE
    return ""


def _bounded(needle: Needle) -> bytes:
    text = re.escape(needle.text)
    if needle.match is Match.NUMBER:
        return NO_NUMBER_BEFORE + text + rb"(?!\.?[0-9])"
    if needle.match is Match.DATE:
        return NO_NUMBER_BEFORE + text
    return rb"(?<!" + LETTER + rb")" + text + rb"(?!" + LETTER + rb")"


def _counts(needle: Needle, vr: bytes) -> bool:
    """Short numbers mean nothing in numeric elements, and nothing but bytes is in binary ones."""
    if vr in BINARY_VRS:
        return len(needle.text) >= SURE
    return not (needle.match is Match.NUMBER and len(needle.text) < SURE and vr in NUMERIC_VRS)


def _elements(buf: bytes, pos: int, end: int, codec: Codec) -> Iterator[Found]:
    """Every element with a value, at all depths. Item headers and delimiters are stepped over, so that no nesting is kept."""
    while pos < end:
        tag, vr, length, value = codec.header(buf, pos)
        if tag >> 16 == 0xFFFE or vr == b"SQ" or length == UNDEFINED:
            pos = value
            continue
        pos = value + length
        if vr == b"UN" and buf[value : value + 4] == b"\xfe\xff\x00\xe0":  # an item: a sequence, implicit inside
            yield from _elements(buf, value, pos, Codec(False, "<", codec.vrs))
        else:
            yield Found(vr, buf[value:pos].lower())
    if pos != end:
        raise Malformed
