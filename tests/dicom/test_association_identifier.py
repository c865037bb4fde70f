"""Identifiers: nothing a PACS sends raises or warns, and nothing is converted that was not asked for."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from gateway.dicom.identifier import askable, identifier, integer, nested, text, value
from gateway.dicom.quiet import silence


def received(raw: bytes) -> Dataset:
    """As pynetdicom hands it over: implicit VR little endian, nothing converted yet. pydicom warns while it reads."""
    silence()
    return decode(BytesIO(raw), True, True)


def element(group: int, number: int, raw: bytes) -> bytes:
    return group.to_bytes(2, "little") + number.to_bytes(2, "little") + len(raw).to_bytes(4, "little") + raw


@pytest.mark.catalogue("F3")
def test_question_is_encoded_as_it_was_meant_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = identifier("STUDY", {"AccessionNumber": "A" * 40}, frozenset({"StudyDate", "NumberOfStudyRelatedSeries"}))
        raw = encode(ds, True, True)
    back = received(raw or b"")
    assert text(back, "AccessionNumber") == "A" * 40
    assert {e.keyword for e in ds} == {
        "QueryRetrieveLevel", "AccessionNumber", "StudyDate", "NumberOfStudyRelatedSeries",
    }  # fmt: skip
    assert value(back, "StudyDate") is None


@pytest.mark.catalogue("F11")
def test_character_set_is_named_only_where_it_is_needed() -> None:
    assert "SpecificCharacterSet" not in identifier("STUDY", {"AccessionNumber": "A1"})
    ds = identifier("STUDY", {"AccessionNumber": "Ä1"})
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert "Ä1".encode() in (encode(ds, True, True) or b"")


def test_unknown_keyword_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no DICOM keyword"):
        identifier("STUDY", {"NoSuchKeyword": "1"})
    assert not askable("NoSuchKeyword")
    assert not askable("ProcedureCodeSequence")
    assert askable("SeriesDescription")


@pytest.mark.catalogue("F11")
@pytest.mark.parametrize(
    ("charset", "raw", "expected"),
    [
        (b"ISO_IR 100", "Schädel".encode("latin-1"), "Schädel"),
        (b"ISO_IR 192", "Schädel".encode(), "Schädel"),
        (b"", "Schädel".encode(), "Schädel"),
        (b"ISO_IR 100", "Schädel".encode(), "Schädel"),
        (b"", "Schädel".encode("latin-1"), "Schädel"),
        (b"ISO_IR 99", "Schädel".encode("latin-1"), "Schädel"),
        (b"\\ISO 2022 IR 87", "頭部".encode("iso2022_jp"), "頭部"),
        (b"ISO_IR 144", "Голова".encode("iso8859_5"), "Голова"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\x1b$BF,It\x1b(J CT", "頭部 CT"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 87", b"Sch\xe4del \x1b$BF,It\x1b(B", "Schädel 頭部"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xb5\xce\xba\xce CT", "두부 CT"),
        (b"\\ISO 2022 IR 58", b"\x1b$)A\xcd\xb7\xb2\xbf CT", "头部 CT"),
        (b"", b"\x1b$)C\xb5\xce\xba\xce CT", "두부 CT"),
    ],
)
def test_text_in_any_character_set(charset: bytes, raw: bytes, expected: str) -> None:
    """F11: Orthanc answers ISO_IR 100 whatever is asked, dcmqrscp omits the tag, unknown terms must not raise."""
    row = received((element(8, 5, charset) if charset else b"") + element(8, 0x103E, raw + b" "))
    assert text(row, "SeriesDescription") == expected


@pytest.mark.catalogue("F12")
def test_illegal_values_are_none_and_harm_nothing_else() -> None:
    """F12: StudyDate 20143822, StudyTime 1113.672, a bad IS."""
    row = received(
        element(8, 0x20, b"20143822") + element(8, 0x30, b"1113.672") + element(0x20, 0xD, b"1.2.3\0")
        + element(0x20, 0x11, b"twelve") + element(0x20, 0x1209, b"1e999 ") + element(0x28, 0x10, b"\1\2\3")
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value(row, "StudyDate") == "20143822"
        assert value(row, "StudyTime") == "1113.672"
        assert text(row, "StudyInstanceUID") == "1.2.3"
        assert value(row, "SeriesNumber") is None
        assert integer(row, "NumberOfSeriesRelatedInstances") is None
        assert value(row, "Rows") == 513.0
        assert value(row, "SeriesDescription") is None
        assert value(row, "NoSuchKeyword") is None


def explicit(group: int, number: int, vr: bytes, raw: bytes) -> bytes:
    """An element in Explicit VR Little Endian; of a sequence with its long length."""
    length = struct.pack("<HI", 0, len(raw)) if vr == b"SQ" else struct.pack("<H", len(raw))
    return struct.pack("<HH", group, number) + vr + length + raw


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize("vr", [b"ZZ", b"\0\0"])
def test_an_empty_element_of_an_unknown_vr_is_empty(vr: bytes) -> None:
    row = decode(BytesIO(explicit(8, 0x50, b"SH", b"A1") + explicit(0x20, 0xD, vr, b"")), False, True)
    assert (text(row, "StudyInstanceUID"), value(row, "StudyInstanceUID")) == ("", None)
    assert text(row, "AccessionNumber") == "A1"


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize(
    ("vr", "raw"),
    [(b"SQ", b"\1\2\3\4\5\6\7\10\11"), (b"SQ", b"\xfe\xff\0\xe0\x40\0\0\0"), (b"FD", b"\1\2\3"), (b"ZZ", b"")],
)
def test_a_sequence_that_is_none_says_nothing(vr: bytes, raw: bytes) -> None:
    row = decode(BytesIO(explicit(8, 0x51, vr, raw)), False, True)
    assert nested(row, "IssuerOfAccessionNumberSequence", "LocalNamespaceEntityID") == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"12", 12),
        (b" 12 ", 12),
        (b"0", 0),
        (b"2147483647", 2147483647),
        (b"2147483648", None),
        (b"99999999999999999999", None),
        (b"-1", None),
        (b"1.5", None),
        (b"nan ", None),
        (b"1_0", None),
        (b"", None),
    ],
)
def test_whole_numbers(raw: bytes, expected: int | None) -> None:
    assert integer(received(element(0x20, 0x1209, raw)), "NumberOfSeriesRelatedInstances") == expected


def test_several_values_are_a_list_only_where_the_dictionary_allows_them() -> None:
    row = received(element(8, 8, b"ORIGINAL\\PRIMARY\\\\ ") + element(8, 0x103E, b"a\\b "))
    assert value(row, "ImageType") == ["ORIGINAL", "PRIMARY"]
    assert value(row, "SeriesDescription") == "a\\b"


def test_values_that_pydicom_converted_already() -> None:
    row = Dataset()
    row.ModalitiesInStudy, row.Rows, row.SeriesNumber = ["CT", "SR"], 512, "3"
    assert value(row, "ModalitiesInStudy") == ["CT", "SR"]
    assert value(row, "Rows") == 512.0
    assert value(row, "SeriesNumber") == 3.0
