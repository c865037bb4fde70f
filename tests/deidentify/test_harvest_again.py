"""UIDs of an instance that differs from one in some values are found around these alone: the same ones as in all of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.deidentify.encoding import Codec
from gateway.deidentify.harvest import Harvest, around, harvest, harvest_again, tag_search

TAGS = (
    0x00080018,
    0x00081155,
    0x00180050,
    0x0020000D,
    0x2E312E31,
    0x2E322E34,
    0x30303131,
    0x424F2E31,
    0x424F4242,
    0x50315032,
)
"""Some whose bytes are digits and dots, or look like a VR: two of them even after one another."""
VRS = (b"UI", b"LO", b"UT", b"UN", b"OB")
CODECS = tuple(Codec(explicit, order, {}) for explicit in (True, False) for order in "<>")
HOME = b"\x16\x00\x08\x00"


class Part(NamedTuple):
    """An element before and after; the two values have one length."""

    vr: bytes
    was: bytes
    now: bytes


def values() -> st.SearchStrategy[bytes]:
    uids = st.sampled_from(
        [b"1.2.3.4.5", b"2.25." + b"7" * 24, b"1.2.840.10008.1.1", b"1.2.840.10008.5.1.4.1.1.2", b"0.1.2.3.4"]
    )
    loose = st.text(alphabet="0129.\\", max_size=12).map(str.encode)
    odd = st.sampled_from([b"", b"\\", b"\0", b" ", HOME, b"OB\0\0"])
    return st.lists(st.one_of(uids, loose, odd), max_size=4).map(b"".join)


def parts() -> st.SearchStrategy[Part]:
    def made(vr: bytes, was: bytes, now: bytes, differs: bool) -> Part:
        size = max(len(was), len(now)) + 1 & ~1
        return Part(vr, was.ljust(size, b"\0"), (now if differs else was).ljust(size, b"\0"))

    return st.builds(made, st.sampled_from(VRS), values(), values(), st.booleans())


def told(found: Harvest) -> tuple[frozenset[bytes], dict[bytes, set[bytes]]]:
    return found.uids, {uid: set(homes) for uid, homes in found.homes.items()}


@pytest.mark.parametrize("codec", CODECS, ids=["explicit", "explicit big", "implicit", "implicit big"])
@settings(max_examples=400)
@given(elements=st.lists(parts(), min_size=len(TAGS), max_size=len(TAGS)))
@example(elements=[Part(b"UI", b"1.2.3.4.5.", b"1.2.3.4.66")] * len(TAGS))
@example(
    elements=[Part(b"LO", b"abc\0001.2.", b"abc\0001.2.")] * 5 + [Part(b"LO", bytes(50), b"x".ljust(50, b"\0"))] * 5
)
@example(
    elements=[Part(b"LO", b"abc\0UTOB", b"abc\0UTOB")] * 5
    + [Part(b"LO", bytes(0x2E32), b".3.4.5.6".ljust(0x2E32, b"\0"))] * 5
)
def test_the_same_uids_are_found(codec: Codec, elements: list[Part]) -> None:
    was, now, ranges = b"", b"", list[tuple[int, int, int]]()
    for tag, part in zip(TAGS, elements, strict=True):
        start = len(was)
        was += codec.encode(tag, part.vr, part.was)
        now += codec.encode(tag, part.vr, part.now)
        if part.was != part.now:
            ranges.append((start, len(was) - len(part.was), len(was)))
    tags = tag_search(codec)
    before, known = harvest([was], codec, tags), around(was, ranges, tags)
    for head in (was, now, was):
        again = harvest_again(before, head, known, codec, tags)
        assert again is None or told(again) == told(harvest([head], codec, tags))
    assert harvest_again(before, was, known, codec, tags) is not None


def test_only_what_differs_is_looked_at() -> None:
    """But for a UID whose home would be told from a value that differs: a group may look like a VR."""
    codec, tags = CODECS[0], tag_search(CODECS[0])
    first, second = (codec.encode(tag, b"UI", b"1.2.3.4.5.67") for tag in (0x00080018, 0x0020000D))
    size = len(first)
    assert around(first + second, [(0, 8, size)], tags).spans == [(6, size + 8)]
    assert set(around(first + second, [(0, 8, size)], tags).homes[b"1.2.3.4.5.67"]) == {b"\x20\x00\x0d\x00"}
    like_vr = codec.encode(0x424F4242, b"UI", b"1.2.3.4.5.67")
    assert around(first + like_vr, [(0, 8, size)], tags).spans == [(0, 2 * size)]
