"""Empty documents, colour profiles without words, and the forms that a kept value must have."""

from __future__ import annotations

import re
import struct

import pytest

from gateway.deidentify.documents import EMPTY_STL, EMPTY_XML, NOTHING, empty_document
from gateway.deidentify.forms import FORMS, is_legal
from gateway.deidentify.icc import clean_icc


def test_an_empty_pdf_is_one_that_readers_accept() -> None:
    """ISO 32000-1 7.5.4 and 7.5.5: every offset of the table points to its object, the last number to the table."""
    pdf = empty_document(b"%PDF-1.7\nwords of a report")
    assert b"words" not in pdf
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf), 1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj" % number)
    (start,) = re.findall(rb"startxref\n(\d+)\n", pdf)
    assert pdf[int(start) :].startswith(b"xref\n")


BINARY_STL = b"name of a patient".ljust(80) + struct.pack("<I", 1) + bytes(50)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'\xef\xbb\xbf<?xml version="1.0"?><ClinicalDocument><name>x</name></ClinicalDocument>', EMPTY_XML),
        (b"<ClinicalDocument/>", EMPTY_XML),
        (b"solid name\nendsolid", EMPTY_STL),
        (BINARY_STL, EMPTY_STL),
        (BINARY_STL + b"\0", EMPTY_STL),
        (b"newmtl name", NOTHING),
        (b"", NOTHING),
    ],
)
def test_a_document_of_the_same_kind_that_says_nothing(raw: bytes, expected: bytes) -> None:
    assert empty_document(raw) == expected


# ---- ICC profiles (ICC.1:2022 7.2, 7.3)

COLOUR = b"XYZ \0\0\0\0" + struct.pack(">3i", 63189, 65536, 54061)
MLUC = b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, 24, 28) + "Quastenberg...".encode("utf-16-be")


def profile(*tags: tuple[bytes, bytes]) -> bytes:
    at, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags:
        table += struct.pack(">4sII", name, at + len(data), len(value))
        data += value
    head = bytearray(128)
    head[0:4] = struct.pack(">I", at + len(data))
    head[36:40] = b"acsp"
    head[48:56] = b"QUASTDEV"
    return bytes(head) + struct.pack(">I", len(tags)) + table + data


def test_colours_stay_and_words_go() -> None:
    raw = profile((b"wtpt", COLOUR), (b"desc", MLUC), (b"cprt", MLUC), (b"dmnd", MLUC))
    clean = clean_icc(raw)
    assert len(clean) == len(raw) + (len(raw) & 1) and COLOUR in clean
    assert "Quast".encode("utf-16-be") not in clean and b"QUASTDEV" not in clean
    assert clean_icc(clean) == clean


@pytest.mark.parametrize("raw", [b"", b"Quastenberg", profile((b"wtpt", COLOUR))[:140], b"\xff" * 200])
def test_what_is_no_profile_becomes_empty(raw: bytes) -> None:
    assert clean_icc(raw) == b""


def test_bytes_between_the_elements_go() -> None:
    raw = bytearray(profile((b"wtpt", COLOUR), (b"pad ", b"text\0\0\0\0Quastenberg ")))
    raw[132 + 12 : 132 + 16] = b"zzzz"  # a name that nobody registered
    assert b"Quast" not in clean_icc(bytes(raw))


# ---- forms (PS3.5 6.2)


@pytest.mark.parametrize(
    ("vr", "raw", "legal"),
    [
        (b"CS", b"ORIGINAL\\PRIMARY", True), (b"CS", b"Quasten", False), (b"CS", b"A B_9 ", True), (b"CS", b"A-B", False),
        (b"DS", b"1.5\\-2e-3\\ 7 ", True), (b"DS", b"1.5kg", False), (b"DS", b"1.2.3", False), (b"DS", b"", True),
        (b"IS", b"12\\-7", True), (b"IS", b"1.5", True), (b"IS", b"1.5.7", False), (b"IS", b"1234567890123", False),
        (b"AS", b"034Y", True), (b"AS", b"34Y", False), (b"US", b"\1\0", True), (b"US", b"\1\0\2", False),
        (b"UI", b"1.2.840.10008.1.2\0", True), (b"UI", b"Quasten", False), (b"UI", b"1." * 33, False),
        (b"DA", b"20240317", True), (b"DA", b"2024.03.17", True), (b"DA", b"17 March", False), (b"DA", b"", True),
        (b"TM", b"235959.123456", True), (b"TM", b"23:59", True), (b"TM", b"late", False),
        (b"DT", b"20240317235959.5+0100", True), (b"DT", b"2024", True), (b"DT", b"yesterday", False),
        (b"FD", b"Quasten!", True), (b"FD", b"Quasten", False), (b"LO", b"anything", True),
    ],
)  # fmt: skip
def test_forms(vr: bytes, raw: bytes, legal: bool) -> None:
    assert is_legal(vr, raw) is legal


@pytest.mark.parametrize("vr", list(FORMS))
@pytest.mark.parametrize("filler", [b" ", b"1", b"A", b"\\", b"1\\", b"0 "])
def test_forms_never_try_twice(vr: bytes, filler: bytes) -> None:
    """A pattern that backtracks would take hours here, not the test's seconds."""
    assert not is_legal(vr, filler * 20_000 + b"!")
