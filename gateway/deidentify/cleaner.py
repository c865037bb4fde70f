"""One project's cleaner: what the receiver and `deid` call. Joins the walk, the filter, the marks and the verification.

An element in which `verify` finds a value of the patient's is distrusted: the walk is done again with its text cleaned, or, when
that does not help, without it; what then still shows a value, or shows it outside of any element, is refused. So a name that
somebody typed where no name belongs costs that element, not the image, and the last word is always the verification's.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import keyword_for_tag

from gateway import keys
from gateway.deidentify.actions import PATIENT_ID
from gateway.deidentify.aliases import NO_ALIASES, as_encoded
from gateway.deidentify.encoding import DEFLATED, Codec, Malformed, codec_of
from gateway.deidentify.filter import SOP_CLASS, judge, watched_by
from gateway.deidentify.harvest import Harvest, harvest, tag_search
from gateway.deidentify.marks import make_marks
from gateway.deidentify.meta import file_meta
from gateway.deidentify.output import Parts
from gateway.deidentify.pixels import GEOMETRY, OVERLAYS, guess, pixel_spans, splice, unproven
from gateway.deidentify.preview import CHARACTER_SET, preview
from gateway.deidentify.profile import Profile, compile_profile
from gateway.deidentify.pseudonym import PADDING, Pseudonyms
from gateway.deidentify.risk import RISK_TAGS, pixel_risk
from gateway.deidentify.route import Route, make_route
from gateway.deidentify.subject import Subjects, words_of
from gateway.deidentify.text import TextCleaner
from gateway.deidentify.twins import Done, Subset, Twins, subset_of
from gateway.deidentify.verify import among_pixels, verify
from gateway.deidentify.vocabulary import load_vocabulary
from gateway.deidentify.walk import Disordered, Mark, Source, Step, Walk
from gateway.deidentify.walker import Walker
from gateway.model import Buffer, Dropped, Held, Kept, Outcome
from gateway.rules import SelectionRule
from gateway.settings import Deidentify

SOP_INSTANCE = 0x00080018
STUDY_INSTANCE = 0x0020000D
SERIES_INSTANCE = 0x0020000E
REQUIRED = (SOP_CLASS, SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE)
MAX_INFLATED = 1 << 27
"""Bytes a deflated data set may have; more is a bomb."""
MAX_WALKS = 24
"""Elements of one object that may turn out to hold a value of the patient's where none belongs, counted twice at worst."""

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
        self._subjects = Subjects(pseudonyms, _text_cleaner())
        self._route: Route = make_route(
            profile, watched_by(rule) | {*REQUIRED, PATIENT_ID} | GEOMETRY | OVERLAYS | RISK_TAGS
        )
        options = profile.options
        told = (profile.edition, profile.version, options.methods, options.temporal)
        self._marks = {c: make_marks(c, *told) for c in self._route.top}
        self._tags = {c: tag_search(c) for c in self._route.top}
        self._twins = Twins(self._route, self._tags)

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped:
        """`dataset`: the data set alone, no Part 10 header; best as bytes. `own`: values the result must not hold.

        Never raises on bad input: what is malformed, incomplete or not proven clean is `Dropped` (see the room's page); what is
        clean but for its pixels, which nobody has looked at, is `Held`.
        """
        codec = codec_of(self.profile.codecs, transfer_syntax)
        if codec is None:
            return Dropped(Outcome.REFUSED, "dataset.transfer-syntax")
        try:
            done = self._first(_sources(dataset, transfer_syntax, codec, own))
        except BROKEN:
            return Dropped(Outcome.REFUSED, "dataset.malformed")
        return done if isinstance(done, Dropped) else self._finished(*done, transfer_syntax)

    def explain(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> list[Explained]:
        """What `clean` does to each element, in its order; [] for what cannot be read."""
        codec = codec_of(self.profile.codecs, transfer_syntax)
        trace: list[Step] = []
        try:
            if codec is not None:
                self._first(_sources(dataset, transfer_syntax, codec, own), trace)
        except BROKEN:
            return []
        return [Explained(_readable(s.path), keyword_for_tag(s.tag), s.action.value, s.source) for s in trace]

    def _first(self, sources: Iterable[Source], trace: list[Step] | None = None) -> Dropped | tuple[Walker, Parts]:
        """The first that is no wrong guess. Raises one of `BROKEN` where none is."""
        for source in sources:
            with contextlib.suppress(*BROKEN):
                return self._clean(source, trace)
        raise Malformed

    def _clean(self, source: Source, trace: list[Step] | None = None) -> Dropped | tuple[Walker, Parts]:
        """Walks, judges and verifies; again while `verify` names elements that can be mended."""
        spans = pixel_spans(source.data, source.codec) if source.pixels is None else []
        subset = subset_of(source, spans) if trace is None else None
        done = self._again(source, subset) if subset else None
        if done is not None:
            return done
        original = self._harvest(source, spans)
        walk = self._prepared(source, original, trace)
        for _ in range(MAX_WALKS):
            walker, parts = self._walk(source, walk)
            dropped = self._judge(walker, source.codec)
            if dropped is not None:
                return dropped
            if walker.spans != spans:  # taken for pixel data, but met as something else
                spans = walker.spans
                original = self._harvest(source, spans)
            asked = original, source.own, self.profile.kept
            leak = verify(parts, source.codec, *asked)
            leak = leak or among_pixels(unproven(parts, walker.seen, source.codec), *asked)
            if not leak:
                if subset and not walk.trouble and spans == walker.spans:
                    self._twins.remember(source, subset, Done(walker, parts, original))
                return walker, parts
            trouble = troubled(walk.trouble, leak)
            if trouble is None:
                return Dropped(Outcome.REFUSED, leak)
            walk = walk._replace(trouble=trouble)
        return Dropped(Outcome.REFUSED, leak)

    def _again(self, source: Source, subset: Subset) -> Dropped | tuple[Walker, Parts] | None:
        """As `_clean`, by what was done to an instance like this one; None where there was none."""
        found = self._twins.redo(source, subset)
        if found is None:
            return None
        twin, done = found
        dropped = self._judge(done.walker, source.codec)
        if dropped is None and not self._twins.passes(twin, done, subset):
            return None
        return dropped or (done.walker, done.parts)

    def _harvest(self, source: Source, spans: Sequence[tuple[int, int]]) -> Harvest:
        return harvest(_without(source.data, spans), source.codec, self._tags[source.codec])

    def _prepared(self, source: Source, original: Harvest, trace: list[Step] | None) -> Walk:
        """What the first walk has to know: whose instance it is, of which class, in which characters."""
        first = preview(source.data, source.codec)
        own = words_of(original, source.own, self.profile.kept)
        return Walk(
            self._subjects.of(first, own),
            first.get(SOP_CLASS, b"").strip(PADDING),
            first.get(CHARACTER_SET, b""),
            cut=source.pixels,
            trace=trace,
        )

    def _walk(self, source: Source, walk: Walk) -> tuple[Walker, Parts]:
        """One walk, a second time in tag order when the first found none. The patient's pseudonym is known only at its end."""
        pseudonym = bytearray()
        marks: tuple[Mark, ...] = ((PATIENT_ID, pseudonym), *self._marks[source.codec])
        if walk.trace is not None:
            walk.trace.clear()
        walker = Walker(self._route, walk)
        try:
            parts = walker.walk(source.data, source.codec, marks)
        except Disordered:
            return self._walk(source, self._sorted(source, walk))
        if walker.cut is not None:  # taken for pixel data, but not met as such
            raise Malformed
        new = self._pseudonyms.patient_id(walker.seen.get(PATIENT_ID, b""), walker.seen.get(STUDY_INSTANCE, b""))
        pseudonym += source.codec.encode(PATIENT_ID, b"LO", new)
        return walker, parts

    def _sorted(self, source: Source, walk: Walk) -> Walk:
        """The same walk in tag order; what was to be known beforehand is looked for in all of the data set."""
        first = preview(source.data, source.codec, whole=True)
        subject = self._subjects.of(first, walk.subject.own)
        named = first.get(SOP_CLASS, b"").strip(PADDING)
        return walk._replace(subject=subject, sop_class=named, charset=first.get(CHARACTER_SET, b""), sort=True)

    def _judge(self, walker: Walker, codec: Codec) -> Dropped | None:
        """Whether the instance is whole, wanted, and of a patient who may be in the archive, in this order."""
        if not all(_is_uid(walker.seen.get(tag, b"")) for tag in REQUIRED):
            return Dropped(Outcome.REFUSED, "dataset.incomplete")
        dropped = judge(walker.seen, codec, self._rule)
        if dropped is None and not self._pseudonyms.knows(walker.seen.get(PATIENT_ID, b"")):
            return Dropped(Outcome.REFUSED, "crosswalk.no-such-patient")
        return dropped

    def _finished(self, walker: Walker, parts: Parts, transfer_syntax: str) -> Kept | Held:
        """The whole file; held where nobody has looked at pixels that may show a name."""
        old = walker.seen[SOP_INSTANCE]
        SOPInstanceUID = old.strip(PADDING) if self.profile.options.retain_uids else self._pseudonyms.uids(old)
        meta = file_meta(walker.seen[SOP_CLASS].strip(PADDING), SOPInstanceUID, transfer_syntax)
        file = (meta, *(_deflate(parts) if transfer_syntax in DEFLATED else parts))
        screening = self.profile.options.screen_pixels
        risk = pixel_risk(walker.seen, screening=screening) if walker.has_pixels else ""
        told = file, SOPInstanceUID.decode("ascii"), self.profile.version
        return Held(*told, risk) if risk else Kept(*told)


def make_cleaner(  # noqa: PLR0913  what makes a project's cleaner
    *,
    project: str,
    deidentify: Deidentify,
    instance_rule: SelectionRule | None,
    key: bytes | keys.Keys,
    crosswalk: Mapping[bytes, bytes] | None = None,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> Cleaner:
    """`key`: the master key, the project's own is derived from it; or all keys. `crosswalk`, `aliases`: read. Raises BadProfile."""
    own_key = keys.keys_from(key).project(project)
    pseudonyms = Pseudonyms(own_key, deidentify.patient_id, crosswalk, as_encoded(aliases))
    return Cleaner(compile_profile(deidentify), instance_rule, pseudonyms)


def troubled(trouble: Mapping[int, bool], leak: str) -> Mapping[int, bool] | None:
    """`trouble` and the element that a leak was found in (`verify.<Kind>@<tag>`); None where nothing more can be done about it."""
    place = leak.rpartition("@")[2].replace("xx", "00")
    if len(place) != 8 or not set(place) <= set("0123456789ABCDEF"):
        return None
    tag = int(place, 16)
    return None if trouble.get(tag) else {**trouble, tag: tag in trouble}


@cache
def _text_cleaner() -> TextCleaner:
    """One for all projects: sorting the vocabulary takes a while, and what it remembers is the same for all."""
    return TextCleaner(load_vocabulary())


def _is_uid(value: bytes) -> bool:
    """One UID of the legal characters (PS3.5 9.1): it becomes part of a file name."""
    uid = value.strip(PADDING)
    return 0 < len(uid) <= 64 and all(map(bytes.isdigit, uid.split(b".")))


def _sources(dataset: Buffer, transfer_syntax: str, codec: Codec, own: frozenset[str]) -> Iterator[Source]:
    """The data set as bytes; pixel data apart where copying it would be the price, the second time by a closer look.

    Raises Malformed, zlib.error.
    """
    whole = dataset.obj if isinstance(dataset, memoryview) and isinstance(dataset.obj, bytes) else dataset
    if transfer_syntax in DEFLATED:
        yield Source(_inflate(dataset), None, codec, own)
    elif isinstance(whole, bytes) and len(whole) == len(dataset):
        yield Source(whole, None, codec, own)
    else:
        guessed = guess(memoryview(dataset), codec)
        if guessed is not None:
            yield Source(*guessed, codec, own)
        yield Source(*splice(memoryview(dataset), codec), codec, own)


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
