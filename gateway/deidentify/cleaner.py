"""One project's cleaner: what the receiver and `deid` call. Joins the walk, the filter, the marks and the verification."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag

from gateway import keys
from gateway.deidentify.actions import PATIENT_ID
from gateway.deidentify.encoding import DEFLATED, Codec, Malformed, codec_of
from gateway.deidentify.filter import SOP_CLASS, judge, watched_by
from gateway.deidentify.harvest import harvest, tag_pattern
from gateway.deidentify.marks import make_marks
from gateway.deidentify.meta import file_meta
from gateway.deidentify.pixels import splice
from gateway.deidentify.profile import Profile, compile_profile
from gateway.deidentify.pseudonym import PADDING, Pseudonyms
from gateway.deidentify.route import Route, make_route
from gateway.deidentify.verify import verify
from gateway.deidentify.walker import Disordered, Mark, Parts, Step, Walker
from gateway.model import Buffer, Dropped, Kept, Outcome
from gateway.rules import SelectionRule
from gateway.settings import Deidentify

SOP_INSTANCE = 0x00080018
STUDY_INSTANCE = 0x0020000D
SERIES_INSTANCE = 0x0020000E
REQUIRED = (SOP_CLASS, SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE)
MAX_INFLATED = 1 << 31
"""Bytes a deflated data set may have; more is a bomb."""

BROKEN = (Malformed, struct.error, zlib.error)


@dataclass(frozen=True)
class Explained:
    """What is done to one element and which rule says so; no value. `path`: "(0040,A730)[0].(0008,0100)"."""

    path: str
    keyword: str
    action: str
    rule: str


class Cleaner:
    """Made once per project with `make_cleaner`; thread-safe, as nothing changes but bounded caches of the mapping."""

    def __init__(self, profile: Profile, rule: SelectionRule | None, pseudonyms: Pseudonyms) -> None:
        self.profile = profile
        self._rule = rule
        self._pseudonyms = pseudonyms
        self._route: Route = make_route(profile, watched_by(rule) | {*REQUIRED, PATIENT_ID})
        self._marks = {c: make_marks(c, profile.edition, profile.version) for c in self._route.fast}
        self._tags = {c: tag_pattern(c) for c in self._route.fast}

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Dropped:
        """`dataset`: the data set alone, no Part 10 header; best as bytes. `own`: values the result must not hold.

        Never raises on bad input: what is malformed, incomplete or not proven clean is `Dropped` (see the room's page).
        """
        codec = codec_of(self.profile.codecs, transfer_syntax)
        if codec is None:
            return Dropped(Outcome.REFUSED, "dataset.transfer-syntax")
        deflated = transfer_syntax in DEFLATED
        try:
            data, pixels = _unpack(dataset, codec, deflated=deflated)
            walker, parts = self._walk(data, pixels, codec)
        except BROKEN:
            return Dropped(Outcome.REFUSED, "dataset.malformed")
        dropped = self._judge(walker, parts, data, codec, own)
        if dropped is not None:
            return dropped
        SOPInstanceUID = self._pseudonyms.uid(walker.seen[SOP_INSTANCE])
        meta = file_meta(walker.seen[SOP_CLASS].strip(PADDING), SOPInstanceUID, transfer_syntax)
        body = _deflate(parts) if deflated else parts
        return Kept((meta, *body), SOPInstanceUID.decode("ascii"), self.profile.version)

    def explain(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> list[Explained]:
        """What `clean` does to each element, in its order; [] for what cannot be read."""
        codec = codec_of(self.profile.codecs, transfer_syntax)
        trace: list[Step] = []
        try:
            if codec is not None:
                data, pixels = _unpack(dataset, codec, deflated=transfer_syntax in DEFLATED)
                self._walk(data, pixels, codec, trace)
        except BROKEN:
            return []
        return [Explained(_readable(s.path), keyword_for_tag(s.tag), s.action.value, s.source) for s in trace]

    def _walk(
        self, data: bytes, pixels: Buffer | None, codec: Codec, trace: list[Step] | None = None
    ) -> tuple[Walker, Parts]:
        """The walk, a second time in tag order when the first found none. The patient's pseudonym is known only at its end."""
        pseudonym = bytearray()
        marks: tuple[Mark, ...] = ((PATIENT_ID, pseudonym), *self._marks[codec])
        walker = Walker(self._route, self._pseudonyms, spliced=pixels, trace=trace)
        try:
            parts = walker.walk(data, codec, marks)
        except Disordered:
            if trace is not None:
                trace.clear()
            walker = Walker(self._route, self._pseudonyms, spliced=pixels, sort=True, trace=trace)
            parts = walker.walk(data, codec, marks)
        if walker.spliced is not None:  # taken for pixel data, but not met as such
            raise Malformed
        new = self._pseudonyms.patient_id(walker.seen.get(PATIENT_ID, b""), walker.seen.get(STUDY_INSTANCE, b""))
        pseudonym += codec.encode(PATIENT_ID, b"LO", new)
        return walker, parts

    def _judge(self, walker: Walker, parts: Parts, data: bytes, codec: Codec, own: frozenset[str]) -> Dropped | None:
        """Whether the instance is whole, wanted, and proven clean, in this order."""
        if not all(_is_uid(walker.seen.get(tag, b"")) for tag in REQUIRED):
            return Dropped(Outcome.REFUSED, "dataset.incomplete")
        dropped = judge(walker.seen, codec, self._rule)
        if dropped is not None:
            return dropped
        original = harvest(_without(data, walker.spans), codec, self._tags[codec])
        reason = verify(parts, codec, original, own, self.profile.kept)
        return Dropped(Outcome.REFUSED, reason) if reason else None


def make_cleaner(*, project: str, deidentify: Deidentify, instance_rule: SelectionRule | None, key: bytes) -> Cleaner:
    """`key`: the master key; the project's own is derived from it. Raises profile.BadProfile."""
    own_key = keys.derive(key, "pseudonym", project)
    return Cleaner(compile_profile(deidentify), instance_rule, Pseudonyms(own_key, deidentify.patient_id))


def _is_uid(value: bytes) -> bool:
    """One UID of the legal characters (PS3.5 9.1): it becomes part of a file name."""
    uid = value.strip(PADDING)
    return 0 < len(uid) <= 64 and not uid.strip(b"0123456789.")


def _unpack(dataset: Buffer, codec: Codec, *, deflated: bool) -> tuple[bytes, Buffer | None]:
    """The data set as bytes; pixel data apart where copying it would be the price. Raises Malformed, struct.error, zlib.error."""
    if deflated:
        return _inflate(dataset), None
    whole = dataset.obj if isinstance(dataset, memoryview) and isinstance(dataset.obj, bytes) else dataset
    if isinstance(whole, bytes) and len(whole) == len(dataset):
        return whole, None
    return splice(memoryview(dataset), codec)


def _inflate(data: Buffer) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_INFLATED)
    if not inflater.eof:
        raise Malformed
    return inflated


def _deflate(parts: Parts) -> Parts:
    """Raw deflate, padded to even length (PS3.5 A.5); the same bytes for the same input."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    pieces = b"".join((*(deflater.compress(part) for part in parts), deflater.flush()))
    return [pieces + b"\0" * (len(pieces) & 1)]


def _without(data: bytes, spans: Sequence[tuple[int, int]]) -> list[memoryview]:
    """The stretches of `data` between `spans`."""
    view, start, stretches = memoryview(data), 0, []
    for begin, end in spans:
        stretches.append(view[start:begin])
        start = end
    return [*stretches, view[start:]]


def _readable(path: str) -> str:
    """ "0040A730[0].00080100" -> "(0040,A730)[0].(0008,0100)"."""
    return ".".join(f"({step[:4]},{step[4:8]}){step[8:]}" for step in path.split("."))
