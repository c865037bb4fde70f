"""A profile made ready for walking: for each encoding, the leading bytes of every element that needs no closer look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.deidentify.actions import DUMMIES, TEXT_VRS, Action, Rule
from gateway.deidentify.encoding import PIXEL_TAGS, SHORT_VRS, Codec
from gateway.deidentify.forms import Form, form_of
from gateway.deidentify.preview import CHARACTER_SET
from gateway.deidentify.profile import Profile

PLAIN = (Action.KEEP, Action.REMOVE, Action.EMPTY, Action.DUMMY)


class Seen(NamedTuple):
    """Stays, at the top level, and its value is handed out. `form`: as below."""

    form: Form | None


class Dummy(NamedTuple):
    """In place of whatever the element holds, unless that is nothing."""

    element: bytes


Names = Mapping[bytes, tuple[int, Form | Seen | Dummy | bytes | None]]
"""The `Codec.width` leading bytes of an element -> its tag, and what its value must match to stay; or what takes its place."""


@dataclass(frozen=True)
class Route:
    """`watched`: top-level tags whose original values the walk hands out.

    `top`, `inside`: what is the same in every IOD, at the top level and in items. `varying`: tags that are not.
    """

    profile: Profile
    watched: frozenset[int]
    top: Mapping[Codec, Names] = field(repr=False)
    inside: Mapping[Codec, Names] = field(repr=False)
    varying: frozenset[int] = field(repr=False)
    made: dict[tuple[Codec, int], Names] = field(default_factory=dict, repr=False, compare=False)
    strides: dict[tuple[Codec, int], dict[bytes, Any]] = field(default_factory=dict, repr=False, compare=False)

    def names_at(self, codec: Codec, here: Mapping[int, Rule]) -> Names:
        """The names of the varying tags under the rules `here`, one of the mappings that the profile keeps."""
        key = (codec, id(here))
        if key not in self.made:
            rules = {tag: here.get(tag) or self.profile.rules[tag] for tag in self.varying}
            self.made[key] = _names(codec, rules, self.profile.vrs)
        return self.made[key]

    def strides_at(self, codec: Codec, here: Mapping[int, Rule]) -> dict[bytes, Any]:
        """What `fastpath` remembers of the top level: the last strides that began with these bytes, so it is bounded."""
        return self.strides.setdefault((codec, id(here)), {})


def make_route(profile: Profile, watched: Iterable[int]) -> Route:
    seen, special = frozenset(watched), profile.special
    varying = special.varying() | (special.in_years.keys() & profile.rules.keys())
    asked = PIXEL_TAGS | {CHARACTER_SET} | varying | seen
    same = {tag: rule for tag, rule in profile.rules.items() if tag not in asked}
    kept = {tag: rule for tag, rule in profile.rules.items() if tag in seen - varying and rule.action is Action.KEEP}
    codecs = (profile.codecs.little_explicit, profile.codecs.little_implicit, profile.codecs.big_explicit)
    inside = {codec: _names(codec, same, profile.vrs) for codec in codecs}
    top = {codec: {**inside[codec], **_noting(_names(codec, kept, profile.vrs))} for codec in codecs}
    return Route(profile, seen, top, inside, varying - seen)


def _noting(names: Names) -> Names:
    return {key: (tag, Seen(form)) for key, (tag, form) in names.items() if form is None or callable(form)}


def _names(codec: Codec, rules: Mapping[int, Rule], vrs: Mapping[int, bytes]) -> Names:
    """Implicit elements all have a 4-byte length; explicit ones with a long VR take the walker's slow path."""
    plain = {tag: rule.action for tag, rule in rules.items() if rule.action in PLAIN and vrs[tag] != b"SQ"}
    return {
        codec.key(tag, vrs[tag]): (tag, _form(action, tag, vrs[tag], codec))
        for tag, action in plain.items()
        if (vrs[tag] in SHORT_VRS or not codec.explicit)
        and (action is not Action.DUMMY or (vrs[tag] in DUMMIES and vrs[tag] in TEXT_VRS))
    }


def _form(action: Action, tag: int, vr: bytes, codec: Codec) -> Form | Dummy | bytes | None:
    if action is Action.KEEP:
        return form_of(vr)
    if action is Action.DUMMY:
        return Dummy(codec.encode(tag, vr, DUMMIES[vr]))
    return codec.encode(tag, vr, b"") if action is Action.EMPTY else b""
