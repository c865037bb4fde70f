"""The patient's own values, taken from the original bytes: what `verify` then looks for in the result.

Written independently of the walker: nothing here follows the structure of the data set. Their bytes find the tags
wherever they stand (nested, in UN elements, in private sequences), and UIDs by their form; so a mistake of the walk cannot hide a
value from here. Chance finds in binary data only make the search stricter. Which tags: see `searched`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from gateway.deidentify.charset import read_charset
from gateway.deidentify.defaults import CLASS_UIDS, is_well_known
from gateway.deidentify.encoding import Codec
from gateway.deidentify.searched import DATES as DATES
from gateway.deidentify.searched import KINDS as KINDS
from gateway.deidentify.searched import NAMES as NAMES
from gateway.deidentify.searched import searched
from gateway.model import Buffer

CHARACTER_SET = 0x00080005
LONGEST, SINGLE = 1 << 13, 1 << 10
"""Bytes; what claims to be longer is a chance find, or text that is not searched as a whole. Above `SINGLE` only text is a list."""
MANY, MOST, LEAST = 1 << 17, 1 << 18, 32
"""Bytes of the values that one harvest holds, chance finds in waveforms among them, and with text besides, `LEAST` for each; of
what has more nothing can be proven clean. UIDs are not counted."""

COPIED = 1 << 24
"""Bytes that are looked at at a time: a copy, as bytes are faster than a view."""
OVERLAP = LONGEST + 16
SHORT, HEADER = 8, 12
"""Bytes of a header, and of the longest one."""
FEW = 256
"""UIDs of a header that are remembered for the next one."""
_LOW, _HIGH, _OTHER = b"lh."
_APART = b"\xff" * 4
"""Bytes that are part of no tag of interest."""
Place = tuple[int, bytes]
"""A tag and the raw value behind it."""

UID = re.compile(rb"\.(?<!\0\.)(?:25\.[0-9]{20,59}+[0-9.]*+|[0-9]++\.[0-9]++\.[0-9]++\.[0-9.]++)")
"""From the first dot on, which makes the search fast: five components, as every registered root has, or one made of a UUID with
whatever follows it. A dot behind a NUL is a big endian length."""
INSIDE, IN_VALUE = re.compile(rb"(?<!\0)[0-9]\Z|[0-9]\.\Z"), re.compile(rb"[0-9]\.?\Z")
"""What stands before a part of a longer one: in an encoded data set, where a digit behind a NUL is a length, and in a value."""
NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
TRAILING_BACKSLASH = frozenset(("gb18030", "gbk", "gb2312", "shift_jis", "big5", "euc_kr"))
"""Codecs with characters whose second byte may be a backslash's."""
_SHORT = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
_LONG = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)


class Own(NamedTuple):
    """One value of the patient's. `tag` 0: from the request. `text`: raw, in the data set's own character set."""

    tag: int
    text: bytes


class Harvest(NamedTuple):
    """`uids`: every UID of the original that names something of the patient's. `character_set`: as declared, all its values.

    `values`: of `KINDS`. `others`: of the other tags that are searched: devices, departments, dates. `homes`: UID -> the
    bytes of the tags that it follows, in the order of the encoding. `full`: there may be more than it holds.
    """

    values: frozenset[Own]
    uids: frozenset[bytes]
    character_set: str
    others: frozenset[Own] = frozenset()
    homes: Mapping[bytes, tuple[bytes, ...]] = MappingProxyType({})
    full: bool = False


class Search(NamedTuple):
    """`tags`: bytes of a tag -> the tag. `classes`: for `bytes.translate`. `pair`: of two classes, a group. `groups`: others."""

    tags: Mapping[bytes, int]
    classes: bytes
    pair: bytes
    groups: tuple[bytes, ...]


def harvest(segments: Iterable[Buffer], codec: Codec, tags: Search) -> Harvest:
    """`segments`: the original without its pixel data. `tags`: of `tag_search` for this byte order."""
    found: dict[Place, None] = {}  # in order, so that the first character set counts
    homes: dict[bytes, tuple[bytes, ...]] = {}
    size = 0
    for segment in segments:
        for start in range(0, len(segment), COPIED):
            data = bytes(segment[start : start + COPIED + OVERLAP])
            size = _note_values(_values(data, codec, tags), data, found, size)
            _note_uids(data, homes)
    values, others, character_set = _sorted(frozenset(found), next((v for t, v in found if t == CHARACTER_SET), b""))
    return Harvest(values, _secret(homes, codec), character_set, others, homes, size >= MOST)


def footprint(data: bytes, codec: Codec, tags: Search) -> Iterator[tuple[int, int]]:
    """From where to where `data`, one segment of some KB, tells the harvest a value: tags, lengths and the values themselves."""
    return ((at, end) for _, at, _, end in _values(data, codec, tags))


class Around(NamedTuple):
    """A data set but for the elements in `ranges`. `places`: tags of interest in these. `homes`: of the UIDs in all others.

    `spans`: where to look for UIDs when values in `ranges` are others.
    """

    ranges: Sequence[tuple[int, int]]
    places: Sequence[tuple[int, int]]
    homes: Mapping[bytes, tuple[bytes, ...]]
    spans: Sequence[tuple[int, int]]


def around(head: bytes, ranges: Sequence[tuple[int, int, int]], tags: Search, *, whole: bool = False) -> Around:
    """`ranges`: of elements of the top level, where they begin, where their values do, and where these end.

    `whole`: UIDs are to be looked for everywhere, which takes longer each time. Else none is missed, and none told otherwise, than
    in the whole: a UID may begin in the length before a value or end in the header behind, but not reach over a header, as a VR is
    letters and a length of less than 64 KB has NULs; and one whose home would be told from a value that differs is looked for anew.
    """
    told = [(start, end) for start, _, end in ranges]
    places, homes = [*_places(_apart(head, told), tags)], dict[bytes, tuple[bytes, ...]]()
    blanked = bytearray(head)
    for _, value, end in ranges:
        blanked[value:end] = b"\xff" * (end - value)
    blank = bytes(blanked)
    starts = [match.start() - 1 for match in UID.finditer(blank)]
    reached = [(start, start - (HEADER if blank[start - 8 : start - 6] in _LONG else SHORT)) for start in starts]
    if whole or len(starts) > FEW or any(home < e and v < start for start, home in reached for _, v, e in ranges):
        return Around(told, places, homes, [(0, len(head))])
    _note_uids(blank, homes)
    return Around(told, places, homes, [(max(0, value - 2), end + SHORT) for _, value, end in ranges])


def harvest_again(before: Harvest, head: bytes, known: Around, codec: Codec, tags: Search) -> Harvest | None:
    """The harvest of another data set, which differs in values of `known.ranges` alone, and in nothing of the `footprint`.

    None: tags of interest appear or disappear in the bytes that differ, by chance or not.
    """
    if [*_places(_apart(head, known.ranges), tags)] != known.places:
        return None
    homes = dict(known.homes)
    for span in known.spans:
        _note_uids(head, homes, *span)
    return before._replace(uids=_secret(homes, codec), homes=homes)


def _apart(head: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    """A tag may begin before what differs, and end behind."""
    return _APART.join([head[max(0, start - 3) : end + 3] for start, end in ranges])


def _secret(homes: Mapping[bytes, tuple[bytes, ...]], codec: Codec) -> frozenset[bytes]:
    """UIDs that name something of the patient's."""
    return frozenset(uid for uid, keys in homes.items() if not _is_public(uid, keys, codec.order))


@lru_cache(256)
def _is_public(uid: bytes, keys: tuple[bytes, ...], order: str) -> bool:
    """A class, a syntax, a scheme: by the UID itself, or by the tags that it follows."""
    return is_well_known(uid) or _names_class(keys, order)


@lru_cache(64)
def _sorted(found: frozenset[Place], character_set: bytes) -> tuple[frozenset[Own], frozenset[Own], str]:
    """Strong values, others, and the character set, as text. All instances of a series have the same."""
    split = {Own(tag, part) for tag, value in found if tag != CHARACTER_SET for part in _parts(value, character_set)}
    owns = frozenset(own for own in split if own.text)
    strong = frozenset(own for own in owns if own.tag in KINDS)
    return strong, owns - strong, character_set.strip(b" \0").decode("latin-1")


def tag_search(codec: Codec) -> Search:
    """How to find the tags of interest in the encoding's byte order, and the few others that look alike."""
    groups = [key[:2] for key in _keys(codec.order)]
    first, second = (0, 1) if codec.order == ">" else (1, 0)
    low = {group[second] for group in groups}
    high = {group[first] for group in groups} - low
    classes = bytes(_HIGH if code in high else _LOW if code in low else _OTHER for code in range(256))
    pair = bytes((_HIGH, _LOW) if codec.order == ">" else (_LOW, _HIGH))
    rare = tuple(sorted({group for group in groups if group[first] not in high}))
    return Search(_keys(codec.order), classes, pair, rare)


def _places(data: bytes, tags: Search) -> Iterator[tuple[int, int]]:
    """Where tags of interest stand, and which. Bytes are split and found, which is several times faster than matching."""
    tag_of, at = tags.tags.get, -2
    for piece in data.translate(tags.classes).split(tags.pair)[:-1]:
        at += len(piece) + 2
        tag = tag_of(data[at : at + 4])
        if tag is not None:
            yield at, tag
    for group in tags.groups:
        at = data.find(group)
        while at >= 0:
            tag = tag_of(data[at : at + 4])
            if tag is not None:
                yield at, tag
            at = data.find(group, at + 1)


@cache
def _keys(order: str) -> Mapping[bytes, int]:
    """The bytes of each tag of interest -> the tag."""
    return {struct.pack(order + "HH", tag >> 16, tag & 0xFFFF): tag for tag in (*searched(), CHARACTER_SET)}


def _note_values(places: Iterable[tuple[int, int, int, int]], data: bytes, found: dict[Place, None], size: int) -> int:
    """Tag and value of each place that looks like an element, explicit or implicit (as inside UN). `size`: of `found`, -> anew."""
    for tag, _, start, end in places:
        value = data[start:end]
        room, single = MOST, len(value) <= SINGLE
        if (size >= MANY or not single) and NO_TEXT.search(value.rstrip(b"\0")):
            room = MANY if single else 0
        if value and size < room and (tag, value) not in found:
            found[tag, value] = None
            size += max(LEAST, len(value))
    return size


def _values(data: bytes, codec: Codec, tags: Search) -> Iterator[tuple[int, int, int, int]]:
    """Tag, where it stands, where its value begins and ends: at once where there is none to be read."""
    size = len(data)
    short, long = (struct.Struct(codec.order + letter).unpack_from for letter in "HI")
    for at, tag in _places(data, tags):
        pos = at + 4
        if pos + 8 > size:
            yield tag, at, size, size
            continue
        vr = data[pos : pos + 2]
        if vr in _SHORT:
            start, (length,) = pos + 4, short(data, pos + 2)
        elif vr in _LONG:
            start, (length,) = pos + 8, long(data, pos + 4)
        else:
            start, (length,) = pos + 4, long(data, pos)
        yield tag, at, start, start + length if 0 < length <= LONGEST and start + length <= size else start


def uids_in(data: bytes, inside: re.Pattern[bytes] = IN_VALUE) -> frozenset[bytes]:
    """Every UID that stands there by itself, also behind a word and a dot (CT.1.2.840); none that is a part of a longer one."""
    found: set[bytes] = set()
    for match in UID.finditer(data):
        begin, end = match.span()
        for start in (max(0, begin - 1), begin + 1):
            if not inside.search(data[max(0, start - 3) : start]):
                found.update((data[start:end].rstrip(b"."), data[start:end].partition(b"..")[0].rstrip(b".")))
    return frozenset(found)


def _note_uids(data: bytes, homes: dict[bytes, tuple[bytes, ...]], begin: int = 0, stop: int = 1 << 62) -> None:
    """Every UID, and the bytes of the tag that it follows; another value of the same element follows its predecessor's.

    Looked for from `begin` to `stop`; what stands before is seen all the same.
    """
    home, end = b"", -1
    for match in UID.finditer(data, begin, stop):
        start = match.start() - 1
        before = data[start - 1 : start + 1] if start > 0 else b"\0" + data[:1]
        if before[1] not in b"012" or (before[0] in b"0123456789." and data[start - 2 : start - 1] != b"\0"):
            continue  # a big endian length may look like a digit
        if start != end + 1 or before[0] != 0x5C:
            head = data[max(0, start - 12) : max(0, start - 4)]
            home = head[-8:-4] if head[-4:-2] in _LONG else head[-4:]
        end = match.end()
        uid = (before[1:] + match[0]).rstrip(b".")
        known = homes.get(uid, ())
        if home not in known:
            homes[uid] = (*known, home)


def _names_class(keys: tuple[bytes, ...], order: str) -> bool:
    """Whether a UID stands in elements only that hold a class, a syntax or a scheme."""
    return all(len(key) == 4 and _tag(key, order) in CLASS_UIDS for key in keys)


def _tag(key: bytes, order: str) -> int:
    group, element = struct.unpack(order + "HH", key)
    return int(group << 16 | element)


def _parts(value: bytes, character_set: bytes) -> Iterator[bytes]:
    """The values of a multi-valued element, without padding."""
    parts = value.split(b"\\")
    if len(parts) > 1 and not value.isascii():
        codec = next((name for name in read_charset(character_set).names if name in TRAILING_BACKSLASH), "")
        if codec:
            parts = [part.encode(codec, "ignore") for part in value.decode(codec, "replace").split("\\")]
    return (part.strip(b" \0\r\n\t") for part in parts)
