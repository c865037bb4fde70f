"""R4, R6, R7: rows of one number that differ, as of an examination of two procedures, or from one poll to the next."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from sqlalchemy.engine import Connection

from gateway.state import listed
from tests.accession.listing import P, Ris


@pytest.mark.catalogue("R4", "R6")
@pytest.mark.parametrize("between", [0, 600], ids=["in one batch", "in two"])
def test_r4_rows_of_one_number_that_differ_change_nothing_by_their_order(ris: Ris, between: int) -> None:
    """Else what was not found is asked for at each poll, for ever: an examination of two procedures has two rows in many a view."""
    row = "insert into exam values ('A', 'SYN-PID-1', '2026-05-03', '{}', '2026-05-04 11:00:00')"
    ris.hospital.do(row.format("PT"))
    if between:
        ris.hospital.add(*(f"N{n}" for n in range(between)))
    ris.hospital.do(row.format("CT"))
    ris.poll()
    claims = ris.store.claim_requests(projects=[P], limit=700, lease=60, now=ris.now)
    for claim in claims:
        ris.store.settle_empty(claim, not_before=ris.now + 1e6, now=ris.now)
    poll = ris.made()
    for order in ("desc", "asc", "desc", "asc"):
        ris.hospital.do(
            "drop view research_view", f"create view research_view as select * from exam order by rowid {order}"
        )
        poll.run()
    events = ris.events("A")
    assert len(events) <= 3, "only the first of these polls cannot know, where their rows are far apart"
    assert ris.request("A").state == "empty" or between
    ris.hospital.do("update exam set patient_id = 'SYN-PID-9' where accession_number = 'A'")
    poll.run()
    assert ris.events("A")[-1] == ("again", "ris.changed"), "in what they agree they are believed"
    ris.hospital.do("delete from exam where accession_number = 'A' and modality = 'PT'")
    poll.run()
    poll.run()
    (claim,) = ris.store.claim_requests(projects=[P], limit=1, lease=60, now=ris.now)
    assert (claim.patient_id, claim.modality) == ("SYN-PID-9", "CT")


@pytest.mark.catalogue("R7")
def test_r7_a_number_that_is_cast_to_text_in_the_end_is_no_longer_set_aside(ris: Ris) -> None:
    ris.hospital.do(
        "create table raw (number integer, at text)", "insert into raw values (1234, '2026-05-04 11:00:00')"
    )
    for column, aside in (("number", {"accession.not-text": 1}), ("cast(number as text)", {})):
        query = f"select {column} as accession_number, at as changed_at from raw where at >= :since"
        replace(ris.made(), source=ris.hospital.source(query)).run()
        (sheet,) = ris.views.balances()
        assert dict(sheet.set_aside) == aside
    assert sheet.asked == 1 and ris.views.set_aside("1234") == []


def test_many_that_differ_are_told_in_pieces(ris: Ris, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told together at the end of the poll: one transaction for 40,000 that changed took half a minute."""
    for modality in ("PT", "CT"):
        for name in "ABCDE":
            ris.hospital.do(
                f"insert into exam values ('{name}', 'SYN-PID-1', '2026-05-03', '{modality}', '2026-05-04 11:00:00')"
            )
    poll = ris.made()
    poll.run()
    monkeypatch.setattr(listed, "AT_ONCE", 2)
    begun: list[int] = []
    write = ris.database.write

    def counted() -> AbstractContextManager[Connection]:
        begun.append(1)
        return write()

    monkeypatch.setattr(ris.database, "write", counted)
    poll.run()
    assert len(begun) == 1 + 3, "one for what is new"
