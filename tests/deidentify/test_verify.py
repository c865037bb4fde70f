"""The last look finds the patient's own values wherever and however they stand, and says in which element."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest

from gateway.deidentify.cleaner import Cleaner, troubled
from gateway.deidentify.harvest import Harvest, Own, harvest, tag_search
from gateway.deidentify.verify import verify
from gateway.model import Buffer, Kept
from tests.deidentify.seeking import CODECS, HARVESTS, NOTHING, ORIGINAL, codec_of, original, told
from tests.deidentify.writer import ROOT, SYNTAXES, Element, base, with_, write

VALUES = {  # keyword -> what stands in the result
    "PatientName": "Quastenberg",
    "PatientID": "PX-774411",
    "PatientBirthDate": "1947-08-22",
    "AccessionNumber": "ACC7744110",
    "ReferringPhysicianName": "Zwackelmann",
    "OperatorsName": "Hinterstoisser",
    "RequestingPhysician": "Kunigunde Zwirnsperger",
    "InstitutionName": "Quellenhof",
    "InstitutionalDepartmentName": "Zentrale Rettungsstelle Moorweg",
    "PatientAddress": "Birkenmoosweg",
    "PatientTelephoneNumbers": "4962215634567",
    "PlacerOrderNumberImagingServiceRequest": "ord2055881",
    "StudyID": "stu990213",
    "StationName": "AWSX66017",
    "uid": (ROOT + b"2.1").decode(),
    "request": "Order.4711-XY",
}


def lines(text: str) -> bytes:
    coded = base64.b64encode(b"x:" + text.encode())
    return coded[:8] + b"\r\n" + coded[8:]


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "amid": lambda text: b"for:" + text.encode() + b", seen",
    "upper": lambda text: text.upper().encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 of more": lambda text: base64.b64encode(b"." + text.encode() + b"."),
    "base64 of still more": lambda text: base64.b64encode(b"a: " + text.encode() + b" zz"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"??>" + text.encode()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
    "base64 in lines": lines,
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "HEXADECIMAL": lambda text: b"0x" + text.encode().hex().upper().encode(),
    "percent": lambda text: b"".join(b"%%%02X" % code for code in text.encode()),
    "entities": lambda text: "".join(f"&#{ord(c)};" for c in text).encode(),
}
PLACES: dict[str, tuple[str, Callable[[bytes], Element]]] = {  # -> the innermost element's tag as the reason has it
    "top": ("00081030", lambda value: Element(0x00081030, "LO", value)),
    "long text": ("0040A160", lambda value: Element(0x0040A160, "UT", value)),
    "item": ("00080104", lambda value: Element(0x00081032, "SQ", ((Element(0x00080104, "LO", value),),))),
    "open items": (
        "00321060",
        lambda value: Element(
            0x00400275,
            "SQ",
            ((Element(0x00081032, "SQ", ((Element(0x00321060, "LO", value),),), undefined=True),),),
            undefined=True,
        ),
    ),
    "private bytes": ("0029xx10", lambda value: Element(0x00291010, "OB", b"\x01\x02" + value + b"\x01\x02")),
    "private item": ("0029xx21", lambda value: Element(0x00291020, "SQ", ((Element(0x00291121, "LO", value),),))),
    "unknown": ("0019xx0C", lambda value: Element(0x0019100C, "UN", b"\x01\x00" + value)),
    "unknown items": ("00080104", lambda value: Element(0x00081032, "UN", ((Element(0x00080104, "LO", value),),))),
}
CASES = [(kind, encoding, place) for kind in VALUES for encoding in ENCODINGS for place in PLACES]


@pytest.mark.parametrize(("kind", "encoding", "place"), CASES)
def test_every_kind_in_every_encoding_is_found_in_every_place(kind: str, encoding: str, place: str) -> None:
    tag, element = PLACES[place]
    value = ENCODINGS[encoding](VALUES[kind])
    assert told([Element(0x00080060, "CS", b"CT"), element(value)], HARVESTS["explicit"]) == f"verify.{kind}@{tag}"


@pytest.mark.parametrize("syntax", ["implicit", "big"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", VALUES)
def test_in_other_transfer_syntaxes_too(kind: str, place: str, syntax: str) -> None:
    tag, element = PLACES[place]
    value = VALUES[kind].encode()
    assert told([Element(0x00080060, "CS", b"CT"), element(value)], HARVESTS[syntax], syntax) == f"verify.{kind}@{tag}"


def test_an_output_with_nothing_in_it_passes() -> None:
    clean = [
        Element(0x00080060, "CS", b"CT"),
        Element(0x00081030, "LO", b"CT Thorax nativ"),
        Element(0x00280010, "US", b"\1\0"),
    ]
    for syntax, own in HARVESTS.items():
        assert told(clean, own, syntax) == ""


@pytest.mark.parametrize("syntax", HARVESTS)
def test_every_harvested_value_is_found_where_it_was(syntax: str) -> None:
    """Element by element: what `harvest` takes from a place, `verify` finds in that place."""
    whole = write(ORIGINAL, syntax)
    tags = {own.tag for own in HARVESTS[syntax].values | HARVESTS[syntax].others}
    assert {0x00081010, 0x00100010, 0x00100020, 0x00100030, 0x00402016} <= tags and len(tags) == 15
    dated = {0x00080020}  # other dates are no leak in elements that hold dates
    for element in ORIGINAL:
        if element.tag in tags - dated:
            own = harvest([write([element], syntax)], codec_of(syntax), tag_search(codec_of(syntax)))
            assert verify([whole], codec_of(syntax), own, (), frozenset()).endswith(f"@{element.tag:08X}"), element.tag


def test_the_values_of_the_project_are_no_leak() -> None:
    element = [Element(0x00080080, "LO", b"Quellenhof Klinikum")]
    assert told(element, HARVESTS["explicit"]) == "verify.InstitutionName@00080080"
    assert told(element, HARVESTS["explicit"], kept=frozenset({0x00080080})) == ""
    uid = [Element(0x0020000D, "UI", ROOT + b"2.1"), Element(0x0020000E, "UI", ROOT + b"3.1")]
    assert told(uid, HARVESTS["explicit"], kept=frozenset({0x0020000E})) == "verify.uid@0020000D"
    assert told(uid, HARVESTS["explicit"], kept=frozenset({0x0020000E, 0x0020000D})) == ""


def test_what_is_kept_in_one_element_is_no_leak_of_staff_in_it_but_of_the_patient() -> None:
    practice = Element(0x00080080, "LO", b"Praxis Dr. Hinterstoisser")
    own = original(with_(ORIGINAL, practice))
    assert told([practice], own, kept=frozenset({0x00080080})) == ""
    practice = Element(0x00080080, "LO", b"Praxis Dr. Quastenberg")
    own = original(with_(ORIGINAL, practice))
    assert told([practice], own, kept=frozenset({0x00080080})) == "verify.PatientName@00080080"


@pytest.mark.parametrize("vr", ["DA", "DT"])
def test_a_shifted_date_may_be_another_ones(vr: str) -> None:
    """The birth date of an infant is a day near the study; its own element alone must not hold it."""
    moved = [Element(0x0008002A if vr == "DT" else 0x00080021, vr, b"19470822"), Element(0x00080022, "DA", b"20240317")]
    assert told(moved, HARVESTS["explicit"]) == ""
    assert told([Element(0x00100030, "DA", b"19470822")], HARVESTS["explicit"]) == "verify.PatientBirthDate@00100030"
    seen = [Element(0x00081030, "LO", b"seen 17.3.2024")]
    assert told(seen, HARVESTS["explicit"]) == "verify.StudyDate@00081030"
    assert told(seen, HARVESTS["explicit"], kept=frozenset({0x00080020})) == ""


def test_bytes_that_are_not_pixel_data_are_not_believed_to_be() -> None:
    codec = CODECS.little_explicit
    hidden = memoryview(b"Quastenberg!")
    head = codec.encode_header(0x7FE00010, b"OW", 12)
    assert verify([head, hidden], codec, NOTHING, (), frozenset()) == ""
    fragments = memoryview(codec.item(2) + b"ab" + codec.long.pack(0xFFFE, 0xE0DD, 0))
    fragmented: list[Buffer] = [codec.encode_header(0x7FE00010, b"OB", 0xFFFFFFFF), fragments]
    assert verify(fragmented, codec, NOTHING, (), frozenset()) == ""
    disguises: list[list[Buffer]] = [
        [hidden],
        [b"", hidden],
        [codec.encode_header(0x7FE00010, b"OW", 10), hidden],
        [codec.encode_header(0x7FE00010, b"OB", 0xFFFFFFFF), hidden],
        [codec.encode_header(0x00104000, b"OW", 12), hidden],
        [codec.encode_header(0x7FE00010, b"UT", 12), hidden],
        [codec.encode(0x00080060, b"CS", b"CT") + head, hidden],
    ]
    for wrong in disguises:
        assert verify(wrong, codec, NOTHING, (), frozenset()) == "verify.pixels"


def test_what_stands_behind_pixel_data_is_read() -> None:
    codec, pixels = CODECS.little_explicit, memoryview(bytes(12))
    behind = codec.encode(0xFFFCFFFC, b"OB", b"..quastenberg..")
    parts: list[Buffer] = [
        codec.encode(0x00080060, b"CS", b"CT"),
        codec.encode_header(0x7FE00010, b"OW", 12),
        pixels,
        behind,
    ]
    assert verify(parts, codec, HARVESTS["explicit"], (), frozenset()) == "verify.PatientName@FFFCFFFC"


def test_what_cannot_be_read_is_refused() -> None:
    codec = CODECS.little_explicit
    short = Harvest(frozenset({Own(0x00100010, b"Roe^Jo")}), frozenset(), "")
    for broken in (
        b"\x08\0\x60\0??\2\0 roe ",
        codec.encode(0x00080060, b"LO", b"CT") + b"\x08\0\x60\0LO\x50\0xroex ",
        b"roe",
    ):
        assert verify([broken], codec, short, (), frozenset()) == "verify.unreadable"
        sure = verify([broken + b" quastenberg"], codec, HARVESTS["explicit"], (), frozenset())
        assert sure == "verify.PatientName@bytes"


def test_bytes_that_hold_no_items_after_all_are_the_elements_that_holds_them() -> None:
    item = b"\xfe\xff\x00\xe0\x10\0\0\0"
    for blob in (item + b"quastenberg, so", item + b"\x08\0\x04\x01\xff\xff\0\0 no: quastenberg"):
        for outer in (blob, item + b"\x29\0\x11\x10" + bytes([len(blob) + len(blob) % 2, 0, 0, 0]) + blob):
            assert told([Element(0x00291010, "UN", outer)], HARVESTS["explicit"]).startswith(
                "verify.PatientName@0029xx1"
            )


@pytest.mark.parametrize("depth", [40, 3000])
def test_no_nesting_is_too_deep(depth: int) -> None:
    element = Element(0x00080104, "LO", b"Quastenberg")
    sequence = write([element], "implicit")
    for _ in range(depth):
        sequence = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + sequence + b"\xfe\xff\x0d\xe0\0\0\0\0"
        sequence = b"\x08\0\x32\x10\xff\xff\xff\xff" + sequence + b"\xfe\xff\xdd\xe0\0\0\0\0"
    own = HARVESTS["implicit"]
    assert verify([sequence], CODECS.little_implicit, own, (), frozenset()) == "verify.PatientName@00080104"
    unknown = CODECS.little_explicit.encode_header(0x00081032, b"UN", 0xFFFFFFFF) + sequence[8:]
    assert verify([unknown], CODECS.little_explicit, own, (), frozenset()) == "verify.PatientName@00080104"


NEAR = {
    "a name's letters": (b"quastenber ", b"Quastenberg^Leopoldine"),
    "one letter": (b"a", b"Aaaaaaab^Aab"),
    "short words within words": (b"xroex", b"Roe^Ann"),
    "numbers within numbers": (b"17744111.", b"774411"),
    "years": (b"1947 ", b"Roe^Ann"),
    "base64": (b"UXVhc3RlbmJlcmd", b"Roe^Ann"),
    "percent signs": (b"%41", b"Roe^Ann"),
    "entities": (b"&amp;", b"Roe^Ann"),
    "items": (b"\xfe\xff\x00\xe0\0\0\0\0", b"Roe^Ann"),
    "dots": (b".1", b"Roe^Ann"),
    "NULs and letters": (b"r\0o\0e\0s\0", b"Roe^Ann"),
}


@pytest.mark.parametrize("near", NEAR)
def test_a_megabyte_of_near_matches_takes_no_time(near: str) -> None:
    piece, name = NEAR[near]
    data = with_(base(), Element(0x00100010, "PN", name), Element(0x00100020, "LO", b"774411"))
    own = original(data)
    value = piece * (1_000_000 // len(piece))
    began = time.process_time()
    for vr, tag in (("UT", 0x0040A160), ("UN", 0x00291010), ("OB", 0x00291010)):
        told([Element(0x00080104, "LO", b"roe"), Element(tag, vr, value)], own)
    harvest([value], CODECS.little_explicit, tag_search(CODECS.little_explicit))
    assert time.process_time() - began < 8


def test_thousands_of_persons_are_searched_word_by_word() -> None:
    """A report that names them all: those beyond the first few hundred are looked up, not searched one by one."""
    persons = [Element(0x0040A123, "PN", b"Zq%dzx^Pv%dy" % (n, n)) for n in range(4000)]
    data = b"".join(write([person], "explicit") for person in persons)
    own = harvest([data], CODECS.little_explicit, tag_search(CODECS.little_explicit))
    text = [Element(0x0040A160, "UT", b"nothing here " * 50_000)]
    began = time.process_time()
    assert told(text, own) == ""
    assert time.process_time() - began < 8
    assert len(own.values) > 1000
    last = max(own.values).text.split(b"^")[0]
    assert told([Element(0x0040A160, "UT", b"for " + last)], own) == "verify.PersonName@0040A160"


def test_thousands_of_uids_made_of_uuids_are_looked_up() -> None:
    """A report on as many images: no two of their UIDs begin alike."""
    data = [b"2.25.%d" % (half << 64) for half in range(10**15, 10**19, 2 * 10**14)]
    own = harvest([b"\0".join(data)], CODECS.little_explicit, tag_search(CODECS.little_explicit))
    others = b"\0".join(uid[::-1] for uid in data)
    began = time.process_time()
    assert told([Element(0x0040A160, "UT", others)], own) == ""
    assert time.process_time() - began < 5
    assert told([Element(0x0040A160, "UT", b"see " + data[-1])], own) == "verify.uid@0040A160"


def test_thousands_of_uids_in_longer_ones_take_no_time(cleaner: Cleaner) -> None:
    """Each would be looked for in all of the result, if only what stands there by itself were not."""
    uids = [b"1.2.3.4.5.%d" % number for number in range(10_000, 16_000)]
    items = tuple((Element(0x00081150, "UI", b"5." + uid), Element(0x00081155, "UI", uid)) for uid in uids)
    data = write(with_(base(), Element(0x00081140, "SQ", items)), "explicit")
    began = time.process_time()
    assert isinstance(cleaner.clean(data, SYNTAXES["explicit"], frozenset()), Kept)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["{}", "CT.{}.dcm", "..{}", "{}...5", "({})", "from {}."])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_of_many_uids_one_is_found_however_it_stands(encoding: str, text: str) -> None:
    data = [*(b"2.25.%d" % (half << 64) for half in range(10**15, 10**16, 10**14)), ROOT + b"2.1"]
    own = harvest([b"\0".join(data)], CODECS.little_explicit, tag_search(CODECS.little_explicit))
    for uid in data[-2:]:
        value = ENCODINGS[encoding](text.format(uid.decode()))
        assert told([Element(0x0040A160, "UT", value)], own) == "verify.uid@0040A160"


@pytest.mark.parametrize("place", PLACES)
def test_the_cleaner_understands_what_is_said(place: str) -> None:
    """`troubled` in the cleaner takes the tag from the reason; a private one without its block."""
    tag, element = PLACES[place]
    leak = told([element(b"Quastenberg")], HARVESTS["explicit"])
    assert troubled({}, leak) == {int(tag.replace("xx", "00"), 16): False}
    assert troubled({}, "verify.PatientName@bytes") is None
