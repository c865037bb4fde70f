"""A profile made ready for walking: for each encoding, the leading bytes of every short element that may stay as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.deidentify.actions import Action
from gateway.deidentify.encoding import PIXEL_TAGS, SHORT_VRS, Codec
from gateway.deidentify.profile import Profile

Names = Mapping[bytes, int]
"""The `Codec.width` leading bytes of an element -> its tag."""


@dataclass(frozen=True)
class Route:
    """`watched`: top-level tags whose original values the walk hands out; they are in no `fast`."""

    profile: Profile
    watched: frozenset[int]
    fast: Mapping[Codec, Names] = field(repr=False)


def make_route(profile: Profile, watched: Iterable[int]) -> Route:
    seen = frozenset(watched)
    stay = [t for t, r in profile.rules.items() if r.action is Action.KEEP and t not in seen | PIXEL_TAGS]
    codecs = (profile.codecs.little_explicit, profile.codecs.little_implicit, profile.codecs.big_explicit)
    return Route(profile, seen, {codec: _names(codec, stay, profile.vrs) for codec in codecs})


def _names(codec: Codec, stay: Iterable[int], vrs: Mapping[int, bytes]) -> Names:
    """Implicit elements all have a 4-byte length; explicit ones with a long VR take the walker's slow path."""
    if codec.explicit:
        return {codec.key(tag, vrs[tag]): tag for tag in stay if vrs[tag] in SHORT_VRS}
    return {codec.key(tag, b""): tag for tag in stay if vrs[tag] != b"SQ"}
