"""A profile made ready for walking: for each encoding, the leading bytes of every short element that may stay as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.encoding import PIXEL_TAGS, SHORT_VRS, Codec
from gateway.deidentify.forms import FORMS, Form
from gateway.deidentify.preview import CHARACTER_SET
from gateway.deidentify.profile import Profile

PLAIN = (Action.KEEP, Action.REMOVE)
Names = Mapping[bytes, tuple[int, Form | None]]
"""The `Codec.width` leading bytes of an element -> its tag, and what its value must match to stay."""


def GONE(buf: bytes, start: int, end: int) -> None:  # noqa: N802  stands where a form does
    """In place of a form: the element goes, whatever its value."""


@dataclass(frozen=True)
class Route:
    """`watched`: top-level tags whose original values the walk hands out; they are in no `fast`."""

    profile: Profile
    watched: frozenset[int]
    fast: Mapping[Codec, Names] = field(repr=False)


def make_route(profile: Profile, watched: Iterable[int]) -> Route:
    seen = frozenset(watched)
    asked = seen | PIXEL_TAGS | {CHARACTER_SET}
    varying = profile.special.varying()
    plain = {t: _form(r, profile.vrs[t]) for t, r in profile.rules.items() if t not in asked and r.action in PLAIN}
    plain = {tag: form for tag, form in plain.items() if form is not GONE or tag not in varying}
    codecs = (profile.codecs.little_explicit, profile.codecs.little_implicit, profile.codecs.big_explicit)
    return Route(profile, seen, {codec: _names(codec, plain, profile.vrs) for codec in codecs})


def _form(rule: Rule, vr: bytes) -> Form | None:
    return FORMS.get(vr) if rule.action is Action.KEEP else GONE


def _names(codec: Codec, plain: Mapping[int, Form | None], vrs: Mapping[int, bytes]) -> Names:
    """Implicit elements all have a 4-byte length; explicit ones with a long VR take the walker's slow path."""
    if codec.explicit:
        return {codec.key(tag, vrs[tag]): (tag, form) for tag, form in plain.items() if vrs[tag] in SHORT_VRS}
    return {codec.key(tag, b""): (tag, form) for tag, form in plain.items() if vrs[tag] != b"SQ"}
