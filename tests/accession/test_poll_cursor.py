"""What moves the cursor of a poll, on three real databases, where the column is no time of theirs."""

from __future__ import annotations

import pytest

from tests.accession.conftest import Begin, Hospital


@pytest.mark.catalogue("R3")
@pytest.mark.parametrize("column", ["varchar(8)", "integer"])
def test_an_appointment_moves_no_cursor_that_is_the_day(hospital: Hospital, begin: Begin, column: str) -> None:
    hospital.build(column)
    hospital.add("SYN1", at="20260504")
    hospital.add("SYN2", at="20281224")
    poll = begin(hospital.source())
    assert poll.run().new == 2
    hospital.add("SYN3", at="20260504")
    assert poll.run().new == 1


def test_a_cursor_may_be_whole_in_one_row_and_a_fraction_in_the_next(hospital: Hospital, begin: Begin) -> None:
    hospital.build("numeric(18, 3)")
    hospital.add("SYN1", at=10_000)
    hospital.add("SYN2", at=10_000.5)
    assert begin(hospital.source()).run().new == 2
