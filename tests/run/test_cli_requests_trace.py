"""`requests trace`: what became of each line of a list, without a number in what is told."""

from __future__ import annotations

import csv
import io
import sqlite3

from tests.run.command_line import Place, Told

LIST = """accession_number,study_date,note
SYNACC0001,,SYNPATIENT7
SYNACC0002,,

SYNACC0003,05/03/2024,
,,x
SYNACC0001 ,,
SYNACC0009,,
"""
SECRETS = ("SYNACC", "SYNPATIENT7")


def trace(place: Place, content: str, *words: str) -> Told:
    file = place.folder / "list.csv"
    file.write_text(content)
    told = place.say("requests", "trace", str(file), *words)
    assert not [secret for secret in SECRETS if secret in told.out + told.err]
    return told


def filled(place: Place) -> None:
    """The first two are known, one of them failed; the third is set aside."""
    file = place.folder / "list.csv"
    file.write_text(LIST.replace("SYNACC0009,,\n", ""))
    place.say("requests", "add", "--project", "chest", str(file))
    with sqlite3.connect(place.folder / "state" / "state.sqlite") as state:
        state.execute("update request set state = 'failed', reason = 'pacs.unable' where id = 2")
    state.close()


def test_each_line_is_told_by_its_number(place: Place) -> None:
    filled(place)
    told = trace(place, LIST, "--json")
    assert told.code == 1
    assert [(row["line"], row["project"], row["state"], row["reason"]) for row in told.json] == [
        (2, "chest", "new", ""),
        (3, "chest", "failed", "pacs.unable"),
        (5, "chest", "set aside", "csv.study-date"),
        (6, "chest", "set aside", "accession.blank"),
        (7, "chest", "new", ""),
        (8, "", "unknown", ""),
    ]
    assert told.json[0]["key"] == told.json[4]["key"] != ""


def test_a_line_of_csv_for_each_line_of_the_list(place: Place) -> None:
    filled(place)
    told = trace(place, LIST, "--csv")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [(row["line"], row["state"]) for row in rows][:2] == [("2", "new"), ("3", "failed")]
    assert len(rows) == 6


def test_the_summary_counts_lines(place: Place) -> None:
    filled(place)
    told = trace(place, LIST)
    cells = [line.replace("│", " ").split() for line in told.out.splitlines()]
    assert ["chest", "new", "2"] in cells
    assert ["chest", "failed", "pacs.unable", "1"] in cells
    assert ["unknown", "1"] in cells
    assert "series: none" in told.out


def test_all_well_is_0_and_another_project_knows_nothing(place: Place) -> None:
    filled(place)
    assert trace(place, "accession_number\nSYNACC0001\n").code == 0
    told = place.say("requests", "trace", str(place.folder / "list.csv"), "--project", "nosuch")
    assert told.code == 2
    assert "no project of that name" in told.err


def test_a_long_list_is_told_whole_and_in_order(place: Place) -> None:
    numbers = [f"SYNACC{n:06}" for n in range(1700)]
    file = place.folder / "list.csv"
    file.write_text("\n".join(["accession_number", *numbers[::2]]))
    assert place.say("requests", "add", "--project", "chest", str(file)).code == 0
    told = trace(place, "\n".join(["accession_number", *numbers]), "--json")
    assert [row["line"] for row in told.json] == list(range(2, 1702))
    assert [row["state"] for row in told.json] == ["new", "unknown"] * 850


def test_a_number_of_two_issuers(place: Place) -> None:
    content = "accession_number,accession_issuer\nSYNACC0001,EAST\nSYNACC0001,WEST\n"
    file = place.folder / "list.csv"
    file.write_text(content)
    assert place.say("requests", "add", "--project", "chest", str(file)).code == 0
    east, west = trace(place, content, "--json").json
    assert east["key"] != west["key"]
    bare = trace(place, "accession_number\nSYNACC0001\n", "--json").json
    assert {row["key"] for row in bare} == {east["key"], west["key"]}


def test_a_line_without_a_number_is_told_by_its_own_reason(place: Place) -> None:
    """All of them are alike to the state, and so are rows of the RIS that have none."""
    content = "accession_number,note\n,SYNPATIENT7\nSYNACC0001,x,SYNPATIENT7\n"
    file = place.folder / "list.csv"
    file.write_text(content)
    place.say("requests", "add", "--project", "chest", str(file))
    told = trace(place, content, "--json")
    assert [(row["line"], row["reason"]) for row in told.json] == [(2, "accession.blank"), (3, "csv.columns")]


def test_two_forms_at_once_are_refused(place: Place) -> None:
    assert trace(place, LIST, "--csv", "--json").code == 2


def test_a_file_that_is_no_list_is_refused(place: Place) -> None:
    told = trace(place, "SYNACC0001\n")
    assert told.code == 2
    assert "the first line names no column" in told.err
