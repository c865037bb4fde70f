"""Instances that differ from one before them in a few values: these are done anew, everything else is taken over.

The instances of a series have nearly the same header. So of some that were cleaned a `Twin` is kept: the bytes, what became of each
element of the top level, and what verification passed. A header of the same length that differs from it inside of values only is
walked in just these elements, and harvested and verified around them. Whatever could decide about another element is guarded: tags,
VRs and lengths, whose instance it is and of which class, every value that is harvested, creators of private blocks. Where a guarded
byte differs, where the harvest would find another value or verification anything to look at more closely, all is done as ever:
so no result depends on whether there was a twin (tests/deidentify/test_twins.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.deidentify.alike import UNFIT, Field, changed, mask_of, number_of
from gateway.deidentify.encoding import PIXEL_TAGS, UNDEFINED, Codec
from gateway.deidentify.harvest import Around, Harvest, Search, around, footprint, harvest_again
from gateway.deidentify.output import PADDING_ELEMENT, Parts, read_header
from gateway.deidentify.pixels import unproven
from gateway.deidentify.preview import WANTED
from gateway.deidentify.route import Route
from gateway.deidentify.verify import Passed, first_look, passes_again
from gateway.deidentify.walk import Source, Walk
from gateway.deidentify.walker import Walker

MOST = 1 << 16
"""Bytes of a header; a larger one has private blobs that differ in each instance."""
LENGTHS, EACH = 64, 8
"""Lengths of headers that are remembered, and twins of each, as several series arrive at a time."""
SETS = 32
"""Of fields that differ together, of each twin."""
FIRST, RETURN, SELDOM = 32.0, 0.5, 1 / 32
"""Twins that may be made at first, for one that was of use, and for any instance: making them where none ever fits costs time."""


class Subset(NamedTuple):
    """What twins are alike in. `size`: of the header, up to the value of the pixel data. `own`: values of the request."""

    codec: Codec
    size: int
    own: frozenset[str]


def subset_of(source: Source, spans: Sequence[tuple[int, int]]) -> Subset | None:
    """Which twins an instance may have; None where its pixel data is not all of its end. `spans`: of pixel data, unless cut."""
    size = len(source.data)
    if source.pixels is not None:
        return Subset(source.codec, size, source.own) if source.pixels.at == size else None
    if len(spans) > 1 or (spans and spans[0][1] != size):
        return None
    return Subset(source.codec, spans[0][0] if spans else size, source.own)


class Done(NamedTuple):
    """One instance, walked. `new`: pieces of the result that are not its twin's."""

    walker: Walker
    parts: Parts
    original: Harvest
    new: Sequence[bytes] = ()


class Twin(NamedTuple):
    """`number`, `guard`: the header, and which of its bits must not differ. `image`: the header of the pixel data.

    `pieces`: of the result, an element each. `seen`: as the walker's. `arounds`: by where the fields begin that differ.
    """

    head: bytes
    number: int
    guard: int
    walk: Walk
    fields: Sequence[Field]
    image: Field | None
    starts: Sequence[int]
    pieces: Sequence[bytes]
    seen: Mapping[int, bytes]
    original: Harvest
    passed: Passed
    arounds: dict[tuple[int, ...], Around]

    def around(self, fields: Sequence[Field], tags: Search) -> Around:
        """As of all but these, which differ from it; it is mostly the same ones that do."""
        key = tuple([field.start for field in fields])
        known = self.arounds.get(key)
        if known is None:
            ranges, full = [(f.start, f.head.value, f.end) for f in fields], len(self.arounds) >= SETS
            known = around(self.head, ranges, tags, whole=full)
            if not full:
                self.arounds[key] = known
        return known


class Twins:
    """Of one cleaner. Bounded; threads may use it at the same time."""

    def __init__(self, route: Route, tags: Mapping[Codec, Search]) -> None:
        self._route, self._tags = route, tags
        self._known: dict[Subset, tuple[Twin, ...]] = {}
        self._credit = FIRST

    def redo(self, source: Source, subset: Subset) -> tuple[Twin, Done] | None:
        """A walk through what differs from the twin of `source`; None where there is none, or all is to be done as ever."""
        self._credit = min(self._credit + SELDOM, FIRST)
        twins = self._known.get(subset, ())
        number = number_of(source.data[: subset.size]) if twins else 0
        for twin in twins:
            if not (number ^ twin.number) & twin.guard:
                if twin is not twins[0]:
                    self._known[subset] = (twin, *(other for other in twins if other is not twin))
                with contextlib.suppress(*UNFIT):
                    done = self._redone(twin, source, changed(twin.fields, twin.starts, number ^ twin.number))
                    return (twin, done) if done else None
        return None

    def _redone(self, twin: Twin, source: Source, fields: Sequence[Field]) -> Done | None:
        """Raises one of `UNFIT`."""
        data, codec = source.data, source.codec
        tags = self._tags[codec]
        original = harvest_again(twin.original, data[: len(twin.head)], twin.around(fields, tags), codec, tags)
        walker = Walker(self._route, twin.walk._replace(cut=source.pixels))
        walker.begin(data, codec)
        renewed = {field.head.tag for field in fields}
        walker.seen.update((tag, value) for tag, value in twin.seen.items() if tag not in renewed)
        pieces, new = list(twin.pieces), list[bytes]()
        for field in fields:
            piece = _piece(walker, data, field)
            if piece is None or original is None:
                return None
            new.append(piece)
            pieces[field.piece] = piece
        parts: Parts = [b"".join(pieces)]
        if twin.image is not None:
            image, after = walker.edit(twin.image.head, twin.image.start, len(data), twin.image.scope)
            if image is None or after != len(data) or unproven(image, walker.seen, codec):
                return None
            parts += image
        return Done(walker, parts, original, new) if original else None

    def passes(self, twin: Twin, done: Done, subset: Subset) -> bool:
        """Whether the result is as clean as the twin's. False: all is to be done as ever."""
        asked = subset.own, self._route.profile.kept
        if not passes_again(twin.passed, done.parts, done.new, done.original, asked):
            return False
        self._credit = min(self._credit + RETURN, FIRST)
        return True

    def remember(self, source: Source, subset: Subset, done: Done) -> None:
        """To be called of a result that verification passed at once."""
        if subset.size > MOST or self._credit < 1 or done.walker.made_for.sort:
            return
        self._credit -= 1
        twin = self._made(source, subset, done)
        if twin is not None:
            if subset not in self._known and len(self._known) >= LENGTHS:
                self._known.clear()
            self._known[subset] = (twin, *self._known.get(subset, ())[: EACH - 1])

    def _made(self, source: Source, subset: Subset, done: Done) -> Twin | None:
        """None where a walk element by element does not lead to the same result."""
        (codec, size, own), walk = subset, done.walker.made_for
        if unproven(done.parts, done.walker.seen, codec):
            return None
        walker, head = Walker(self._route, walk), source.data[:size]
        walker.marks = done.walker.marks
        passed = first_look(done.parts, done.original, own, self._route.profile.kept, codec)
        layout = _laid_out(walker, source.data, size, codec)
        if passed is None or layout is None:
            return None
        fields, image, pieces = layout
        if walker.seen != done.walker.seen or b"".join(pieces) != b"".join(done.parts[: -2 if image else None]):
            return None
        guarded = _guarded(fields, image, size, safe=self._route.profile.safe)
        return Twin(
            head,
            number_of(head),
            mask_of(size, (*guarded, *footprint(head, codec, self._tags[codec])), inside=True),
            walk._replace(cut=None),
            fields,
            image,
            [field.start for field in fields],
            pieces,
            dict(walker.seen),
            done.original,
            passed,
            {},
        )


def _piece(walker: Walker, data: bytes, field: Field) -> bytes | None:
    """What becomes of a field; None where it turns out to be another. Raises one of `UNFIT`."""
    new, after = walker.edit(field.head, field.start, len(data), field.scope)
    if after != field.end:
        return None
    return data[field.start : after] if new is None else b"".join(new)


Layout = tuple[list[Field], Field | None, list[bytes]]


def _laid_out(walker: Walker, data: bytes, size: int, codec: Codec) -> Layout | None:
    """A walk through the top level, element by element: fields, the pixel data, pieces of the result; None where it has a fault."""
    scope, pos, last = walker.begin(data, codec), 0, -1
    fields, pieces, marks = list[Field](), list[bytes](), list(walker.marks)
    image: Field | None = None
    while pos < len(data) and image is None:
        head = read_header(data, pos, codec, top=True)
        if head.tag <= last or (pos >= size and head.tag not in PIXEL_TAGS):
            return None
        scope = walker.noted(head, scope)
        new, after = walker.edit(head, pos, len(data), scope)
        while marks and head.tag >= marks[0][0]:
            pieces.append(bytes(marks.pop(0)[1]))
        field = Field(head, pos, after, scope, len(pieces), new is None)
        if head.tag in PIXEL_TAGS:
            image = field
        else:
            fields.append(field)
            pieces.append(data[pos:after] if new is None else b"".join(new))
        last, pos = head.tag, after
    pieces += (bytes(mark) for _, mark in marks)
    return (fields, image, pieces) if pos == len(data) and (image is None or image.head.value == size) else None


def _guarded(fields: Sequence[Field], image: Field | None, size: int, *, safe: bool) -> Iterator[tuple[int, int]]:
    """From where to where no byte may differ. `safe`: private elements may stay, by what their creator says."""
    for field in fields:
        head = field.head
        whole = (
            head.tag in WANTED
            or head.length == UNDEFINED
            or (safe and head.tag >> 16 & 1)
            or head.tag == PADDING_ELEMENT
        )
        yield field.start, field.end if whole else head.value
    if image is not None:
        yield image.start, size
