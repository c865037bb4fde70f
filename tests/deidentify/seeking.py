"""What the tests of verification share: a patient's data set, what is harvested from it, and a result to be searched."""

from __future__ import annotations

from gateway.deidentify.encoding import Codec, Codecs
from gateway.deidentify.harvest import Harvest, harvest, tag_search
from gateway.deidentify.profile import compile_profile
from gateway.deidentify.verify import verify
from gateway.settings import Deidentify
from tests.deidentify.writer import Element, base, with_, write

CODECS: Codecs = compile_profile(Deidentify()).codecs
NOTHING = Harvest(frozenset(), frozenset(), "")
ORIGINAL = with_(
    base(),
    Element(0x00081010, "SH", b"AWSX66017"),
    Element(0x00081040, "LO", b"Zentrale Rettungsstelle Moorweg"),
    Element(0x00081070, "PN", b"Hinterstoisser^Berthold"),
    Element(0x00100010, "PN", b"Quastenberg^Leopoldine^^Dr."),
    Element(0x00101040, "LO", b"Birkenmoosweg 17, Quakenbruch"),
    Element(0x00102154, "SH", b"+49 6221 5634567"),
    Element(0x00200010, "SH", b"STU990213"),
    Element(0x00321032, "PN", b"Zwirnsperger^Kunigunde"),
    Element(0x00402016, "LO", b"ORD/20-55881"),
)


def original(elements: list[Element], syntax: str = "explicit") -> Harvest:
    codec = codec_of(syntax)
    return harvest([write(elements, syntax)], codec, tag_search(codec))


def codec_of(syntax: str) -> Codec:
    return {"explicit": CODECS.little_explicit, "implicit": CODECS.little_implicit, "big": CODECS.big_explicit}[syntax]


def told(elements: list[Element], own: Harvest, syntax: str = "explicit", *, kept: frozenset[int] = frozenset()) -> str:
    return verify([write(elements, syntax)], codec_of(syntax), own, ("order.4711-XY",), kept)


HARVESTS = {syntax: original(ORIGINAL, syntax) for syntax in ("explicit", "implicit", "big")}
