"""What the rules rely on taken out, one at a time: 59 mutants by hand, each noticed by some check of the battery (`guards`).

Not among them, as another guard stands behind each: lengths that point behind the end, and data sets that end anywhere
(`check_end`, `within`, and `verify`'s own reader).
"""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from gateway.deidentify import (
    actions,
    cleaner,
    comments,
    dates,
    decision,
    encoding,
    fastpath,
    output,
    pixels,
    profile,
    pseudonym,
    risk,
    route,
    walker,
)
from gateway.deidentify.encoding import Codec
from gateway.deidentify.meta import file_meta
from gateway.deidentify.private import CREATOR
from gateway.deidentify.profile import Profile
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.standard import Standard, make_standard
from gateway.deidentify.walker import Walker
from tests.deidentify.guards import (
    KEPT,
    compiled,
    constant,
    explicit_inside,
    first_uid,
    not_recursing,
    noticed,
    same,
    second,
    unkeyed,
    unpadded,
    unscrubbed,
    whole,
    without_preamble,
)


def emptied(table: Any, applied: Any) -> Standard:
    """The standard's rules without those that write a dummy."""
    made = make_standard(table, applied)
    made.rules.update({tag: KEPT for tag, rule in made.rules.items() if rule.action is actions.Action.DUMMY})
    return made


Guard = tuple[Any, str, Any]
pytestmark = pytest.mark.timeout(600)  # of a machine that has much else to do
ANY_VR = encoding.SHORT_VRS | encoding.LONG_VRS
GUARDS: dict[str, Guard] = {
    # the walk
    "sequences are not entered": (Walker, "_sequence", not_recursing),
    "items of UN are read as explicit": (Walker, "inside", explicit_inside(Walker.inside)),
    "codes of persons are not scrubbed": (Walker, "inside", unscrubbed(Walker.inside)),
    "elements without a rule are kept": (Profile, "unnamed", staticmethod(constant(KEPT))),
    "a stretch of private elements never ends": (fastpath, "past_private", lambda buf, head, end, codec: end),
    "padding is an element": (output, "is_padding", constant(False)),
    "duplicates stay": (walker, "later_duplicate", constant(None)),
    "order does not matter": (walker, "later_duplicate", constant([])),
    "sequences may be as deep as they like": (walker, "MAX_DEPTH", 1000),
    "pixel data may be of any VR": (walker, "PIXEL_VRS", ANY_VR),
    "all of native pixel data is image": (pixels, "image_size", second),
    "overlays in pixels stay": (pixels, "without_overlays", whole),
    "nobody looks for overlays": (walker, "has_overlays", constant(False)),
    "comments in frames stay": (walker, "without_comments", whole),
    "application segments decide about colour": (comments, "NEEDED", {b"": 1 << 16}),
    "comments of JPEG 2000 are others": (comments, "COMMENT_2000", 0x65),
    "encapsulated pixel data never ends early": (walker, "pixel_end", lambda data, pos, length, codec: len(data)),
    # private elements
    "no private element is known": (walker, "safe_rule", constant(None)),
    "every private element is known": (walker, "safe_rule", constant(CREATOR)),
    "creators are not noted": (walker, "note_creator", same),
    # the decision
    "everything is kept": (walker, "decide", constant(actions.Action.KEEP)),
    "every element has its VR": (decision, "mismatched", constant(None)),
    "values may look like anything": (walker, "fitting", same),
    "forms are not looked at": (decision, "is_legal", constant(True)),
    "forms match anything": (route, "form_of", constant(None)),
    "new values are the old ones": (walker, "new_value", lambda action, tag, value, subject: value[1]),
    "dates are not shifted": (decision, "shift", second),
    "birth dates are not shifted": (decision, "birth", same),
    "ages stay": (decision, "age", same),
    "nobody is over 89": (dates, "OLDEST", 200),
    "colour profiles keep their words": (decision, "clean_icc", same),
    "documents stay": (decision, "empty_document", same),
    "dummies are what they replace": (decision, "DUMMIES", dict.fromkeys(actions.DUMMIES, b"QZXWORDSXQJK")),
    # what is known
    "all UIDs are the standard's": (pseudonym, "is_well_known", constant(True)),
    "no UID is the standard's": (pseudonym, "is_well_known", constant(False)),
    "UIDs stay": (Pseudonyms, "uid", second),
    "only the first UID is mapped": (Pseudonyms, "_uids", first_uid),
    "identifiers stay": (Pseudonyms, "_identifier", lambda self, kind, value: value),
    "the patient's ID stays": (Pseudonyms, "_patient_id", lambda self, value, study: value),
    "patients without ID are one": (
        Pseudonyms,
        "_patient_id",
        lambda self, value, study: self._letters(b"patient", value),
    ),
    "hashes have no key": (Pseudonyms, "_hash", unkeyed),
    "all patients share one shift": (Pseudonyms, "_days", constant(-40)),
    "no shift": (Pseudonyms, "_days", constant(0)),
    "the table's D does not count": (profile, "make_standard", emptied),
    # what is written
    "odd lengths stay odd": (Codec, "encode", unpadded),
    "the sender's preamble stays": (cleaner, "file_meta", without_preamble(file_meta)),
    "no file meta information": (cleaner, "file_meta", constant(b"")),
    "no marks": (cleaner, "make_marks", constant(())),
    "deflated is not deflated": (cleaner, "_deflate", same),
    "all that is inflated is enough": (
        cleaner,
        "_inflate",
        lambda data: zlib.decompressobj(-15).decompress(data),
    ),
    # what is refused or held
    "verify is off": (cleaner, "verify", constant("")),
    "pixels are no risk": (cleaner, "pixel_risk", constant("")),
    "every class is a scanner's": (
        risk,
        "KNOWN",
        type("All", (), {"__contains__": constant(True)})(),
    ),
    "nothing is a screen page": (risk, "_is_capture", constant(False)),
    "any text is a UID": (cleaner, "_is_uid", constant(True)),
    "nothing is required": (cleaner, "REQUIRED", ()),
    "every transfer syntax is explicit": (cleaner, "codec_of", lambda codecs, syntax: codecs.little_explicit),
    "nothing is told": (Walker, "_tell", constant(None)),
}


def test_nobody_notices_what_is_whole() -> None:
    assert noticed() == ""


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_is_missed(name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    owner, attribute, mutant = GUARDS[name]
    monkeypatch.setattr(owner, attribute, mutant)
    if owner is profile:
        compiled.cache_clear()
        request.addfinalizer(compiled.cache_clear)
    assert noticed(), f"{name}: no check of the battery fails"
