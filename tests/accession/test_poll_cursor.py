"""What moves the cursor of a poll, on three real databases, where the column is no time of theirs."""

from __future__ import annotations

from tests.accession.conftest import Begin, Hospital


def test_a_cursor_may_be_whole_in_one_row_and_a_fraction_in_the_next(hospital: Hospital, begin: Begin) -> None:
    hospital.build("numeric(18, 3)")
    hospital.add("SYN1", at=10_000)
    hospital.add("SYN2", at=10_000.5)
    assert begin(hospital.source()).run().new == 2
