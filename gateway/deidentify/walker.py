"""One pass over the bytes of a data set: untouched spans are copied as they are, what the profile names is written anew.

No element becomes an object. In each level the walk asks a dictionary, keyed by the very bytes of tag and VR, whether the
element may stay; if so it only adds up lengths. Everything else takes the slow path, `_edit`. Pixel data is handed on as a view.

What is mended: undefined lengths of changed sequences become explicit, odd lengths even, duplicates lose the later one, and a
data set out of tag order is walked again, element by element, and sorted. What is not, raises `Malformed`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gateway.deidentify.actions import Action
from gateway.deidentify.decision import WITH_ITEMS, decide, new_value
from gateway.deidentify.encoding import ITEM, ITEM_END, PIXEL_TAGS, SEQUENCE_END, UNDEFINED, Codec, Header, Malformed
from gateway.deidentify.pixels import PIXEL_VRS, fragments_end, pixel_end
from gateway.deidentify.profile import Rule
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.route import Names, Route
from gateway.model import Buffer

MAX_DEPTH = 48
"""Levels of sequences: deeper than any real object, far from Python's own limit."""

Parts = list[Buffer]
Mark = tuple[int, Buffer]
NO_MARK: Mark = (1 << 32, b"")
NO_NAMES: Names = {}
PIXELS = Rule(Action.KEEP, "default: pixel data")


class Disordered(Exception):
    """Elements are not in ascending tag order: walk again with `sort`."""


class Scope(NamedTuple):
    """Where the walk is. `scrub`: text without a rule of its own becomes a dummy. `path`: for explain, "" at the top."""

    codec: Codec
    depth: int = 0
    scrub: bool = False
    path: str = ""


class Step(NamedTuple):
    """What was done to one element. `path`: tags and item numbers down to it: "0040A730[0].00080100"."""

    path: str
    tag: int
    action: Action
    source: str


class Walker:
    """One walk over one data set. After `walk`, `seen` holds the original values of the route's watched elements.

    `spliced`: the pixel data's value, where it was taken out of the bytes beforehand. `sort`: put elements in order.
    `trace`: a list in which every step is noted; without it the walk is faster.
    """

    def __init__(
        self,
        route: Route,
        pseudonyms: Pseudonyms,
        *,
        spliced: Buffer | None = None,
        sort: bool = False,
        trace: list[Step] | None = None,
    ) -> None:
        self.profile = route.profile
        self.route = route
        self.pseudonyms = pseudonyms
        self.spliced = spliced
        self.sort = sort
        self.seen: dict[int, bytes] = {}
        self.spans: list[tuple[int, int]] = []  # where in the bytes pixel data was
        self.trace = trace
        self.buf = b""
        self.marks: tuple[Mark, ...] = ()

    def walk(self, data: bytes, codec: Codec, marks: tuple[Mark, ...]) -> Parts:
        """The clean data set. `marks`: elements to put in, in tag order. Raises Malformed, Disordered, struct.error."""
        self.buf, self.marks = data, marks
        parts, _ = self._level(0, len(data), Scope(codec), open_end=False)
        return [data] if parts is None else parts

    def _level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]:
        """One data set or item. -> parts (None: nothing changed), where it ends. `open_end`: up to an item delimiter."""
        if self.sort:
            return self._sorted_level(pos, end, scope, open_end=open_end)
        buf, codec, out, last = self.buf, scope.codec, Output(self.buf, pos), -1
        find, width, length_of = self._names(scope).get, codec.width, codec.length_of
        marks = iter(() if scope.depth else self.marks)
        fence, mark = next(marks, NO_MARK)
        while pos < end:
            tag = find(buf[pos : pos + width])
            if tag is not None and last < tag < fence:
                (length,) = length_of(buf, pos + width)
                if not length & 1:
                    pos += 8 + length
                    last = tag
                    continue
            head = codec.header(buf, pos)
            if open_end and head.tag == ITEM_END:
                return out.close(pos), pos
            new, after = self._edit(head, pos, end, scope)
            while head.tag >= fence:
                out.put(pos, pos, (mark,))
                fence, mark = next(marks, NO_MARK)
            if head.tag <= last:
                new = _later_duplicate(head.tag, last)
            if new is not None:
                out.put(pos, after, new)
            last, pos = head.tag, after
        _check_end(pos, end, open_end=open_end)
        if mark:
            out.put(pos, pos, (mark, *(rest for _, rest in marks)))
        return out.close(pos), pos

    def _sorted_level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]:
        """As `_level`, but each element on its own, then all in tag order; of several with one tag the first stays."""
        found: dict[int, Parts] = {tag: [mark] for tag, mark in (() if scope.depth else self.marks)}
        while pos < end:
            head = scope.codec.header(self.buf, pos)
            if open_end and head.tag == ITEM_END:
                break
            new, after = self._edit(head, pos, end, scope)
            found.setdefault(head.tag, [self.buf[pos:after]] if new is None else new)
            pos = after
        else:
            _check_end(pos, end, open_end=open_end)
        return [part for tag in sorted(found) for part in found[tag]], pos

    def _names(self, scope: Scope) -> Names:
        """Nothing takes the fast path where all text is replaced, or when every element has to be told of."""
        return NO_NAMES if scope.scrub or self.trace is not None else self.route.fast[scope.codec]

    def _edit(self, head: Header, pos: int, end: int, scope: Scope) -> tuple[Parts | None, int]:
        """One element. -> what takes its place (None: it stays as it is), where the next one begins."""
        if head.tag >> 16 == 0xFFFE:
            raise Malformed
        if head.tag in PIXEL_TAGS and not scope.depth:
            return self._pixels(head, pos, scope)
        rule = self.profile.rules.get(head.tag) or self.profile.unnamed(head.tag)
        if rule.action is Action.REMOVE and self._at_once(head, scope):
            return [], _within(head.value + head.length, end)
        known = self.profile.vrs.get(head.tag, b"")
        vr = known if known and head.vr == b"UN" else head.vr
        action = decide(rule, vr, known, scrub=scope.scrub)
        self._tell(head.tag, action, rule, scope)
        if vr == b"SQ" or head.length == UNDEFINED:
            return self._sequence(head, end, scope, action)
        after = _within(head.value + head.length, end)
        if not scope.depth and head.tag in self.route.watched:
            self.seen.setdefault(head.tag, self.buf[head.value : after])
        if action is Action.REMOVE or (action is Action.PATIENT_ID and not scope.depth):
            return [], after  # the top level's Patient ID is among the marks
        if action is Action.KEEP and not head.length & 1:
            return None, after
        vr = known or vr
        raw = self.buf[head.value : after]
        value = rule.value if action is Action.VALUE else new_value(action, head.tag, vr, raw, self.pseudonyms)
        return [scope.codec.encode(head.tag, vr, value)], after

    def _at_once(self, head: Header, scope: Scope) -> bool:
        """Whether nobody wants to see an element before it goes, and its end is known."""
        watched = not scope.depth and head.tag in self.route.watched
        return head.length != UNDEFINED and self.trace is None and not watched

    def _pixels(self, head: Header, pos: int, scope: Scope) -> tuple[Parts, int]:
        """Header and value as two parts; the value is a view of the input."""
        if head.vr not in PIXEL_VRS:
            raise Malformed
        self._tell(head.tag, Action.KEEP, PIXELS, scope)
        if self.spliced is not None:
            view, after, self.spliced = memoryview(self.spliced), head.value, None
        else:
            after = pixel_end(self.buf, head.value, head.length, scope.codec)
            view = memoryview(self.buf)[head.value : after]
            self.spans.append((head.value, after))
        return [self.buf[pos : head.value], view], after

    def _sequence(self, head: Header, end: int, scope: Scope, action: Action) -> tuple[Parts | None, int]:
        """A sequence, or whatever else has an undefined length."""
        codec = scope.codec
        if head.length == UNDEFINED and head.vr in (b"OB", b"OW"):  # pixel data below the top level
            return [], fragments_end(self.buf, head.value, codec)
        if action is Action.EMPTY:
            return [codec.encode(head.tag, b"SQ", b"")], self._skip(head, end, scope)
        if action not in WITH_ITEMS:
            return [], self._skip(head, end, scope)
        inside = self._inside(head, scope, action)
        try:
            parts, after = self._items(head, end, inside)
        except (Malformed, struct.error):
            if head.vr != b"UN" or head.length == UNDEFINED:
                raise
            return [], _within(head.value + head.length, end)  # bytes that are no sequence: not proven clean, removed
        if parts is None and (head.vr == b"SQ" or head.length != UNDEFINED):
            return None, after
        parts = [self.buf[head.value : after - 8]] if parts is None else parts  # UN always leaves with a length
        return [codec.encode_header(head.tag, head.vr, sum(map(len, parts))), *parts], after

    def _skip(self, head: Header, end: int, scope: Scope) -> int:
        """Where a sequence ends that is not kept; of undefined length, only a walk through it tells."""
        if head.length != UNDEFINED:
            return _within(head.value + head.length, end)
        return self._items(head, end, self._inside(head, scope, Action.REMOVE))[1]

    def _inside(self, head: Header, scope: Scope, action: Action) -> Scope:
        """The scope of a sequence's items. An UN sequence is Implicit VR Little Endian inside (PS3.5 6.2.2 note 4)."""
        if scope.depth >= MAX_DEPTH or head.vr not in (b"SQ", b"UN"):
            raise Malformed
        codec = self.profile.codecs.little_implicit if head.vr == b"UN" else scope.codec
        path = f"{scope.path}{head.tag:08X}" if self.trace is not None else ""
        return Scope(codec, scope.depth + 1, scope.scrub or action is Action.SCRUB, path)

    def _items(self, head: Header, end: int, scope: Scope) -> tuple[Parts | None, int]:
        """The items of a sequence. -> their new bytes (None: as they were), where the next element begins."""
        defined = head.length != UNDEFINED
        pos = start = head.value
        stop = _within(pos + head.length, end) if defined else end
        out, number = Output(self.buf, start), 0
        while pos < stop:
            group, element, length = scope.codec.long.unpack_from(self.buf, pos)
            tag, value = group << 16 | element, pos + 8
            if tag == SEQUENCE_END and not defined:
                return out.close(pos), value
            if tag != ITEM:
                raise Malformed
            inner = scope._replace(path=f"{scope.path}[{number}].") if scope.path else scope
            open_end = length == UNDEFINED
            parts, after = self._level(
                value, stop if open_end else _within(value + length, stop), inner, open_end=open_end
            )
            after += 8 if open_end else 0
            if parts is not None:
                out.put(pos, after, (scope.codec.item(sum(map(len, parts))), *parts))
            pos, number = after, number + 1
        _check_end(pos, stop, open_end=not defined)
        return out.close(pos), pos

    def _tell(self, tag: int, action: Action, rule: Rule, scope: Scope) -> None:
        if self.trace is not None:
            source = rule.source if action is rule.action else f"{rule.source}; made stricter"
            self.trace.append(Step(f"{scope.path}{tag:08X}", tag, action, source))


class Output:
    """What becomes of a stretch of bytes: pieces of it, and what was put between them."""

    __slots__ = ("buf", "changed", "parts", "start")

    def __init__(self, buf: bytes, start: int) -> None:
        self.buf = buf
        self.parts: Parts = []
        self.start = start
        self.changed = False

    def put(self, pos: int, after: int, new: Parts | tuple[Buffer, ...]) -> None:
        """`new` in place of the bytes from `pos` to `after`."""
        if self.start < pos:
            self.parts.append(self.buf[self.start : pos])
        self.parts += new
        self.start = after
        self.changed = True

    def close(self, pos: int) -> Parts | None:
        """All parts up to `pos`; None when nothing was put."""
        if not self.changed:
            return None
        if self.start < pos:
            self.parts.append(self.buf[self.start : pos])
        return self.parts


def _later_duplicate(tag: int, last: int) -> Parts:
    """Nothing, for an element that repeats the one before it (PS3.5 7.1: a tag occurs once)."""
    if tag < last:
        raise Disordered
    return []


def _within(after: int, end: int) -> int:
    if after > end:
        raise Malformed
    return after


def _check_end(pos: int, end: int, *, open_end: bool) -> None:
    """A data set ends where its length says, an open one only with its delimiter."""
    if pos != end or open_end:
        raise Malformed
