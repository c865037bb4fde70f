"""What the receiver relies on: same key, same bytes; reasons, no exceptions; nothing big copied; explain tells no value."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pydicom
import pytest

from gateway.deidentify import walker as walker_module
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.encoding import ITEM_END
from gateway.model import Buffer, Dropped, Held, Kept, Outcome
from gateway.rules import SelectionRule
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.planted import TOP_UIDS, build
from tests.deidentify.writer import ROOT, SYNTAXES, Element, base, with_, write

EXPLICIT = SYNTAXES["explicit"]


def kept(cleaner: Cleaner, elements: list[Element], syntax: str = "explicit", *, sort: bool = True) -> pydicom.Dataset:
    result = cleaner.clean(write(elements, syntax, sort=sort), SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept), result
    return pydicom.dcmread(io.BytesIO(b"".join(result.parts)))


def reason(result: Kept | Held | Dropped) -> tuple[Outcome, str]:
    assert isinstance(result, Dropped)
    return result.outcome, result.reason


def test_same_key_same_bytes_in_another_process(cleaner: Cleaner) -> None:
    data = build("nested", "explicit")[0]
    result = cleaner.clean(data, EXPLICIT, frozenset())
    assert isinstance(result, Kept)
    script = (
        "import sys, hashlib; from gateway.deidentify.cleaner import make_cleaner; from gateway.settings import Deidentify;"
        "c = make_cleaner(project='alpha', deidentify=Deidentify(), instance_rule=None, key=bytes(range(32)));"
        f"r = c.clean(sys.stdin.buffer.read(), {EXPLICIT!r}, frozenset()); sys.stdout.buffer.write(b''.join(r.parts))"
    )
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"".join(result.parts)


def test_one_patient_is_one_pseudonym_and_references_still_fit(cleaner: Cleaner) -> None:
    first = kept(cleaner, base(1))
    reference = (Element(0x00081155, "UI", ROOT + b"1.1.1"),)
    second = kept(cleaner, with_(base(2, study=2), Element(0x00081140, "SQ", (reference,))), "implicit")
    assert first.PatientID == second.PatientID and first.AccessionNumber == second.AccessionNumber
    assert second.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert first.StudyInstanceUID != second.StudyInstanceUID and first.SOPInstanceUID != second.SOPInstanceUID
    other = kept(cleaner, base(3, patient=b"PX-774412"))
    assert other.PatientID != first.PatientID


@pytest.mark.parametrize(("project", "key"), [("beta", KEY), ("alpha", KEY[::-1])])
def test_projects_and_keys_cannot_be_linked(cleaner: Cleaner, project: str, key: bytes) -> None:
    other = make_cleaner(project=project, deidentify=Deidentify(), instance_rule=None, key=key)
    mine, theirs = kept(cleaner, base()), kept(other, base())
    for keyword in (
        "PatientID",
        "AccessionNumber",
        "StudyID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ):
        assert mine[keyword].value != theirs[keyword].value


def test_cleaning_twice_keeps_the_shape(cleaner: Cleaner) -> None:
    once = kept(cleaner, base())
    result = cleaner.clean(write(base(), "explicit"), EXPLICIT, frozenset())
    assert isinstance(result, Kept)
    again = cleaner.clean(b"".join(result.parts[1:]), EXPLICIT, frozenset())
    assert isinstance(again, Kept)
    twice = pydicom.dcmread(io.BytesIO(b"".join(again.parts)))
    assert twice.keys() == once.keys() and twice.PixelData == once.PixelData
    assert len(b"".join(again.parts)) == pytest.approx(len(b"".join(result.parts)), abs=10)


def test_an_empty_patient_id_makes_one_patient_per_study(cleaner: Cleaner) -> None:
    ids = [
        kept(cleaner, base(n, patient=p, study=s)).PatientID for n, p, s in ((1, b"", 1), (2, b"  ", 1), (3, b"", 2))
    ]
    assert ids[0] == ids[1] != ids[2] and all(len(i) == 16 for i in ids)
    missing = kept(cleaner, [e for e in base() if e.tag != 0x00100020])
    assert missing.PatientID == ids[0]


def test_the_project_template_makes_the_patient_id() -> None:
    cleaner = make_cleaner(
        project="a", deidentify=Deidentify(patient_id="CHEST-{pseudonym}"), instance_rule=None, key=KEY
    )
    assert kept(cleaner, base()).PatientID.startswith("CHEST-")


@pytest.mark.catalogue("D9")
@pytest.mark.parametrize("tag", TOP_UIDS)
def test_a_missing_uid_is_refused(cleaner: Cleaner, tag: int) -> None:
    data = write([e for e in base() if e.tag != tag], "explicit")
    assert reason(cleaner.clean(data, EXPLICIT, frozenset())) == (Outcome.REFUSED, "dataset.incomplete")


@pytest.mark.catalogue("D4")
@pytest.mark.parametrize("uid", [b"", b"../../etc/passwd", b"1." * 40 + b"1", b"1.2\\1.3"])
def test_a_uid_that_is_none_is_refused(cleaner: Cleaner, uid: bytes) -> None:
    data = write(with_(base(), Element(0x00080018, "UI", uid)), "explicit")
    assert reason(cleaner.clean(data, EXPLICIT, frozenset())) == (Outcome.REFUSED, "dataset.incomplete")


def test_unknown_transfer_syntax_is_refused(cleaner: Cleaner) -> None:
    assert reason(cleaner.clean(b"", "1.2.840.113619.5.2", frozenset())) == (Outcome.REFUSED, "dataset.transfer-syntax")
    assert cleaner.explain(b"", "1.2.840.113619.5.2", frozenset()) == []


@pytest.mark.parametrize("cut", [b"\0", b"\x07garbage"])
def test_broken_deflate_is_refused(cleaner: Cleaner, cut: bytes) -> None:
    data = write(base(), "deflated")
    for broken in (data[:-5], cut + data):
        assert reason(cleaner.clean(broken, SYNTAXES["deflated"], frozenset())) == (
            Outcome.REFUSED,
            "dataset.malformed",
        )


def test_deflated_in_deflated_out(cleaner: Cleaner) -> None:
    result = cleaner.clean(write(base(), "deflated"), SYNTAXES["deflated"], frozenset())
    assert isinstance(result, Kept)
    assert b"PIXEL" not in result.parts[1] and len(result.parts[1]) % 2 == 0
    assert b"113100" in zlib.decompressobj(-15).decompress(result.parts[1])


@pytest.mark.catalogue("D2")
def test_odd_pixel_data_is_refused(cleaner: Cleaner) -> None:
    data = write(with_(base(), Element(0x7FE00010, "OB", b"abc", odd=True)), "explicit")
    assert reason(cleaner.clean(data, EXPLICIT, frozenset())) == (Outcome.REFUSED, "dataset.malformed")


@pytest.mark.catalogue("D7")
def test_a_document_is_replaced_by_an_empty_one_of_its_kind(cleaner: Cleaner) -> None:
    """Table E.1-1: Encapsulated Document D."""
    pdf = [e for e in base() if e.tag < 0x00280000]
    pdf = with_(
        pdf, Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.104.1"), Element(0x00420011, "OB", b"%PDF-1.7 words ")
    )
    result = cleaner.clean(write(pdf, "explicit"), EXPLICIT, frozenset())
    assert isinstance(result, Kept)
    ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    assert ds.EncapsulatedDocument.startswith(b"%PDF-1.4") and b"words" not in ds.EncapsulatedDocument


def test_burned_in_text_is_held(cleaner: Cleaner) -> None:
    burned = cleaner.clean(write(with_(base(), Element(0x00280301, "CS", b"YES")), "explicit"), EXPLICIT, frozenset())
    assert isinstance(burned, Held) and burned.reason == "pixels.burned-in"


@pytest.mark.catalogue("D7")
def test_an_instance_rule_excludes_with_its_reason() -> None:
    rule = SelectionRule("instance", "SliceThickness < 1.0")
    cleaner = make_cleaner(project="a", deidentify=Deidentify(), instance_rule=rule, key=KEY)
    assert reason(cleaner.clean(write(base(), "explicit"), EXPLICIT, frozenset())) == (
        Outcome.EXCLUDED,
        "select.instance",
    )
    thin = write(with_(base(), Element(0x00180050, "DS", b"0.5")), "explicit")
    assert isinstance(cleaner.clean(thin, EXPLICIT, frozenset()), Kept)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda d: memoryview(bytearray(d))])
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big", "encapsulated"])
def test_every_kind_of_buffer_gives_the_same_file(
    cleaner: Cleaner, wrap: Callable[[bytes], Buffer], syntax: str
) -> None:
    for trap in ("nested_undefined", "after_pixels", "un_sequences", "private"):
        data = build(trap, syntax)[0]
        results = [cleaner.clean(d, SYNTAXES[syntax], frozenset()) for d in (data, wrap(data))]
        assert all(isinstance(r, Kept) for r in results)
        first, second = (b"".join(r.parts) for r in results if isinstance(r, Kept))
        assert first == second


@pytest.mark.catalogue("S17")
@pytest.mark.parametrize("wrap", [bytes, bytearray])
def test_300_megabytes_of_pixels_are_not_copied(cleaner: Cleaner, wrap: Callable[[bytes], bytes]) -> None:
    head = write([e for e in base() if e.tag != 0x7FE00010], "explicit")
    size = 300 << 20
    whole: Buffer = bytearray(len(head) + 12 + size)
    assert isinstance(whole, bytearray)
    whole[: len(head) + 12] = head + bytes.fromhex("e07f1000") + b"OW\0\0" + size.to_bytes(4, "little")
    data = wrap(bytes(whole)) if wrap is bytes else whole
    tracemalloc.start()
    result = cleaner.clean(data, EXPLICIT, frozenset())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(result, Kept) and peak < 2 << 20
    (view,) = (part for part in result.parts if isinstance(part, memoryview))
    assert view.obj is data and len(view) == size


def test_a_duplicate_of_what_is_kept_stays_once(cleaner: Cleaner) -> None:
    ds = kept(cleaner, [*base(), Element(0x00180050, "DS", b"7.7"), Element(0x00280010, "US", b"\x09\0")])
    assert ds.SliceThickness == 2.5 and ds.Rows == 8


def test_our_marks_replace_what_was_there(cleaner: Cleaner) -> None:
    old = [
        Element(0x00120062, "CS", b"NO"),
        Element(0x00120063, "LO", b"by hand"),
        Element(0x00280303, "CS", b"UNMODIFIED"),
    ]
    ds = kept(cleaner, with_(base(), *old))
    assert (ds.PatientIdentityRemoved, ds.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert cleaner.profile.version in ds.DeidentificationMethod


def test_explain_names_each_element_and_its_rule_without_values(cleaner: Cleaner) -> None:
    elements = with_(
        base(), Element(0x00291010, "LO", b"x"), Element(0x00082218, "SQ", ((Element(0x00100010, "PN", b"Quast"),),))
    )
    lines = cleaner.explain(write(elements, "explicit"), EXPLICIT, frozenset())
    told = {line.path: (line.keyword, line.action, line.rule) for line in lines}
    assert told["(0010,0010)"] == ("PatientName", "Z", "PS3.15 Table E.1-1 2026c basic Z")
    assert told["(0008,2218)[0].(0010,0010)"][:2] == ("PatientName", "Z")
    assert told["(0029,1010)"] == ("", "X", "default: private")
    assert told["(0018,0050)"][1] == told["(7FE0,0010)"][1] == "K"
    assert len(told) == len(elements) + 1 and "Quast" not in repr(lines)
    shuffled = cleaner.explain(write(elements[::-1], "explicit", sort=False), EXPLICIT, frozenset())
    assert {line.path for line in shuffled} == set(told)


def test_nothing_of_the_input_shows_in_a_repr(cleaner: Cleaner) -> None:
    result = cleaner.clean(write(base(), "explicit"), EXPLICIT, frozenset())
    assert "Quast" not in repr(result) and ROOT.decode() not in repr(result)
    assert sys.getrecursionlimit() / 8 > walker_module.MAX_DEPTH and ITEM_END == 0xFFFEE00D


@pytest.mark.parametrize(("persons", "outcome"), [(4000, Kept), (6000, Kept), (9000, Dropped)])
def test_of_thousands_of_names_the_patients_own_is_looked_for(cleaner: Cleaner, persons: int, outcome: type) -> None:
    """What was beyond the first thousands was looked for by nobody, and others' may come first."""
    others = tuple((Element(0x00100010, "PN", b"Zq%dzx^Pv%dy" % (n, n)),) for n in range(persons))
    label = Element(0x00080102, "SH", b"Quastenberg")
    data = write(with_(base(), Element(0x00081140, "SQ", others), label), "explicit")
    result = cleaner.clean(data, EXPLICIT, frozenset())
    assert isinstance(result, outcome) and getattr(result, "reason", "verify.too-many") == "verify.too-many"
    assert b"Quastenberg" not in b"".join(getattr(result, "parts", ()))


def test_numbers_that_look_like_thousands_of_names_are_none(cleaner: Cleaner) -> None:
    """A waveform of small numbers, which spell tags and lengths."""
    numbers = b"".join(struct.pack("<8H", 16, 16, 8, 0, n % 256, 7, n // 256, 9) for n in range(9000))
    wave = Element(0x54000100, "SQ", ((Element(0x54001010, "OW", numbers),),))
    data = write(with_(base(), wave), "explicit")
    result = cleaner.clean(data, EXPLICIT, frozenset())
    assert isinstance(result, Kept) and numbers in b"".join(result.parts)


@pytest.mark.parametrize(("values", "outcome"), [(200, Kept), (2000, Dropped)])
def test_names_without_number_in_each_value_take_no_time(cleaner: Cleaner, values: int, outcome: type) -> None:
    letters = bytes.maketrans(b"0123456789", b"bdfghjklmn")
    names = [b"\\".join(b"qz%06d^pv%06d" % (n * 50 + m, n * 50 + m) for m in range(50)) for n in range(values)]
    others = tuple((Element(0x00100010, "PN", name.translate(letters)),) for name in names)
    data = write(with_(base(), Element(0x00081140, "SQ", others)), "explicit")
    began = time.process_time()
    result = cleaner.clean(data, EXPLICIT, frozenset())
    assert isinstance(result, outcome) and getattr(result, "reason", "verify.too-many") == "verify.too-many"
    assert time.process_time() - began < 8


def test_thousands_of_numbers_that_are_somebodys_too_take_no_time(cleaner: Cleaner) -> None:
    """Contours full of what is a patient ID of five digits as well: each stays, and none is looked for in each of the others."""
    numbers = [b"%d" % number for number in range(20_000, 27_900)]
    patients = tuple((Element(0x00100020, "LO", number),) for number in numbers)
    points = tuple((Element(0x30060050, "DS", b"\\".join(numbers[at::60])),) for at in range(60))
    data = write(with_(base(), Element(0x00081140, "SQ", patients), Element(0x30060040, "SQ", points)), "explicit")
    began = time.process_time()
    result = cleaner.clean(data, EXPLICIT, frozenset())
    assert isinstance(result, Kept) and b"\\27840" in b"".join(result.parts)
    assert time.process_time() - began < 10


def test_thousands_of_icons_beside_thousands_of_names_take_no_time(cleaner: Cleaner) -> None:
    """Each is a piece of the header by itself, in which names are looked for."""
    people = tuple((Element(0x00100010, "PN", b"Zq%dzx^Pv%dy" % (n, n)),) for n in range(6000))
    icons = ((Element(0x00280010, "US", b"\2\0"), Element(0x7FE00010, "OW", b"\1" * 4)),) * 16_000
    data = write(with_(base(), Element(0x00081140, "SQ", people), Element(0x00880200, "SQ", icons)), "explicit")
    began = time.process_time()
    assert isinstance(cleaner.clean(data, EXPLICIT, frozenset()), Kept)
    assert time.process_time() - began < 4
