"""The last look: the encoded result is searched for the patient's own values before anyone may have it. It fails closed.

Independent of the walker: the values come from `harvest`, the result is read with `reading`, and what the cleaner says is pixel
data is believed only when an element header before it says so too, with just that length. A hit is reported as
`verify.<kind of value>@<tag of the element>`, never with the value; the block number of a private tag as "xx", "bytes" for what
stands in no element. The matching policy, and so which coincidences are let pass, is in `needles`.

Two rounds: `bytes.find` over the whole header tells in microseconds that nothing is there. Only where something was found are
the elements read one by one, to see whether it stands there by itself, and in which.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.deidentify.encoding import PIXEL_TAGS, UNDEFINED, Codec, Malformed
from gateway.deidentify.harvest import INSIDE, Harvest, uids_in
from gateway.deidentify.needles import SURE, Match, Needle, is_ordinary, pattern_of
from gateway.deidentify.pixels import PIXEL_VRS, is_encapsulated
from gateway.deidentify.reading import Leaf, Unreadable, leaves
from gateway.deidentify.searched import BIRTH_DATES, MODEL, STATIONS
from gateway.deidentify.sought import MOST, Sought, among, sought_for, suspects
from gateway.deidentify.views import LEAST, apart_view, coded_view, is_legible, wide_view
from gateway.model import Buffer

TEXT_VRS = frozenset((b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UN", b"UR", b"UT"))
DATE_VRS = frozenset((b"AS", b"DA", b"DT", b"TM", b"UI"))
DECIMAL_VRS = frozenset((b"DS", b"IS"))
BINARY_VRS = frozenset(
    (b"AT", b"FD", b"FL", b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SL", b"SS", b"SV", b"UL", b"US", b"UV")
)
WAVEFORM_DATA = 0x54001010
"""Samples, which spell tags and lengths by chance: text is believed to stand there only in ASCII and UTF-8."""
UNREADABLE = "verify.unreadable"
FEW = 64
"""UIDs that are looked for one by one; of more, those of the result are collected and compared."""
LONGEST_UID = 64
"""Characters (PS3.5 9.1); what is longer is not remembered."""
ROOT = 14
"""Characters in which UIDs of one root are alike."""
LONG_NUMBER = 7
"""Digits that are no measurement."""
PIECE, OVERLAP = 1 << 18, 1 << 12
"""Bytes of pixel data that are searched at once, and by which two pieces overlap."""


class Hunt(NamedTuple):
    """What the bytes of one segment hold and its elements must account for. `coded`: of its views (see `views`).

    `words`: of `plain`, those beyond what is searched one by one.
    """

    plain: tuple[Needle, ...]
    coded: tuple[Needle, ...]
    uids: frozenset[bytes]
    words: Mapping[bytes, Needle]

    def __bool__(self) -> bool:
        return bool(self.plain or self.coded or self.uids)

    def near(self, text: bytes) -> Sequence[Needle]:
        """Those of `plain` that may stand in one element's text."""
        return (*self.plain[: 2 * MOST], *among(self.words, text)) if self.words else self.plain


def verify(parts: Sequence[Buffer], codec: Codec, original: Harvest, own: Iterable[str], kept: frozenset[int]) -> str:
    """`parts`: the clean data set, pixel data as memoryviews. `kept`: tags whose values the project keeps. -> "" or the reason."""
    segments = _segments(parts, codec)
    if segments is None:
        return "verify.pixels"
    if original.full:
        return "verify.too-many"
    sought, uids = sought_for(original, own, kept), _secret(original, kept)
    for segment in filter(None, segments):
        hunt = _hunt(segment, sought, uids)
        reason = _found(segment, codec, hunt) if hunt else ""
        if reason:
            return reason
    return ""


def among_pixels(
    found: Iterable[tuple[int, memoryview]], original: Harvest, own: Iterable[str], kept: frozenset[int]
) -> str:
    """As `verify`, of pixel data that may be none. `found`: as of `pixels.unproven`; however large, not much of it at a time.

    Elements of a broken file stand there as they are, so nothing is decoded.
    """
    sought, uids = sought_for(original, own, kept), _secret(original, kept)
    for tag, value in found:
        for at in range(0, len(value), PIECE):
            raw = bytes(value[at : at + PIECE + OVERLAP])
            text = raw.lower()
            hunt = Hunt(tuple(suspects(sought, text)), (), _whole_uids(text, uids), {})
            kind = _in_value(raw, Leaf(tag, b"OW", 0, len(raw)), hunt, set()) if hunt else ""
            if kind:
                return f"verify.{kind}@{_place(tag)}"
    return ""


def _secret(original: Harvest, kept: frozenset[int]) -> frozenset[bytes]:
    """The UIDs that must not be there: none that stands in an element whose value stays."""
    spared = _keys(kept)
    return frozenset(uid for uid in original.uids if spared.isdisjoint(original.homes.get(uid, ())))


@lru_cache(64)
def _keys(tags: frozenset[int]) -> frozenset[bytes]:
    """The bytes of each tag in either order: UN is little endian inside, whatever is outside."""
    return frozenset(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) for tag in tags for order in "<>")


class Passed(NamedTuple):
    """A result that was verified. `seen`: its header in all views. `absent`: UIDs that are known not to be in there."""

    codec: Codec
    sought: Sought
    seen: bytes
    absent: set[bytes]

    def shows(self, uid: bytes) -> bool:
        """The instances of a series have most UIDs in common."""
        if uid in self.absent:
            return False
        found = uid in self.seen
        if not found and len(self.absent) < FEW and len(uid) <= LONGEST_UID:
            self.absent.add(uid)
        return found


def first_look(
    parts: Sequence[Buffer], original: Harvest, own: Iterable[str], kept: frozenset[int], codec: Codec
) -> Passed | None:
    """What `passes_again` has to know of a result that `verify` passed; None where it may not be asked."""
    segments = [segment for segment in _segments(parts, codec) or () if segment]
    if len(segments) != 1 or len(original.uids) > FEW:
        return None
    return Passed(codec, sought_for(original, own, kept), b"\0".join(_views(segments[0])), set())


def passes_again(
    before: Passed,
    parts: Sequence[Buffer],
    new: Iterable[bytes],
    original: Harvest,
    asked: tuple[Iterable[str], frozenset[int]],
) -> bool:
    """Whether another result is as clean, whose only segment is the one before but for the elements `new`, each a whole one.

    No value reaches over the end of an element, whose header no text can look like. `asked`: as `own` and `kept` of `verify`.
    False also where one has to look more closely.
    """
    own, kept = asked
    segments = [segment for segment in _segments(parts, before.codec) or () if segment]
    if len(segments) != 1 or len(original.uids) > FEW or sought_for(original, own, kept) is not before.sought:
        return False
    seen = b"\0".join(_views(b"\0".join(new)))
    if any(uid in seen or before.shows(uid) for uid in _secret(original, kept)):
        return False
    return not suspects(before.sought, seen)


def _views(raw: bytes) -> tuple[bytes, bytes, bytes]:
    return raw.lower(), wide_view(raw), coded_view(raw)


def _hunt(segment: bytes, sought: Sought, uids: frozenset[bytes]) -> Hunt:
    """First round: all of the segment at once."""
    text, wide, coded = _views(segment)
    seen = b"\0".join((text, wide, coded))
    told = _whole_uids(seen, uids)
    if not suspects(sought, seen):
        return Hunt((), (), told, {})
    long = (needle for needle in suspects(sought, coded) if needle.date or len(needle.text) >= LEAST)
    plain, hidden = suspects(sought, text), (*suspects(sought, wide), *long)
    return Hunt(tuple(plain), hidden, told, {needle.text: needle for needle in plain[2 * MOST :]})


def _whole_uids(text: bytes, uids: frozenset[bytes]) -> frozenset[bytes]:
    """Those that stand in the text, not as a part of another; of thousands at the price of one."""
    told = uids if len(uids) <= FEW else {uid[:ROOT] for uid in uids}  # those made of UUIDs are all of their own
    if len(told) <= FEW and not any(each in text for each in told):
        return frozenset()
    return uids & uids_in(text, INSIDE)


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


def _found(segment: bytes, codec: Codec, hunt: Hunt) -> str:
    """Second round: element by element. -> "" or the reason."""
    met: set[object] = set()
    try:
        for leaf in leaves(segment, codec):
            raw = segment[leaf.start : leaf.end]
            kind = _in_value(raw, leaf, hunt, met)
            if kind:
                return f"verify.{kind}@{_place(leaf.tag)}"
    except Unreadable:
        return next((f"verify.{n.kind}@bytes" for n in hunt.plain if _is_sure(n)), UNREADABLE)
    missed = [n.kind for n in (*hunt.plain, *hunt.coded) if _is_sure(n) and n not in met]
    missed += ["uid"] if hunt.uids and hunt.uids & uids_in(segment) else []
    return f"verify.{missed[0]}@bytes" if missed else ""


def _in_value(raw: bytes, leaf: Leaf, hunt: Hunt, met: set[object]) -> str:
    """The kind of what stands in one element's value, or "". `met`: gains what its bytes account for, if only by chance."""
    text = raw.lower()
    present = [needle for needle in hunt.near(text) if needle.text in text]
    met.update(present)
    apart = apart_view(text) if present and not text.isascii() else b""
    for needle in present:
        if _counts(needle, leaf) and (_stands(needle, text) or (apart and _stands(needle, apart))):
            return needle.kind
    views = (wide_view(raw), coded_view(raw)) if hunt.coded or hunt.uids else ()
    if hunt.uids and any(hunt.uids & uids_in(view) for view in (text, *views)):
        return "uid"
    for needle in hunt.coded if any(views) else ():
        view = next((view for view in views if needle.text in view), b"")
        if view:
            met.add(needle)
            if _counts(needle, leaf) and _stands(needle, view):
                return needle.kind
    return ""


def _is_sure(needle: Needle) -> bool:
    return needle.match is Match.ANYWHERE and not needle.weak


def _counts(needle: Needle, leaf: Leaf) -> bool:
    """Whether what looks like a value is one in an element of that VR: a date is no other's, a code is often a word,
    and who calls a station as its model is called says no more than the model does."""
    if leaf.tag == MODEL and needle.tag in STATIONS:
        return False
    if needle.match is Match.DATE and leaf.vr in DATE_VRS:
        return needle.tag in BIRTH_DATES and leaf.tag in BIRTH_DATES
    if needle.match is Match.NUMBER and leaf.vr in (DATE_VRS | DECIMAL_VRS):
        return leaf.vr in DECIMAL_VRS and len(needle.text) >= LONG_NUMBER
    if leaf.vr in BINARY_VRS:
        long = len(needle.text) >= SURE and not needle.weak
        return bool(needle.date) or (long and (leaf.tag != WAVEFORM_DATA or is_legible(needle.text)))
    return not needle.weak or leaf.vr in TEXT_VRS


def _stands(needle: Needle, text: bytes) -> bool:
    """Whether it stands there by itself, or anywhere but in a longer word that is everybody's."""
    found = pattern_of(needle).finditer(text)
    if needle.match is not Match.ANYWHERE or not needle.text.isalpha():
        return next(found, None) is not None
    return not all(_is_part_of_word(match, text) for match in found)


def _is_part_of_word(match: re.Match[bytes], text: bytes) -> bool:
    before = _BEFORE.search(text[max(0, match.start() - LONGEST_WORD) : match.start()])
    after = _AFTER.match(text, match.end())
    word = (before[0] if before else b"") + match[0] + (after[0] if after else b"")
    return word != match[0] and is_ordinary(word)


def _place(tag: int) -> str:
    """The tag, that of a private element without its block's number, which moves (PS3.5 7.8.1)."""
    return f"{tag >> 16:04X}xx{tag & 0xFF:02X}" if tag >> 16 & 1 else f"{tag:08X}"


LONGEST_WORD = 32
_BEFORE = re.compile(rb"[a-z]*\Z")
_AFTER = re.compile(rb"[a-z]{0,32}")
