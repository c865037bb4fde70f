"""`requests add`: what of a file was not read, not understood or not taken is told, and never by a value."""

from __future__ import annotations

import time

from gateway.accession import csvfile
from gateway.accession.rows import DATES
from gateway.model import FoundSeries, Plan, PlannedSeries, Verdict
from gateway.run.commands.options import settings_for
from gateway.run.opening import open_state
from tests.run.command_line import Place, Told

SECRETS = ("SYNACC0001", "SYNACC0002", "SYNPATIENT7", "05/03/2024")


def says_nothing(*told: Told) -> bool:
    return not [secret for secret in SECRETS for one in told if secret.lower() in (one.out + one.err).lower()]


def add(place: Place, content: str, *words: str) -> Told:
    file = place.folder / "list.csv"
    file.write_text(content)
    return place.say("requests", "add", "--project", "chest", str(file), *words)


def test_a_column_in_another_spelling_adds_nothing(place: Place) -> None:
    told = add(place, "accession_number,PatientID,StudyDate\nSYNACC0001,SYNPATIENT7,20260503\n")
    assert told.code == 2
    assert "column 2 is patient_id, column 3 is study_date" in told.err
    assert says_nothing(told)


def test_columns_that_are_not_read_are_told_once(place: Place) -> None:
    content = "accession_number,study_date,SYNPATIENT7,modality,\nSYNACC0001,,x,,\nSYNACC0002,,x,,\n"
    told = add(place, content)
    assert told.code == 0
    assert told.err.startswith("2 columns are not read: 3, 5; known are accession_number, patient_id, study_date,")
    again = add(place, content, "--json")
    assert again.json["columns_not_read"] == [3, 5]
    assert says_nothing(told, again)


def test_a_date_that_is_not_understood_is_told_by_its_line(place: Place) -> None:
    content = "accession_number,study_date\nSYNACC0001,2026-05-03\nSYNACC0002,05/03/2024\n"
    told = add(place, content, "--json")
    assert told.code == 1
    assert (told.json["new"], told.json["lines"]) == (1, [{"line": 3, "reason": "csv.study-date"}])
    told = add(place, content)
    assert "csv.study-date" in told.out
    assert "a study_date is understood as: 20260503, 2026-05-03, 2026/05/03, 3.5.2026" in told.err
    assert says_nothing(told)
    assert place.say("explain", "SYNACC0002", "--json").json["set_aside"][0]["reason"] == "csv.study-date"
    assert add(place, content.replace("05/03/2024", "2024-05-03")).code == 0
    mended = place.say("explain", "SYNACC0002", "--json")
    assert (mended.code, mended.json["set_aside"]) == (0, [])


def test_a_number_of_two_patients_is_added_when_the_list_is_mended(place: Place) -> None:
    content = "accession_number,patient_id\nSYNACC0001,SYNPATIENT7\nSYNACC0002,\nSYNACC0001,SYNPATIENT8\n"
    told = add(place, content)
    assert told.code == 1
    assert "1 new, 0 known already, 0 repeated, 0 of withdrawn patients, 2 set aside" in told.out
    assert "csv.contradicted: lines of one number name two patients or two days; leave the right one" in told.err
    assert says_nothing(told)
    assert place.say("explain", "SYNACC0001", "--json").json["set_aside"][0]["reason"] == "csv.contradicted"
    assert add(place, content.replace("SYNPATIENT8", "SYNPATIENT7")).code == 0
    mended = place.say("explain", "SYNACC0001", "--json")
    assert (mended.code, mended.json["set_aside"]) == (0, [])


def test_a_bad_line_of_a_number_that_is_a_request_is_told_and_no_failure(place: Place) -> None:
    add(place, "accession_number\nSYNACC0001\n")
    add(place, "accession_number,study_date\nSYNACC0001,2024-05-03\nSYNACC0001,2024-05-09\n")
    told = place.say("explain", "SYNACC0001", "--json")
    assert (told.code, len(told.json["requests"]), len(told.json["set_aside"])) == (0, 1, 1)


def test_facts_that_a_request_lacks_are_told_to_it(place: Place) -> None:
    add(place, "accession_number\nSYNACC0001\nSYNACC0002\n")
    told = add(place, "accession_number,patient_id\nSYNACC0001,SYNPATIENT7\nSYNACC0002,\nSYNACC0003,SYNPATIENT7\n")
    assert told.code == 0
    assert "1 new, 2 known already, 0 repeated" in told.out
    assert "requests changed by what the file says: 1" in told.out
    state = open_state(settings_for(place.config))
    try:
        claims = state.store.claim_requests(projects=["chest"], limit=9, lease=60, now=time.time() + 1)
    finally:
        state.close()
    told_of = {claim.accession.value: claim.patient_id for claim in claims}
    assert told_of == {"SYNACC0001": "SYNPATIENT7", "SYNACC0002": "", "SYNACC0003": "SYNPATIENT7"}


def test_rows_of_withdrawn_patients_are_counted(place: Place) -> None:
    place.say("migrate")
    told = place.say("withdraw", "--project", "chest", "--patient-id", "SYNPATIENT7", "--reason", "x")
    assert told.code == 0, told.err
    content = "accession_number,patient_id\nSYNACC0001,SYNPATIENT7\nSYNACC0002,SYNPATIENT7\nSYNACC0003,\n"
    told = add(place, content)
    assert told.code == 1
    assert "1 new, 0 known already, 0 repeated, 2 of withdrawn patients, 0 set aside" in told.out
    again = add(place, content, "--json")
    assert again.code == 1
    assert (again.json["known"], again.json["withdrawn"], again.json["set_aside"]) == (1, 2, 0)
    assert says_nothing(told, again)


def test_the_help_of_add_names_columns_and_dates(place: Place) -> None:
    told = " ".join(place.raw("requests", "add", "--help").out.split())
    for word in (*csvfile.KNOWN, *DATES.split(", ")):
        assert word in told, word


def test_what_is_done_is_asked_for_again_when_the_rules_have_changed(place: Place) -> None:
    content = "accession_number\nSYNACC0001\nSYNACC0002\n"
    add(place, content)
    state = open_state(settings_for(place.config))
    (claim, *_) = state.store.claim_requests(projects=["chest"], limit=2, lease=60, now=time.time())
    one = FoundSeries("1.2.826.0.1", "1.2.826.0.1.1", {"Modality": "CT"}, 3)
    left_out = PlannedSeries("main", one, Verdict(False, "select.series"))
    assert state.store.settle_found(claim, Plan((left_out,), studies=1), now=time.time())
    state.close()
    assert "again" not in add(place, content, "--json").json, "not by itself"
    told = add(place, content, "--again")
    assert "requests that were done and are asked for again: 1" in told.out
    assert add(place, content, "--again", "--json").json["again"] == 0
    assert says_nothing(told)
    assert place.say("requests", "list", "--state", "done", "--json").json == []
