"""One pass over the bytes of a data set: untouched spans are copied as they are, what the profile names is written anew.

No element becomes an object. In each level `fastpath` asks a dictionary, keyed by the very bytes of tag and VR, whether
the element may stay; if so it only adds up lengths. Everything else takes the slow path, `edit`. Pixel data is handed on
as a view.

What is mended: undefined lengths of changed sequences become explicit, odd lengths even, duplicates lose the later one, NUL
padding behind the last element goes, as do bytes behind a native image and words inside a compressed one; a data set out of
tag order is walked again, element by element, and sorted. What is not, raises `Malformed`.
"""

from __future__ import annotations

import struct

from gateway.deidentify.actions import DUMMIES, Action, Rule
from gateway.deidentify.ages import place_of
from gateway.deidentify.alike import Items
from gateway.deidentify.charset import read_charset
from gateway.deidentify.comments import without_comments
from gateway.deidentify.decision import CLEANED, WITH_ITEMS, Value, decide, distrusted, fitting, new_value, written_as
from gateway.deidentify.encoding import ITEM, ITEM_END, PIXEL_TAGS, SEQUENCE_END, UNDEFINED, Codec, Header, Malformed
from gateway.deidentify.fastpath import FastPath
from gateway.deidentify.output import Output, Parts, check_end, read_header, within
from gateway.deidentify.pixels import PIXEL_VRS, fragments_end, has_overlays, native_image, pixel_end
from gateway.deidentify.preview import CHARACTER_SET
from gateway.deidentify.private import CREATORS, note_creator, past_private, safe_rule, unnumbered
from gateway.deidentify.pseudonym import PADDING
from gateway.deidentify.route import Route
from gateway.deidentify.subject import REPEATS, Repeats
from gateway.deidentify.walk import Mark, Scope, Step, Walk, later_duplicate

MAX_DEPTH = 48
"""Levels of sequences: deeper than any real object, far from Python's own limit."""

NO_MARK: Mark = (1 << 32, b"")
UNKNOWN: Parts = []
LONGEST = 1 << 9
"""Bytes of an element's value that is remembered."""
PIXELS = Rule(Action.KEEP, "default: pixel data")


class Walker:
    """One walk over one data set. After `walk`, `seen` holds the original values of the route's watched elements."""

    def __init__(self, route: Route, walk: Walk) -> None:
        self.route, self.profile = route, route.profile
        self.made_for = walk
        self.subject = walk.subject
        self.cut = walk.cut
        self.trace = walk.trace
        self.no_private = not route.profile.safe and walk.trace is None
        self.fast: FastPath | None = None
        self.repeats: Repeats | None = None
        self.seen: dict[int, bytes] = {}
        self.has_pixels = False
        self.spans: list[tuple[int, int]] = []  # where in the bytes pixel data was
        self.buf = b""
        self.marks: tuple[Mark, ...] = ()

    def walk(self, data: bytes, codec: Codec, marks: tuple[Mark, ...]) -> Parts:
        """The clean data set. `marks`: elements to put in, in tag order. Raises Malformed, Disordered, struct.error."""
        self.marks = marks
        parts, _ = self.one_level(0, len(data), self.begin(data, codec), open_end=False)
        return [data] if parts is None else parts

    def begin(self, data: bytes, codec: Codec) -> Scope:
        """The scope of the top level; from here on `edit` may be asked for its elements one by one."""
        self.buf = data
        if not self.made_for.trouble and self.trace is None:
            self.fast = FastPath(self.route, data, self.seen, no_private=self.no_private)
            self.repeats = self.subject.repeats(self.made_for.sop_class, self.made_for.charset)
        self.charset = read_charset(self.made_for.charset)
        return Scope(codec, self.profile.rules_at(self.made_for.sop_class, 0), self.charset)

    def one_level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]:
        """As `_level`. Not kept on the walker: it would refer to itself, and outlive its walk, and the whole file with it."""
        walked = self._sorted_level if self.made_for.sort else self._level
        return walked(pos, end, scope, open_end=open_end)

    def _level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]:
        """One data set or item. -> parts (None: nothing changed), where it ends. `open_end`: up to an item delimiter."""
        out, last = Output(self.buf, pos), -1
        marks = iter(() if scope.depth else self.marks)
        fence, mark = next(marks, NO_MARK)
        while pos < end:
            if self.fast is not None and not scope.scrub:
                pos, last = self.fast.run(pos, end, (last, fence), (scope, out))
                if pos >= end:
                    break
            head = read_header(self.buf, pos, scope.codec, top=not scope.depth)
            if open_end and head.tag == ITEM_END:
                return out.close(pos), pos
            if head.tag == CHARACTER_SET or head.tag >> 16 & 1:
                scope = self.noted(head, scope)
            new, after = self.edit(head, pos, end, scope)
            while head.tag >= fence:
                out.put(pos, pos, (mark,))
                fence, mark = next(marks, NO_MARK)
            if head.tag <= last:
                new = later_duplicate(head.tag, last)
            if new is not None:
                out.put(pos, after, new)
            last, pos = head.tag, after
        check_end(pos, end, open_end=open_end)
        if mark:
            out.put(pos, pos, (mark, *(rest for _, rest in marks)))
        return out.close(pos), pos

    def _sorted_level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]:
        """As `_level`, but each element on its own, then all in tag order; of several with one tag the first stays."""
        found: dict[int, Parts] = {tag: [mark] for tag, mark in (() if scope.depth else self.marks)}
        while pos < end:
            head = read_header(self.buf, pos, scope.codec, top=not scope.depth)
            if open_end and head.tag == ITEM_END:
                break
            scope = self.noted(head, scope)
            new, after = self.edit(head, pos, end, scope)
            found.setdefault(head.tag, [self.buf[pos:after]] if new is None else new)
            pos = after
        else:
            check_end(pos, end, open_end=open_end)
        return [part for tag in sorted(found) for part in found[tag]], pos

    def noted(self, head: Header, scope: Scope) -> Scope:
        """The scope as this element changes it: an item's own character set, or the creator of a private block."""
        if head.tag == CHARACTER_SET and scope.depth and head.length != UNDEFINED:
            return scope._replace(charset=read_charset(self.buf[head.value : head.value + head.length]))
        if self.profile.safe and head.tag >> 16 & 1 and head.tag & 0xFFFF in CREATORS:
            creator = self.buf[head.value : head.value + head.length] if head.length < 65 else b""
            return scope._replace(creators=note_creator(scope.creators, head.tag, creator))
        return scope

    def rule(self, head: Header, scope: Scope) -> tuple[Rule, bytes]:
        """The rule for an element, and the VR that it should have, b"" when nobody knows."""
        tag = head.tag
        if tag >> 16 & 1 and scope.creators:
            safe = safe_rule(scope.creators, tag)
            if safe is not None and (head.vr in (safe.vr, b"UN") or not scope.codec.explicit):
                return safe.rule, safe.vr
        rule = scope.here.get(tag) or self.profile.rules.get(tag) or self.profile.unnamed(tag)
        return rule, self.profile.vrs.get(tag, b"")

    def edit(self, head: Header, pos: int, end: int, scope: Scope) -> tuple[Parts | None, int]:
        """One element. -> what takes its place (None: it stays as it is), where the next one begins."""
        if head.tag >> 16 & 1 and self.no_private and head.length != UNDEFINED:
            return [], within(past_private(self.buf, head, end, scope.codec), end)
        if head.tag >> 16 == 0xFFFE:
            raise Malformed
        if head.tag in PIXEL_TAGS and not scope.depth:
            return self._pixels(head, pos, scope)
        if self.repeats is None or head.length > LONGEST or head.tag >> 16 & 1 or scope.charset is not self.charset:
            return self._decide(head, end, scope)
        after = within(head.value + head.length, end)
        if not scope.depth and head.tag in self.route.watched:
            self.seen.setdefault(head.tag, self.buf[head.value : after])
        key = (scope.codec, scope.depth, scope.parent, scope.scrub, self.buf[pos:after])
        new = self.repeats.get(key, UNKNOWN)
        if new is UNKNOWN:
            new = self._decide(head, end, scope)[0]
            if len(self.repeats) <= 2 * REPEATS:
                self.repeats[key] = new
        return new, after

    def _decide(self, head: Header, end: int, scope: Scope) -> tuple[Parts | None, int]:
        """As `edit`, for any element but pixel data."""
        rule, known = self.rule(head, scope)
        if rule.action is Action.REMOVE and self._at_once(head, scope):
            return [], within(head.value + head.length, end)
        vr = known if known and (head.vr == b"UN" or not scope.codec.explicit) else head.vr
        action = decide(rule, vr, known, scrub=scope.scrub)
        if self.made_for.trouble:
            action = self._distrusted(action, vr, head, scope)
        if vr == b"SQ" or head.length == UNDEFINED:
            self._tell(head.tag, action, rule, scope)
            return self._sequence(head, end, scope, action)
        after = within(head.value + head.length, end)
        raw = self.buf[head.value : after]
        if not scope.depth and head.tag in self.route.watched:
            self.seen.setdefault(head.tag, raw)
        action = fitting(action, vr, known, raw)
        self._tell(head.tag, action, rule, scope)
        if action is Action.REMOVE or (action is Action.PATIENT_ID and not scope.depth):
            return [], after  # the top level's Patient ID is among the marks
        vr = written_as(action, vr, known)
        value = (vr, raw, scope.charset)
        new = rule.value if action is Action.VALUE else self._new_value(action, head.tag, value, scope.parent)
        if new == raw and vr == head.vr and not head.length & 1:
            return None, after
        return [scope.codec.encode(head.tag, vr, new)], after

    def _distrusted(self, action: Action, vr: bytes, head: Header, scope: Scope) -> Action:
        """At first only where the patient's own words stand; when that did not help, wherever the tag does."""
        again = self.made_for.trouble.get(unnumbered(head.tag))
        raw = self.buf[head.value : head.value + head.length]
        if again or (again is not None and (vr == b"UI" or self.subject.is_named_in(raw, scope.charset))):
            return distrusted(action, vr, again=again)
        return action

    def _new_value(self, action: Action, tag: int, value: Value, parent: int) -> bytes:
        """A dummy where cleaning leaves nothing of what the object needs."""
        new = new_value(action, tag, value, self.subject)
        if new or action not in CLEANED or not value[1].strip(PADDING):
            return new
        needed = self.profile.special.types.needs_value(self.made_for.sop_class, parent, tag)
        return DUMMIES[value[0]] if needed else new

    def _at_once(self, head: Header, scope: Scope) -> bool:
        """Whether nobody wants to see an element before it goes, and its end is known."""
        watched = not scope.depth and head.tag in self.route.watched
        return head.length != UNDEFINED and self.trace is None and not watched

    def _pixels(self, head: Header, pos: int, scope: Scope) -> tuple[Parts, int]:
        """Header and value as two parts; the value is a view of the input, without what is no image."""
        if head.vr not in PIXEL_VRS:
            raise Malformed
        self._tell(head.tag, Action.KEEP, PIXELS, scope)
        self.has_pixels = True
        if self.cut is not None and self.cut.at == head.value:
            view, after, self.cut = self.cut.value, head.value, None
        else:
            after = pixel_end(self.buf, head.value, head.length, scope.codec)
            view = memoryview(self.buf)[head.value : after]
            self.spans.append((head.value, after))
        if head.length == UNDEFINED:
            if has_overlays(self.seen):  # in bits that nobody here can reach
                raise Malformed
            return [self.buf[pos : head.value], without_comments(view, scope.codec)], after
        image = native_image(view, self.seen, scope.codec)
        return [scope.codec.encode_header(head.tag, head.vr, len(image)), image], after

    def _sequence(self, head: Header, end: int, scope: Scope, action: Action) -> tuple[Parts | None, int]:
        """A sequence, or whatever else has an undefined length."""
        codec = scope.codec
        if head.length == UNDEFINED and head.vr in (b"OB", b"OW"):  # pixel data below the top level
            return [], fragments_end(self.buf, head.value, codec)
        if action is Action.EMPTY:
            return [codec.encode(head.tag, b"SQ", b"")], self._skip(head, end, scope)
        if action not in WITH_ITEMS:
            return [], self._skip(head, end, scope)
        inside = self.inside(head, scope, action)
        try:
            parts, after = self._items(head, end, inside)
        except (Malformed, struct.error):
            if head.vr != b"UN" or head.length == UNDEFINED:
                raise
            return [], within(head.value + head.length, end)  # bytes that are no sequence: not proven clean, removed
        if parts is None and (head.vr == b"SQ" or head.length != UNDEFINED):
            return None, after
        parts = [self.buf[head.value : after - 8]] if parts is None else parts  # UN always leaves with a length
        return [codec.encode_header(head.tag, head.vr, sum(map(len, parts))), *parts], after

    def _skip(self, head: Header, end: int, scope: Scope) -> int:
        """Where a sequence ends that is not kept; of undefined length, only a walk through it tells."""
        if head.length != UNDEFINED:
            return within(head.value + head.length, end)
        return self._items(head, end, self.inside(head, scope, Action.REMOVE))[1]

    def inside(self, head: Header, scope: Scope, action: Action) -> Scope:
        """The scope of a sequence's items. An UN sequence is Implicit VR Little Endian inside (PS3.5 6.2.2 note 4)."""
        if scope.depth >= MAX_DEPTH or head.vr not in (b"SQ", b"UN"):
            raise Malformed
        codec = self.profile.codecs.little_implicit if head.vr == b"UN" else scope.codec
        place = place_of(head, self.buf, codec)
        here = self.profile.rules_at(self.made_for.sop_class, place)
        path = f"{scope.path}{head.tag:08X}" if self.trace is not None else ""
        return Scope(codec, here, scope.charset, scope.depth + 1, place, scope.scrub or action is Action.SCRUB, path)

    def _items(self, head: Header, end: int, scope: Scope) -> tuple[Parts | None, int]:
        """The items of a sequence. -> their new bytes (None: as they were), where the next element begins."""
        defined = head.length != UNDEFINED
        pos = start = head.value
        stop = within(pos + head.length, end) if defined else end
        out, number, alike = Output(self.buf, start), 0, None
        while pos < stop:
            group, element, length = scope.codec.long.unpack_from(self.buf, pos)
            tag, value = group << 16 | element, pos + 8
            if tag == SEQUENCE_END and not defined:
                return out.close(pos), value
            if tag != ITEM:
                raise Malformed
            inner = scope._replace(path=f"{scope.path}[{number}].") if scope.path else scope
            if length == UNDEFINED:
                parts, after = self.one_level(value, stop, inner, open_end=True)
                after += 8
            else:
                after = within(value + length, stop)
                if number == 1 and self.fast is not None:
                    alike = Items(self, scope)
                parts = alike.walked(value, after) if alike else self.one_level(value, after, inner, open_end=False)[0]
            if parts is not None:
                out.put(pos, after, (scope.codec.item(sum(map(len, parts))), *parts))
            pos, number = after, number + 1
        check_end(pos, stop, open_end=not defined)
        return out.close(pos), pos

    def _tell(self, tag: int, action: Action, rule: Rule, scope: Scope) -> None:
        if self.trace is not None:
            source = rule.source if action is rule.action else f"{rule.source}; made stricter"
            self.trace.append(Step(f"{scope.path}{tag:08X}", tag, action, source))
