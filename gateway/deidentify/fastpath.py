"""Elements that need no closer look, in strides: what becomes of them is looked up in a table, and remembered.

The instances of a series have nearly the same header. So a stride of elements at the top level is kept with what became of it: when
the next instance has the very same bytes there, the result is taken over without another look. It depends on the profile and
the IOD alone, never on whose instance it is: what is mapped, shifted or cleaned is in no stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.deidentify.encoding import UNDEFINED, Codec
from gateway.deidentify.output import Output, within
from gateway.deidentify.private import past_private
from gateway.deidentify.pseudonym import PADDING
from gateway.deidentify.route import Dummy, Route, Seen
from gateway.deidentify.walk import Scope

UNNAMED = (-1, None)
STRIDE = 12
"""Elements at most: more, and one that differs costs too much; fewer, and there are too many strides."""
SERIES = 6
"""Whose strides are remembered, as several arrive at a time."""
UNLIMITED = 1 << 30
SLOW, LARGEST = 1 << 12, 1 << 12
"""Beginnings that are remembered, and bytes of a stride: a private element may be of any size."""


class Stride(NamedTuple):
    """`new`: in place of the bytes `old`; None: they stay. `seen`: values of watched elements. `first`, `last`: their tags."""

    old: bytes
    new: bytes | None
    seen: Mapping[int, bytes]
    first: int
    last: int


NONE: tuple[Stride, ...] = ()
"""Remembered of what once needed a closer look, which is always right and only slower."""


class FastPath:
    """For one walk over `buf`. `seen`: filled with the original values of watched elements. `no_private`: none of them stays."""

    def __init__(self, route: Route, buf: bytes, seen: dict[int, bytes], *, no_private: bool) -> None:
        self.route = route
        self.buf = buf
        self.seen = seen
        self.no_private = no_private

    def run(self, pos: int, end: int, tags: tuple[int, int], place: tuple[Scope, Output]) -> tuple[int, int]:
        """`tags`: the last one, and one to stop at. -> where the first element is that needs a closer look, the last one's tag."""
        (last, fence), (scope, out) = tags, place
        known, width, buf = self.route.strides_at(scope.codec, scope.here), scope.codec.width, self.buf
        if scope.depth:
            return self._inside(pos, end, tags, place, known)
        while pos < end:
            key = buf[pos : pos + width]
            strides = known.get(key)
            if strides is NONE:
                break
            strides = strides or NONE
            for stride in strides:
                if buf.startswith(stride.old, pos) and last < stride.first and stride.last < fence:
                    break
            else:
                stride = self._stride(pos, end, (last, fence), scope)
                _remember(known, key, (stride, *strides[: SERIES - 1]) if stride else strides)
                if stride is None:
                    break
            after = pos + len(stride.old)
            if stride.new is not None:
                out.put(pos, after, (stride.new,) if stride.new else ())
            if stride.seen:
                self.seen.update(stride.seen)
            last, pos = stride.last, after
        return pos, last

    def _inside(
        self,
        pos: int,
        end: int,
        tags: tuple[int, int],
        place: tuple[Scope, Output],
        known: dict[bytes, tuple[Stride, ...]],
    ) -> tuple[int, int]:
        """As `run`, in an item: most are too short to remember them, but for the elements that are in need of a closer look."""
        key = self.buf[pos : pos + place[0].codec.width]
        if key in known:
            return pos, tags[0]
        after, last = self._pass(pos, end, (*tags, UNLIMITED), place, self.seen)
        if after == pos:
            _remember(known, key, NONE)
        return after, last

    def _stride(self, pos: int, end: int, tags: tuple[int, int], scope: Scope) -> Stride | None:
        """The next one; None where an element needs a closer look at once."""
        out, seen, (last, fence) = Output(self.buf, pos), dict[int, bytes](), tags
        after, last = self._pass(pos, end, (last, fence, STRIDE), (scope, out), seen)
        if after == pos:
            return None
        parts = out.close(within(after, end))
        first, _, _, _ = scope.codec.header(self.buf, pos)
        return Stride(self.buf[pos:after], None if parts is None else b"".join(parts), seen, first, last)

    def _pass(
        self, pos: int, end: int, tags: tuple[int, int, int], place: tuple[Scope, Output], seen: dict[int, bytes]
    ) -> tuple[int, int]:
        """`tags`: the last one, one to stop at, and how many elements to pass. -> as `run`."""
        (last, fence, left), (scope, out) = tags, place
        buf, codec = self.buf, scope.codec
        find = (self.route.inside if scope.depth else self.route.top)[codec].get
        find_here = self.route.names_at(codec, scope.here).get
        width, length_of = codec.width, codec.length_of
        while pos < end and left:
            key = buf[pos : pos + width]
            tag, form = find(key) or find_here(key) or UNNAMED
            if not last < tag < fence:
                tag, after = self._private(pos, end, codec)
                if not last < tag < fence:
                    break
                out.put(pos, after, ())
                last, pos, left = tag, after, left - 1
                continue
            (length,) = length_of(buf, pos + width)
            after = pos + 8 + length
            watched = form.__class__ is Seen
            if form.__class__ is Seen:
                form = form.form
            if form is None and not length & 1:
                pass
            elif form.__class__ is bytes and after <= end:
                out.put(pos, after, (form,) if form else ())
            elif form.__class__ is Dummy and buf[pos + 8 : after].strip(PADDING) and after <= end:
                out.put(pos, after, form)
            elif length & 1 or not callable(form) or not form(buf, pos + 8, after):
                break
            # Only of what is passed: the value of an element that needs a closer look is no part of a stride.
            if watched:
                seen[tag] = buf[pos + 8 : after]
            last, pos, left = tag, after, left - 1
        return pos, last

    def _private(self, pos: int, end: int, codec: Codec) -> tuple[int, int]:
        """The first tag of a row of private elements, none of which stays, and where it ends; tag -1: there is none."""
        if not (self.no_private and pos + 1 < end and self.buf[pos + (codec.order == ">")] & 1):
            return -1, pos
        head = codec.header(self.buf, pos)
        if head.length == UNDEFINED:
            return -1, pos
        return head.tag, within(past_private(self.buf, head, end, codec), end)


def _remember(known: dict[bytes, tuple[Stride, ...]], key: bytes, strides: tuple[Stride, ...]) -> None:
    """Bounded, whatever is sent."""
    if (key in known or len(known) < SLOW) and not (strides and len(strides[0].old) > LARGEST):
        known[key] = strides
