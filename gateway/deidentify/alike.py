"""Items of one sequence that differ from one before them in a few values: these are done anew, everything else is taken over.

An enhanced image has thousands of items of one layout, each of a dozen short sequences. Of one that was walked a `Template` is
kept: its bytes and what became of each value in it, at any depth. An item of the same length that differs from it inside of
values only is walked in just these. As in `twins`, whatever could decide about another element must not differ, and a new value
of another length is no part of a template: no result depends on whether there was one (tests/deidentify/test_alike.py).
"""

from __future__ import annotations

import contextlib
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.ages import MEASURED_VALUE
from gateway.deidentify.decision import WITH_ITEMS, decide
from gateway.deidentify.encoding import ITEM, UNDEFINED, Codec, Header, Malformed
from gateway.deidentify.output import Parts, within
from gateway.deidentify.preview import CHARACTER_SET
from gateway.deidentify.walk import Disordered, Scope

LARGEST, FEW = 1 << 13, 16
"""Bytes of an item that a template is made of, and templates that are made in one sequence."""


class Editor(Protocol):
    """The walker, as far as it is needed here."""

    buf: bytes

    def one_level(self, pos: int, end: int, scope: Scope, *, open_end: bool) -> tuple[Parts | None, int]: ...
    def edit(self, head: Header, pos: int, end: int, scope: Scope) -> tuple[Parts | None, int]: ...
    def noted(self, head: Header, scope: Scope) -> Scope: ...
    def rule(self, head: Header, scope: Scope) -> tuple[Rule, bytes]: ...
    def inside(self, head: Header, scope: Scope, action: Action) -> Scope: ...


class Field(NamedTuple):
    """One element, or a row of private ones, by its place in what it is part of. `piece`: which one of the result it became.

    `stays`: as it is.
    """

    head: Header
    start: int
    end: int
    scope: Scope
    piece: int
    stays: bool


class Unlike(Exception):
    """Not to be done by what was done before. Never leaves the room."""


UNFIT = (Unlike, Malformed, Disordered, struct.error)


def number_of(data: bytes) -> int:
    return int.from_bytes(data, "little")


def mask_of(size: int, ranges: Iterable[tuple[int, int]], *, inside: bool) -> int:
    """A number whose bits are set in the bytes inside, or outside, of `ranges`."""
    mask = bytearray(b"\0" if inside else b"\xff") * size
    for start, end in ranges:
        mask[start:end] = (b"\xff" if inside else b"\0") * (end - start)
    return number_of(bytes(mask))


def changed(fields: Sequence[Field], starts: Sequence[int], differs: int) -> list[Field]:
    """Those in which bits of `differs` are set, in order. `starts`: where each begins; all bits are in one of them."""
    found, end = list[Field](), 0
    while differs:
        at = end + (((differs & -differs).bit_length() - 1) >> 3)
        field = fields[bisect_right(starts, at) - 1]
        found.append(field)
        differs >>= 8 * (field.end - end)
        end = field.end
    return found


class Template(NamedTuple):
    """`number`, `guard`: the bytes of an item, and which of their bits must not differ. `stays`: all of it, as it was."""

    number: int
    guard: int
    fields: Sequence[Field]
    starts: Sequence[int]
    pieces: Sequence[bytes]
    stays: bool

    def redo(self, editor: Editor, start: int, number: int) -> Parts | None:
        """What becomes of another item, whose content begins at `start`. Raises one of `UNFIT`."""
        differs = number ^ self.number
        if differs & self.guard:
            raise Unlike
        fields = changed(self.fields, self.starts, differs)
        pieces = list(self.pieces)
        for field in fields:
            tag, vr, length, value = field.head
            at, end = start + field.start, start + field.end
            new, after = editor.edit(Header(tag, vr, length, value + start), at, end, field.scope)
            piece = editor.buf[at:end] if new is None else b"".join(new)
            if after != end or len(piece) != len(pieces[field.piece]) or (new is None) != field.stays:
                raise Unlike
            pieces[field.piece] = piece
        return None if self.stays else [b"".join(pieces)]


class Items:
    """The templates of one sequence, by the length of the item."""

    def __init__(self, editor: Editor, scope: Scope) -> None:
        self._editor, self._scope = editor, scope
        self._known: dict[int, Template] = {}
        self._met: dict[int, int] = {}
        self._made = 0

    def walked(self, start: int, end: int) -> Parts | None:
        """What becomes of an item whose content is there; by its template, where there is one that fits."""
        try:
            return self.redo(start, end)
        except Unlike:
            parts, _ = self._editor.one_level(start, end, self._scope, open_end=False)
            self._remember(start, end, parts)
            return parts

    def redo(self, start: int, end: int) -> Parts | None:
        """By the template. Raises Unlike where there is none that fits."""
        template = self._known.get(end - start)
        if template is None:
            raise Unlike
        try:
            parts = template.redo(self._editor, start, number_of(self._editor.buf[start:end]))
        except UNFIT:
            raise Unlike from None
        self._met[end - start] += 1
        return parts

    def _remember(self, start: int, end: int, parts: Parts | None) -> None:
        """The second item of a length is worth a template, a later one when that seldom fits."""
        size = end - start
        met = self._met[size] = self._met.get(size, 2) - 1
        if met < 1 and size <= LARGEST and self._made < FEW:
            self._made, self._met[size] = self._made + 1, 2
            with contextlib.suppress(*UNFIT):
                self._known[size] = self._template(start, end, parts)

    def _template(self, start: int, end: int, parts: Parts | None) -> Template:
        """Raises one of `UNFIT`."""
        fields, pieces = list[Field](), list[bytes]()
        self._lay_out((start, end), self._scope, fields, pieces)
        done = self._editor.buf[start:end] if parts is None else b"".join(parts)
        if b"".join(pieces) != done or all(field.stays for field in fields) != (parts is None):
            raise Unlike
        safe = (
            (f.head.value - start, f.end - start)
            for f in fields
            if f.head.tag != CHARACTER_SET and not (f.scope.creators and f.head.tag >> 16 & 1)
        )
        guard = mask_of(end - start, safe, inside=False)
        moved = [
            f._replace(head=f.head._replace(value=f.head.value - start), start=f.start - start, end=f.end - start)
            for f in fields
        ]
        starts = [field.start for field in moved]
        return Template(number_of(self._editor.buf[start:end]), guard, moved, starts, pieces, parts is None)

    def _lay_out(self, span: tuple[int, int], scope: Scope, fields: list[Field], pieces: list[bytes]) -> None:
        """A walk through an item, value by value. Raises one of `UNFIT`, also for what we would lay out in another way."""
        (pos, end), last, edit = span, -1, self._editor
        while pos < end:
            head = scope.codec.header(edit.buf, pos)
            if head.tag <= last or head.length == UNDEFINED:
                raise Unlike
            scope = edit.noted(head, scope)
            inside = self._inside(head, scope)
            if inside is None:
                new, after = edit.edit(head, pos, end, scope)
                fields.append(Field(head, pos, after, scope, len(pieces), new is None))
                pieces.append(edit.buf[pos:after] if new is None else b"".join(new))
            else:
                after = within(head.value + head.length, end)
                place = len(pieces)
                pieces.append(b"")
                self._lay_out_items((head.value, after), inside, fields, pieces)
                size = sum(map(len, pieces[place:]))
                pieces[place] = _header(edit.buf[pos : head.value], scope.codec, head, size)
            last, pos = head.tag, after

    def _lay_out_items(self, span: tuple[int, int], scope: Scope, fields: list[Field], pieces: list[bytes]) -> None:
        (pos, end), codec = span, scope.codec
        while pos < end:
            group, element, length = codec.long.unpack_from(self._editor.buf, pos)
            after = pos + 8 + length
            if group << 16 | element != ITEM or after > end:
                raise Unlike
            place = len(pieces)
            pieces.append(b"")
            self._lay_out((pos + 8, after), scope, fields, pieces)
            pieces[place] = codec.item(sum(map(len, pieces[place:])))
            pos = after

    def _inside(self, head: Header, scope: Scope) -> Scope | None:
        """The scope of a sequence's items; None for what is done as a whole."""
        if head.vr != b"SQ" or not head.length or head.tag >> 16 & 1 or head.tag == MEASURED_VALUE:
            return None
        rule, known = self._editor.rule(head, scope)
        action = decide(rule, b"SQ", known, scrub=scope.scrub)
        return self._editor.inside(head, scope, action) if known == b"SQ" and action in WITH_ITEMS else None


def _header(old: bytes, codec: Codec, head: Header, size: int) -> bytes:
    """A sequence's, as the walker writes it whether anything in it changes or not. Raises Unlike where it would not."""
    if old != codec.encode_header(head.tag, b"SQ", head.length):
        raise Unlike
    return codec.encode_header(head.tag, b"SQ", size)
