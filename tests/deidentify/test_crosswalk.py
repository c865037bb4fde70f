"""A crosswalk that is not one to one, or not legal, is refused with the line, and without a value."""

from __future__ import annotations

import pytest

from gateway.deidentify.crosswalk import MOST_TOLD, read_crosswalk
from gateway.errors import BadConfiguration, Mistake

HEAD = "patient_id,pseudonym\n"


def mistakes(content: str | bytes) -> tuple[Mistake, ...]:
    raw = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(BadConfiguration) as caught:
        read_crosswalk("/etc/x.csv", raw)
    assert all(m.file == "/etc/x.csv" for m in caught.value.mistakes)
    return caught.value.mistakes


@pytest.mark.parametrize(
    "content",
    [
        "patient_id,pseudonym\nPX-1,S001\nPX-2,S002\n",
        "\ufeffpatient_id,pseudonym\r\nPX-1,S001\r\nPX-2,S002",
        " Patient_ID ;Pseudonym\nPX-1; S001 \n\n ; \nPX-2;S002\n",
        'pseudonym\tnote\tpatient_id\nS001\t"a\nb"\tPX-1\nS002\t\tPX-2\n',
        'patient_id,pseudonym\n"PX-1","S001"\nPX-2,S002\n',
    ],
)
def test_what_is_read(content: str) -> None:
    assert read_crosswalk("x", content.encode()) == {b"PX-1": b"S001", b"PX-2": b"S002"}


def test_a_list_without_patients_is_one() -> None:
    assert read_crosswalk("x", HEAD.encode()) == {}


def test_a_patient_id_is_found_in_the_usual_character_sets() -> None:
    read = read_crosswalk("x", (HEAD + "MÜ-1,S1\nИВ-2,S2\n").encode())
    assert read == {"MÜ-1".encode(): b"S1", "MÜ-1".encode("latin-1"): b"S1", "ИВ-2".encode(): b"S2"}


def test_leading_zeros_tell_patients_apart() -> None:
    assert read_crosswalk("x", (HEAD + "0012,S1\n12,S2\n").encode()) == {b"0012": b"S1", b"12": b"S2"}


@pytest.mark.parametrize(
    ("lines", "line", "column", "found"),
    [
        ("PX-1,S1\nPX-1,S2\n", 3, "patient_id", "the patient ID of line 2"),
        ("PX-1,S1\nPX-1,S1\n", 3, "patient_id", "the patient ID of line 2"),
        ("PX-1,S1\n\nPX-2,S1\n", 4, "pseudonym", "the pseudonym of line 2"),
        ("PX-1,S1\nPX-2,PX-1\n", 3, "pseudonym", "a patient ID of this file"),
        ("PX-1,PX-1\n", 2, "pseudonym", "a patient ID of this file"),
        (",S1\n", 2, "patient_id", "no legal patient ID"),
        ("PX\\1,S1\n", 2, "patient_id", "no legal patient ID"),
        ("P" * 65 + ",S1\n", 2, "patient_id", "no legal patient ID"),
        ("PX\t1,S1\n", 2, "patient_id", "no legal patient ID"),
        ("PX-1\n", 2, "pseudonym", "no legal pseudonym"),
        ("PX-1, \n", 2, "pseudonym", "no legal pseudonym"),
        ("PX-1,S\\1\n", 2, "pseudonym", "no legal pseudonym"),
        ("PX-1,Ü1\n", 2, "pseudonym", "no legal pseudonym"),
        (f"PX-1,{'S' * 65}\n", 2, "pseudonym", "no legal pseudonym"),
        ('PX-1,S1\nPX-2,"S2\n', 3, "crosswalk", "quotes that do not match, or a NUL"),
        ('"a\nb",S1\n', 3, "patient_id", "no legal patient ID"),
    ],
)
def test_one_mistake(lines: str, line: int, column: str, found: str) -> None:
    told = mistakes(HEAD + lines)
    assert [(m.line, m.where, m.found) for m in told if (m.where, m.found) == (column, found)] == [
        (line, column, found)
    ]
    text = "".join(str(m) for m in told)
    assert "PX-1" not in text and "PX-2" not in text and "S1" not in text


def test_the_longest_legal_values_are_taken() -> None:
    assert read_crosswalk("x", (HEAD + "P" * 64 + "," + "S" * 64).encode()) == {b"P" * 64: b"S" * 64}


@pytest.mark.parametrize(
    "head", ["", "PX-1,S1\n", "patient_id\n", "pseudonym,patient\n", "patient_id,pseudonym,patient_id\n"]
)
def test_the_column_names_are_needed(head: str) -> None:
    (told,) = mistakes(head + "PX-1,S1\n")
    assert told.line == 1 and told.found == "not the column names"


def test_another_encoding_is_told_with_its_line() -> None:
    (told,) = mistakes(HEAD.encode() + b"PX-1,S1\nM\xfc,S2\n")
    assert (told.line, told.found) == (3, "not UTF-8 text")


def test_a_file_that_is_wrong_throughout_is_told_of_in_short() -> None:
    told = mistakes(HEAD + "".join(f"PX-{n},same\n" for n in range(100)))
    assert len(told) == MOST_TOLD + 1 and told[0].line == 3 and told[-1].found == "79 more mistakes"
