"""`requests add`: files as spreadsheets write them, and every bad line named by its number alone."""

from __future__ import annotations

import io

import pytest

from gateway.accession.csvfile import BadLine, read
from gateway.errors import Refused
from gateway.model import SetAside


def accessions(content: str | bytes) -> list[str]:
    file = io.BytesIO(content) if isinstance(content, bytes) else io.StringIO(content)
    return [one.accession.value for one in read("chest", file).wanted]


@pytest.mark.parametrize(
    "content",
    [
        "accession_number\nA1\nA2\n",
        "accession_number\r\nA1\r\nA2",
        "\ufeffaccession_number\nA1\nA2\n",
        "accession_number\nA1\nA2\n".encode("utf-8-sig"),
        "accession_number\tpatient_id\nA1\tP1\nA2\tP2\n".encode("utf-16"),
        " Accession_Number ;patient_id\nA1;P1\n\n;\nA2;P2\n",
        "patient_id,accession_number,study_date\nP1,A1,2026-05-03\nP2, A2 ,\n",
        'patient_id,accession_number\n"Last, First",A1\n"two\nlines",A2\n',
        "accession_number,extra\nA1,x\nA2\n",
        'accession_number;"Name, first name, title"\nA1;x\nA2;y\n',
        "\n;;\n\naccession_number;patient_id\nA1;\nA2;\n",
        "sep=;\r\naccession_number;patient_id\r\nA1;\r\nA2;\r\n",
        "\ufeff\u200baccession_number\u00a0\nA1\nA2\n",
        'accession_number,patient_id\n="A1",x\n"=""A2""",y\n',
    ],
)
def test_what_a_spreadsheet_writes(content: str | bytes) -> None:
    assert accessions(content) == ["A1", "A2"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_what_is_no_utf_8_is_said_to_be_none(encoding: str) -> None:
    with pytest.raises(Refused, match="save it as CSV UTF-8"):
        accessions("accession_number\nA1\n".encode(encoding))


def test_a_quotation_mark_is_told_where_it_stands_not_where_the_file_ends() -> None:
    with pytest.raises(Refused, match="line 3:"):
        accessions('accession_number,x\nA1,a\nA2,"b\nA3,c\nA4,d\n')


def test_leading_zeros_that_a_spreadsheet_was_told_to_leave() -> None:
    (one,) = read("chest", io.StringIO('accession_number;patient_id\n="00123";="0042"\n')).wanted
    assert (one.accession.value, one.patient_id) == ("00123", "0042")


def test_optional_columns() -> None:
    text = "accession_number;patient_id;study_date;modality\nA1; P1 ;03.05.2026;ct\n"
    (one,) = read("chest", io.StringIO(text)).wanted
    assert (one.project, one.patient_id, one.study_date, one.modality) == ("chest", "P1", "20260503", "CT")


def test_columns_that_are_not_read_are_told_by_their_place() -> None:
    text = "accession_number,study_date,SYNPATIENT7,modality,\nA1,,x,,\n"
    found = read("chest", io.StringIO(text))
    assert found.unread == (3, 5)
    assert "SYNPATIENT7" not in repr(found)
    assert read("chest", io.StringIO("accession_number,patient_id\n")).unread == ()


@pytest.mark.parametrize("day", ["05/03/2024", "3/5/24", "31.02.2024", "0000-00-00", "SYN"])
def test_a_date_that_is_not_understood_sets_its_line_aside(day: str) -> None:
    found = read("chest", io.StringIO(f"accession_number,study_date\nA1,20240305\nA2,{day}\nA3, \nA4\n"))
    assert [one.accession.value for one in found.wanted] == ["A1", "A3", "A4"]
    assert found.bad == (BadLine(3, SetAside("chest", "A2", "csv.study-date")),)


def test_bad_lines_are_set_aside_by_number_and_the_others_go_on() -> None:
    text = "accession_number,patient_id\nA1,P1\n,P2\nA*,P3\nA2,P4,too,many\n1.2E+09,P5\nA3,P6\n"
    found = read("chest", io.StringIO(text))
    assert [one.accession.value for one in found.wanted] == ["A1", "A3"]
    assert [(bad.line, bad.row.reason) for bad in found.bad] == [
        (3, "accession.blank"),
        (4, "accession.wildcard"),
        (5, "csv.columns"),
        (6, "accession.not-text"),
    ]
    assert found.bad[1] == BadLine(4, SetAside("chest", "A*", "accession.wildcard"))
    assert found.aside == tuple(bad.row for bad in found.bad)
    assert "A*" not in repr(found)
    assert "A1" not in repr(found)


def test_line_numbers_count_lines_of_the_file() -> None:
    text = 'accession_number,patient_id\nA1,"two\nlines"\n\n*,P\n'
    assert [bad.line for bad in read("chest", io.StringIO(text)).bad] == [5]


def test_repeated_numbers_collapse_and_are_counted() -> None:
    found = read("chest", io.StringIO("accession_number\nA1\nA1 \nA2\n"))
    assert (len(found.wanted), found.repeated) == (2, 1)


def test_lines_of_one_number_say_together_what_is_known() -> None:
    text = "accession_number,patient_id,study_date,modality\nA1,,,MG\nA1,P1,,US\nA1,,2024-05-03,\n"
    found = read("chest", io.StringIO(text))
    (one,) = found.wanted
    assert (one.patient_id, one.study_date, one.modality) == ("P1", "20240503", "MG")
    assert (found.repeated, found.bad) == (2, ())


@pytest.mark.parametrize("other", ["P2,20240503", "P1,20240504"])
def test_lines_of_one_number_that_contradict_are_all_set_aside(other: str) -> None:
    text = f"accession_number,patient_id,study_date\nA1,P1,20240503\n*,,\nA1,{other}\nA2,P1,20240503\n"
    found = read("chest", io.StringIO(text))
    assert [one.accession.value for one in found.wanted] == ["A2"]
    aside = SetAside("chest", "A1", "csv.contradicted")
    assert found.bad == (BadLine(2, aside), BadLine(3, SetAside("chest", "*", "accession.wildcard")), BadLine(4, aside))
    assert found.repeated == 0


def test_the_same_number_of_two_issuers_is_two_examinations() -> None:
    text = "accession_number,patient_id,accession_issuer\nA1,P1,EAST\nA1,P2,WEST\n"
    assert len(read("chest", io.StringIO(text)).wanted) == 2


def test_only_a_header_is_an_empty_list() -> None:
    assert accessions("accession_number\n") == []


@pytest.mark.parametrize(
    ("content", "reason", "mend"),
    [
        ("", "csv.empty", "its first line must name the columns"),
        ("SYN1001\nSYN1002\n", "csv.header", "put a line `accession_number` above the numbers"),
        ("SYN1001,P1\n", "csv.header", "no column accession_number"),
        ("Accession;PatientID\nSYN1001;P1\n", "csv.header", "no column accession_number"),
        ("accession_number,PatientID\nSYN1001,P1\n", "csv.header", "column 2 is patient_id in another spelling"),
        ("AccessionNumber\nSYN1001\n", "csv.header", "column 1 is accession_number in another spelling"),
        (
            "accession_number;x;Study Date;PATIENTID;accession-issuer\nSYN1001;;;;\n",
            "csv.header",
            "column 3 is study_date, column 4 is patient_id, column 5 is accession_issuer in another spelling",
        ),
        ("patient_id,accession_number,Patient_ID\nP1,SYN1001,\n", "csv.header", "patient_id stands twice"),
        ("accession_number\nSYN\xe41001\n".encode("latin-1"), "csv.encoding", "save it as CSV UTF-8"),
        ('accession_number\n"SYN1001"x\n', "csv.quoting", "line 2"),
        ('accession_number\n"SYN1001\n', "csv.quoting", "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_do(content: str | bytes, reason: str, mend: str) -> None:
    with pytest.raises(Refused) as caught:
        accessions(content)
    assert caught.value.reason == reason
    assert mend in caught.value.detail
    assert "SYN" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # no traceback leads to the text
