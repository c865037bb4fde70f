"""R12: merged patients are one, by a list of the site's own; a list that does not say who is who joins nobody."""

from __future__ import annotations

import pytest

from gateway.deidentify.aliases import as_encoded, read_aliases
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.errors import BadConfiguration

KEY = bytes(range(32))
HEAD = b"patient_id,survivor\n"


def test_each_is_whom_it_is_in_the_end() -> None:
    assert read_aliases("f", HEAD + b"A,B\nB,C\n\nX ; Y,Z\n") == {"A": "C", "B": "C", "X ; Y": "Z"}
    assert read_aliases("f", "\ufeffPatient_ID;Survivor;by\nM\u00fcller;B;x\n".encode()) == {"M\u00fcller": "B"}
    assert read_aliases("f", HEAD) == {}


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"", 1, "column names"), (b"a,b\nSECRET,B\n", 1, "column names"), (HEAD + b"SECRET,B\nSECRET,C\n", 3, "survives as two"),
        (HEAD + b"SECRET,B\nB,SECRET\n", 0, "circle"), (HEAD + b"SECRET,SECRET\n", 0, "circle"),
        (HEAD + b"SECRET,\n", 2, "no legal"),
        (HEAD + b"SECRET\\X,B\n", 2, "no legal"), (HEAD + b'SECRET,"B\n', 2, "quotes"), (b"\xff\xfe", 1, "UTF-8"),
    ],
)  # fmt: skip
def test_what_does_not_say_who_is_who(content: bytes, line: int, found: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        read_aliases("merged.csv", content)
    (mistake, *_) = caught.value.mistakes
    assert (mistake.line, found in mistake.found) == (line, True), mistake.found
    assert "SECRET" not in str(caught.value)


@pytest.mark.catalogue("R12")
def test_r12_the_pseudonym_follows_the_survivor() -> None:
    plain = Pseudonyms(KEY, "{pseudonym}")
    made = Pseudonyms(KEY, "{pseudonym}", None, as_encoded({"OLD-1": "NEW-1", "Alt\u00fc": "N\u00fc"}))
    assert made.patient_id(b"OLD-1 ", b"1.1") == made.patient_id(b"NEW-1", b"1.2") == plain.patient_id(b"NEW-1", b"")
    assert made.days(b"OLD-1", b"1.1") == made.days(b"NEW-1", b"1.2")
    assert made.patient_id(b"OTHER", b"1.1") == plain.patient_id(b"OTHER", b"1.1") != made.patient_id(b"OLD-1", b"1.1")
    for code in ("utf-8", "latin-1"):
        assert made.patient_id("Alt\u00fc".encode(code), b"1.1") == plain.patient_id("N\u00fc".encode(code), b"")
    listed = Pseudonyms(KEY, "{pseudonym}", {b"NEW-1": b"S001"}, as_encoded({"OLD-1": "NEW-1"}))
    assert listed.knows(b"OLD-1") and listed.patient_id(b"OLD-1", b"1.1") == b"S001"
