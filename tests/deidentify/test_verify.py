"""The last look finds what a broken walk would let through, and lets pass what only looks alike."""

from __future__ import annotations

import pytest

from gateway.deidentify import walker as walker_module
from gateway.deidentify.actions import Action
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.encoding import Codecs
from gateway.deidentify.harvest import Harvest, Own, harvest, tag_pattern
from gateway.deidentify.needles import Match, needles_of
from gateway.deidentify.verify import verify
from gateway.model import Dropped, Kept, Outcome
from tests.deidentify.planted import build
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

NOTHING = Harvest(frozenset(), frozenset(), "")
SPARED = {  # tag -> what verify must say when the walk spares this element
    0x00100010: "verify.PatientName",
    0x00080050: "verify.AccessionNumber",
    0x00100030: "verify.PatientBirthDate",
    0x00080090: "verify.ReferringPhysicianName",
    0x00080080: "verify.InstitutionName",
    0x00200010: "verify.StudyID",
    0x0020000D: "verify.uid",
    0x00080018: "verify.uid",
}


def spare(monkeypatch: pytest.MonkeyPatch, *values: bytes) -> None:
    """A walk with a mistake: it keeps each element that holds one of `values`."""
    edit = walker_module.Walker._edit

    def broken(self, head, pos, end, scope):  # type: ignore[no-untyped-def]
        if any(value in self.buf[head.value : head.value + head.length] for value in values) and head.length < 200:
            return None, edit(self, head, pos, end, scope)[1]
        return edit(self, head, pos, end, scope)

    monkeypatch.setattr(walker_module.Walker, "_edit", broken)
    monkeypatch.setattr(walker_module.Walker, "_run", lambda self, pos, end, last, fence, place: (pos, last))


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big", "deflated", "encapsulated"])
@pytest.mark.parametrize("tag", SPARED)
def test_what_the_walk_spares_is_refused(
    monkeypatch: pytest.MonkeyPatch, cleaner: Cleaner, tag: int, syntax: str
) -> None:
    value = next(e.value for e in base() if e.tag == tag)
    assert isinstance(value, bytes)
    spare(monkeypatch, value)
    result = cleaner.clean(write(base(), syntax), SYNTAXES[syntax], frozenset())
    assert result == Dropped(Outcome.REFUSED, SPARED[tag])


@pytest.mark.parametrize(
    "trap", ["nested", "nested_undefined", "un_sequences", "gb18030", "cyrillic", "utf8", "iso2022_87", "private"]
)
def test_a_walk_that_does_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, cleaner: Cleaner, trap: str) -> None:
    monkeypatch.setattr("gateway.deidentify.walker.decide", lambda rule, *_, **__: Action.KEEP)
    for syntax in ("explicit", "implicit"):
        result = cleaner.clean(build(trap, syntax)[0], SYNTAXES[syntax], frozenset())
        assert isinstance(result, Dropped) and result.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00180015, "CS", b"QUASTENBERG"),
        (0x00180015, "CS", b"LEOPOLDINE-1"),
        (0x00181020, "LO", b"for px-774411."),
        (0x00181030, "LO", b"x"),
        (0x00080104, "LO", b"born 22.08.1947"),
        (0x00080104, "LO", b"1947-08-22"),
        (0x00080104, "LO", b"08/22/1947"),
        (0x00281221, "OW", "Quastenberg".encode("utf-16-le")),
        (0x00281221, "OW", b"..quastenberg.."),
        (0x00080104, "LO", b"1.2.826.0.1.3680043.9.7411.2.1"),
    ],
)
def test_own_values_in_elements_that_stay_are_refused(cleaner: Cleaner, tag: int, vr: str, value: bytes) -> None:
    for syntax in ("explicit", "implicit", "big"):
        result = cleaner.clean(write(with_(base(), Element(tag, vr, value)), syntax), SYNTAXES[syntax], frozenset())
        assert isinstance(result, Kept if value == b"x" else Dropped), (syntax, result)


def test_the_requests_own_values_are_searched(cleaner: Cleaner) -> None:
    data = write(with_(base(), Element(0x00080104, "LO", b"order 4711-XY")), "explicit")
    assert cleaner.clean(data, SYNTAXES["explicit"], frozenset({" 4711-xy "})) == Dropped(
        Outcome.REFUSED, "verify.request"
    )
    assert isinstance(cleaner.clean(data, SYNTAXES["explicit"], frozenset({"4711-XYZ", "", "T"})), Kept)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        (b"Ann^Lee", (Element(0x00080104, "LO", b"Annotation Lees"),)),
        (b"Long^Head", (Element(0x00180015, "CS", b"HEAD"), Element(0x00080104, "LO", b"long axis"))),
        (b"CT^A", ()),
        (b"Roe^Jane^^Dr^PhD", (Element(0x00080104, "LO", b"Dr PhD"),)),
        (b"", ()),
    ],
)
def test_names_that_are_words_do_not_stop_honest_objects(
    cleaner: Cleaner, name: bytes, others: tuple[Element, ...]
) -> None:
    data = write(with_(base(), Element(0x00100010, "PN", name), *others), "explicit")
    assert isinstance(cleaner.clean(data, SYNTAXES["explicit"], frozenset()), Kept)


@pytest.mark.parametrize("patient", [b"1", b"12", b"256", b"12345", b"774411"])
def test_numbers_that_stand_in_numbers_do_not_stop_honest_objects(cleaner: Cleaner, patient: bytes) -> None:
    numbers = (
        Element(0x00181151, "IS", b"256"),
        Element(0x00180060, "DS", b"0.774411"),
        Element(0x00180088, "DS", b"12345"),
    )
    data = write(with_(base(patient=patient), *numbers, Element(0x00080104, "LO", b"no 9774411")), "explicit")
    assert isinstance(cleaner.clean(data, SYNTAXES["explicit"], frozenset()), Kept)


@pytest.mark.parametrize(
    ("name", "text"), [(b"Ann^Lee", b"for Ann"), (b"Roe^Jane", b"roe"), (b"Long^Mary-Lou", b"LONG^MARY-LOU")]
)
def test_short_words_are_found_where_they_stand_alone(cleaner: Cleaner, name: bytes, text: bytes) -> None:
    nested = Element(0x00540016, "SQ", ((Element(0x00080104, "LO", text),),), undefined=True)
    hidden = Element(0x00540016, "UN", ((Element(0x00080104, "LO", text),),))
    for element in (Element(0x00080104, "LO", text), nested, hidden):
        data = write(with_(base(), Element(0x00100010, "PN", name), element), "explicit")
        assert cleaner.clean(data, SYNTAXES["explicit"], frozenset()) == Dropped(Outcome.REFUSED, "verify.PatientName")


def test_a_number_alone_is_found(cleaner: Cleaner) -> None:
    data = write(with_(base(patient=b"7744"), Element(0x00080104, "LO", b"pat. 7744")), "explicit")
    assert cleaner.clean(data, SYNTAXES["explicit"], frozenset()) == Dropped(Outcome.REFUSED, "verify.PatientID")


@pytest.mark.parametrize("text", [b"MRN 7654321.", b"No.7654321", b"MRN.7654321.", b"geb.19470822", b"b.22.08.1947"])
def test_a_dot_beside_a_number_is_punctuation(cleaner: Cleaner, text: bytes) -> None:
    """It is a decimal point or a UID's only where a digit stands on its other side."""
    for syntax in ("explicit", "implicit"):
        data = write(with_(base(patient=b"7654321"), Element(0x00080104, "LO", text)), syntax)
        reason = "verify.PatientID" if b"7654321" in text else "verify.PatientBirthDate"
        assert cleaner.clean(data, SYNTAXES[syntax], frozenset()) == Dropped(Outcome.REFUSED, reason)


def test_the_requests_number_after_a_dot_is_found(cleaner: Cleaner) -> None:
    data = write(with_(base(), Element(0x00080104, "LO", b"see No.20261234")), "explicit")
    own = frozenset({"20261234"})
    assert cleaner.clean(data, SYNTAXES["explicit"], own) == Dropped(Outcome.REFUSED, "verify.request")
    decimal = write(with_(base(), Element(0x00180060, "DS", b"20261234.5\\1.20261234")), "explicit")
    assert isinstance(cleaner.clean(decimal, SYNTAXES["explicit"], own), Kept)


def test_bytes_that_are_not_pixel_data_are_not_believed_to_be(cleaner: Cleaner) -> None:
    codec = cleaner.profile.codecs.little_explicit
    hidden = memoryview(b"Quastenberg!")
    head = codec.encode_header(0x7FE00010, b"OW", 12)
    assert verify([head, hidden], codec, NOTHING, (), frozenset()) == ""
    fragments = memoryview(codec.item(2) + b"ab" + codec.long.pack(0xFFFE, 0xE0DD, 0))
    assert (
        verify([codec.encode_header(0x7FE00010, b"OB", 0xFFFFFFFF), fragments], codec, NOTHING, (), frozenset()) == ""
    )
    disguises: list[list[bytes | memoryview]] = [
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


def test_what_verify_cannot_read_is_refused(cleaner: Cleaner) -> None:
    codec = cleaner.profile.codecs.little_explicit
    own = Harvest(frozenset({Own(0x00100010, b"Roe^Jo")}), frozenset(), "")
    for broken in (
        b"\x08\0\x60\0??\2\0 roe ",
        codec.encode(0x00080060, b"LO", b"CT") + b"\x08\0\x60\0LO\x50\0xroex ",
        b"roe",
    ):
        assert verify([broken], codec, own, (), frozenset()) == "verify.unreadable"


def test_the_projects_kept_elements_are_no_leak(cleaner: Cleaner) -> None:
    codec = cleaner.profile.codecs.little_explicit
    text = [codec.encode(0x00080080, b"LO", b"Quellenhof")]
    own = Harvest(frozenset({Own(0x00080080, b"Quellenhof")}), frozenset(), "")
    assert verify(text, codec, own, (), frozenset()) == "verify.InstitutionName"
    assert verify(text, codec, own, (), frozenset({0x00080080})) == ""


def test_harvest_needs_no_structure(codecs: Codecs) -> None:
    element = write([Element(0x00100010, "PN", b"Roe^Jane"), Element(0x00100020, "LO", b"A\\B ")], "explicit")
    implicit = write([Element(0x00200010, "SH", b"STUDY7")], "implicit")
    codec = codecs.little_explicit
    found = harvest([b"noise" + element + b"\xff\xff" + implicit, b"\x10\0\x10\0PN\x50\0x"], codec, tag_pattern(codec))
    values = {(own.tag, own.text) for own in found.values}
    assert values == {(0x00100010, b"Roe^Jane"), (0x00100020, b"A"), (0x00100020, b"B"), (0x00200010, b"STUDY7")}


def test_class_uids_are_public_but_not_when_they_are_an_instances_too(codecs: Codecs) -> None:
    codec, private = codecs.little_explicit, b"1.3.12.2.1107.5.9.1"
    both = [Element(0x00080016, "UI", private), Element(0x00080018, "UI", b"1.2.3.4.5.6")]
    assert harvest([write(both, "explicit")], codec, tag_pattern(codec)).uids == {b"1.2.3.4.5.6"}
    same = [Element(0x00080016, "UI", private), Element(0x00080018, "UI", private)]
    assert harvest([write(same, "explicit")], codec, tag_pattern(codec)).uids == {private}


@pytest.fixture
def codecs(cleaner: Cleaner) -> Codecs:
    return cleaner.profile.codecs


def test_a_registered_frame_of_reference_is_nobodys(cleaner: Cleaner) -> None:
    """PS3.6 Annex A: an atlas is public, whatever element names it; a UID that only looks registered is not."""
    atlas, made = b"1.2.840.10008.1.4.1.1", b"1.2.840.10008.4711.20261234"
    for uid, stays in ((atlas, True), (made, False)):
        data = write(with_(base(), Element(0x00200052, "UI", uid)), "explicit")
        result = cleaner.clean(data, SYNTAXES["explicit"], frozenset())
        assert isinstance(result, Kept) and (uid in b"".join(result.parts)) is stays


@pytest.mark.parametrize(
    ("charset", "codec", "name", "text"),
    [
        (b"ISO_IR 100", "latin-1", "Müller^Jörg", "pat MÜLLER"),
        (b"ISO_IR 192", "utf-8", "Müller^Jörg", "pat MÜLLER"),
        (b"ISO_IR 192", "utf-8", "Иванова^Анна", "ИВАНОВА"),
        (b"ISO_IR 144", "iso8859_5", "ИВАНОВА^АННА", "иванова"),
    ],
)
def test_letters_outside_ascii_are_found_in_either_case(
    cleaner: Cleaner, charset: bytes, codec: str, name: str, text: str
) -> None:
    elements = (
        Element(0x00080005, "CS", charset),
        Element(0x00100010, "PN", name.encode(codec)),
        Element(0x00080104, "LO", text.encode(codec)),
    )
    result = cleaner.clean(write(with_(base(), *elements), "explicit"), SYNTAXES["explicit"], frozenset())
    assert result == Dropped(Outcome.REFUSED, "verify.PatientName")


def test_needles_of_other_character_sets() -> None:
    gb = "王小东^李".encode("gb18030")
    assert "王小东".encode() in {n.text for n in needles_of(Own(0x00100010, gb), "GB18030")}
    assert {n.text for n in needles_of(Own(0x00100020, b"\xff\xfe\xfd"), "ISO_IR 192")} == {b"\xff\xfe\xfd"}
    assert {n.match for n in needles_of(Own(0, b"123456"), "")} == {Match.NUMBER}
    assert needles_of(Own(0x00100030, b"19000101"), "") == needles_of(Own(0x00100030, b"1947"), "") == ()
