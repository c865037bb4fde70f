"""The structure of a data set: what is mended, what is refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import pydicom
import pytest

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.model import Buffer, Kept, Outcome
from gateway.settings import Deidentify
from tests.deidentify.conftest import KEY
from tests.deidentify.test_cleaner import EXPLICIT, kept, reason
from tests.deidentify.writer import SYNTAXES, Element, Layout, base, with_, write


@pytest.mark.parametrize(
    "breaking",
    [
        lambda d: d[:-20],
        lambda d: d[:4] + b"??" + d[6:],
        lambda d: d + bytes.fromhex("feff0de000000000"),
        lambda d: d + bytes.fromhex("ffff0100") + b"LT\xff\xff",
        lambda d: d + bytes.fromhex("e17f1000") + b"LO\xff\xff" * 20,
    ],
)
def test_malformed_data_is_refused(cleaner: Cleaner, breaking: Callable[[bytes], bytes]) -> None:
    broken = breaking(write(base(), "explicit"))
    for data in (broken, bytearray(broken), memoryview(bytearray(broken))):
        assert reason(cleaner.clean(data, EXPLICIT, frozenset())) == (Outcome.REFUSED, "dataset.malformed")
    assert cleaner.explain(broken, EXPLICIT, frozenset()) == []


def sequence(body: bytes, length: int = 0xFFFFFFFF, vr: bytes = b"SQ") -> bytes:
    return bytes.fromhex("08001822") + vr + b"\0\0" + length.to_bytes(4, "little") + body


ITEM = bytes.fromhex("feff00e0")
CLOSE = bytes.fromhex("feffdde000000000")
SEQUENCE = Element(0x00082218, "SQ", ((Element(0x00080104, "LO", b"Head"),),), undefined=True)
DEEP = (sequence(b"") + ITEM + b"\xff\xff\xff\xff") * 60


@pytest.mark.parametrize(
    "insert",
    [
        sequence(b"\1\2\3\4\5\6\7\x08" + CLOSE),
        sequence(ITEM + b"\xff\0\0\0" + CLOSE),
        sequence(ITEM + b"\xff\xff\xff\xff" + CLOSE),
        sequence(ITEM + b"\x02\0\0\0ab" + CLOSE),
        sequence(ITEM, 4),
        sequence(b"ab", vr=b"OF"),
        sequence(CLOSE, 8),
        DEEP,
    ],
)
def test_broken_sequences_are_refused(cleaner: Cleaner, insert: bytes) -> None:
    before = write([e for e in base() if e.tag < 0x00082218], "explicit")
    after = write([e for e in base() if e.tag > 0x00082218], "explicit")
    assert reason(cleaner.clean(before + insert + after, EXPLICIT, frozenset())) == (
        Outcome.REFUSED,
        "dataset.malformed",
    )


@pytest.mark.parametrize("length", [0x4144, 0x14144])
def test_an_item_whose_length_spells_a_vr_changes_no_date(length: int) -> None:
    settings = Deidentify(options=("retain-longitudinal-modified-dates",))
    dated = make_cleaner(project="a", deidentify=settings, instance_rule=None, key=KEY)
    body = write([Element(0x0040A160, "UT", b"x" * (length - 12))], "explicit")
    insert = sequence(ITEM + len(body).to_bytes(4, "little") + body + CLOSE)
    before, after = (write([e for e in base() if (e.tag < 0x00082218) is first], "explicit") for first in (True, False))
    result = dated.clean(before + insert + after, EXPLICIT, frozenset())
    assert isinstance(result, Kept)
    found = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    assert found.StudyDate == kept(dated, base()).StudyDate and len(found[0x00082218].value) == 1


def test_private_elements_out_of_order_change_no_date() -> None:
    settings = Deidentify(options=("retain-longitudinal-modified-dates",))
    dated = make_cleaner(project="a", deidentify=settings, instance_rule=None, key=KEY)
    private = [Element(tag, "LO", b"QUAXJO") for tag in (0x00090010, 0x00290010, 0x00291001)]
    low, high = ([e for e in base() if (e.tag < 0x00100000) is first] for first in (True, False))
    found = kept(dated, [*low, *private, *high], sort=False)
    assert found.StudyDate == kept(dated, base()).StudyDate


def test_out_of_order_and_repeated_elements_are_sorted(cleaner: Cleaner) -> None:
    late = [
        Element(0x00081030, "LO", b"QZXLATEXQ"),
        Element(0x00180050, "DS", b"9.9"),
        Element(0x00080060, "CS", b"MR"),
    ]
    item = (Element(0x00180050, "DS", b"1"), Element(0x00080060, "CS", b"CT"))
    for undefined in (False, True):
        nested = Element(0x00540016, "SQ", (item,), undefined)
        ds = kept(cleaner, [*sorted(base(), key=lambda e: e.tag), *late, nested], sort=False)
        assert list(ds.keys()) == sorted(ds.keys()) and "SeriesDescription" not in ds and "StudyDescription" not in ds
        assert ds.SliceThickness == 2.5 and ds.Modality == "CT"
        assert list(ds[0x00540016].value[0].keys()) == [0x00080060, 0x00180050]


def test_a_data_set_that_ends_early_still_gets_all_marks(cleaner: Cleaner) -> None:
    early = [e for e in base() if e.tag < 0x00280000]
    for wrap in (bytes, bytearray):
        result = cleaner.clean(wrap(write([*early, SEQUENCE], "explicit")), EXPLICIT, frozenset())
        assert isinstance(result, Kept)
        ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
        assert list(ds.keys())[-1] == 0x00280303


def test_text_in_the_place_of_pixel_data_is_refused(cleaner: Cleaner) -> None:
    for vr in ("UT", "LT", "UC", "US", "SQ"):
        data = write([e for e in base() if e.tag != 0x7FE00010] + [Element(0x7FE00010, vr, b"Jane")], "explicit")
        for wrap in (bytes, bytearray):
            result = cleaner.clean(wrap(data), EXPLICIT, frozenset())
            assert reason(result) == (Outcome.REFUSED, "dataset.malformed"), vr


@pytest.mark.parametrize("wrap", [bytes, bytearray])
@pytest.mark.parametrize("padding", [1, 3, 8, 4096])
@pytest.mark.parametrize("pixels", [True, False])
def test_nul_padding_behind_the_data_set_is_mended(
    cleaner: Cleaner, wrap: Callable[[bytes], Buffer], padding: int, pixels: bool
) -> None:
    whole = write([e for e in base() if pixels or e.tag >> 16 < 0x0028], "explicit")
    clean, mended = (cleaner.clean(wrap(whole + bytes(n)), EXPLICIT, frozenset()) for n in (0, padding))
    assert isinstance(clean, Kept) and isinstance(mended, Kept)
    assert b"".join(clean.parts) == b"".join(mended.parts)


@pytest.mark.parametrize(("syntax", "vr"), [("explicit", "OW"), ("explicit", "US"), ("implicit", "OW"), ("big", "OW")])
def test_look_up_tables_stay_words_or_numbers(cleaner: Cleaner, syntax: str, vr: str) -> None:
    """LUT Data is US or OW (PS3.3 C.11.1): an image without it cannot be shown."""
    lut = (Element(0x00283002, "US", bytes(6)), Element(0x00283006, vr, b"\1\2\3\4"))
    data = [*base(), Element(0x00283000, "SQ", (lut,))]
    assert kept(cleaner, data, syntax).ModalityLUTSequence[0][0x00283006].VM > 0
    result = cleaner.clean(write(data, syntax), SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept) and b"\1\2\3\4" in b"".join(result.parts)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280120, "SS", struct.pack("<h", -2000)),
        (0x00280106, "SS", struct.pack("<h", -1024)),
        (0x00281101, "SS", struct.pack("<3h", 256, -5, 16)),
        (0x00409216, "SS", struct.pack("<h", -1024)),
        (0x54001010, "OB", b"\x01\x02\x03\x04"),
        (0x00186020, "UL", struct.pack("<L", 8)),
    ],
)
def test_a_number_is_what_its_vr_says(cleaner: Cleaner, tag: int, vr: str, value: bytes) -> None:
    element = Element(tag, vr, value)
    inside = Element(0x00409096, "SQ", ((element,),))
    result = cleaner.clean(write(with_(base(), element, inside), "explicit"), EXPLICIT, frozenset())
    assert isinstance(result, Kept) and b"".join(result.parts).count(Layout().element(element)) == 2


def test_pixel_data_below_the_top_level_is_removed(cleaner: Cleaner) -> None:
    fragments = bytes.fromhex("feff00e002000000") + b"ab" + CLOSE
    item = bytes.fromhex("e07f1000") + b"OB\0\0\xff\xff\xff\xff" + fragments
    body = ITEM + len(item).to_bytes(4, "little") + item
    head = write([e for e in base() if e.tag < 0x00082218], "explicit")
    tail = write([e for e in base() if e.tag > 0x00082218], "explicit")
    result = cleaner.clean(head + sequence(body, len(body)) + tail, EXPLICIT, frozenset())
    assert isinstance(result, Kept)
    ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    assert list(ds.AnatomicRegionSequence[0].keys()) == [] and ds.PixelData


def test_pixel_data_cut_out_of_the_wrong_place_is_refused(cleaner: Cleaner) -> None:
    """A skim that is led astray finds pixel data which the walk does not: nothing is guessed."""
    stray = bytes.fromhex("feff0de000000000")
    data = stray + write(base(), "explicit")
    assert reason(cleaner.clean(bytearray(data), EXPLICIT, frozenset())) == (Outcome.REFUSED, "dataset.malformed")
    item = ITEM + (12).to_bytes(4, "little") + bytes.fromhex("e07f1000") + b"OB\0\0\0\0\0\0"
    opened = sequence(item, 20) + write(base(), "explicit")
    for data in (opened, opened[:-2]):
        result = cleaner.clean(bytearray(data), EXPLICIT, frozenset())
        assert type(result) is type(cleaner.clean(data, EXPLICIT, frozenset()))


@pytest.mark.parametrize(
    ("tag", "vr", "options"),
    [(0x00180060, "LO", ()), (0x00280030, "LO", ()), (0x00180088, "AE", ()), (0x00180022, "SH", ())]
    + [(0x00081167, "ST", ("retain-uids",)), (0x00081167, "LO", ("retain-uids",))]
    + [(0x00080021, "LO", ("retain-longitudinal-full-dates",)), (0x0008001A, "UT", ("retain-uids",))],
)
@pytest.mark.parametrize("nested", [False, True])
def test_words_in_the_place_of_a_number_a_code_or_a_uid_go(
    tag: int, vr: str, options: tuple[str, ...], nested: bool
) -> None:
    cleaner = make_cleaner(project="a", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)
    planted = Element(tag, vr, b"Qzxwords Xqjk")
    elements = with_(base(), Element(0x00082218, "SQ", ((planted,),)) if nested else planted)
    result = cleaner.clean(write(elements, "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Kept) and b"Qzxwords" not in b"".join(result.parts)
