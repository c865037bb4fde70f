"""`reidentify` and `audit verify`: who asks is written down first, and nobody can take that back unseen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.run import caller
from tests.run.broker_site import ANNA, BERT, PROJECT, Site, audit, study, withdraw
from tests.support.dicomfiles import StudyFacts


def test_reidentify(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    told = site.place.say("reidentify", "--project", PROJECT, pseudonym, "--json")
    assert told.code == 0 and told.json["withdrawn"] is None
    (found,) = told.json["found"]
    assert found["patient_id"] == ANNA
    uids = {(anna.StudyInstanceUID, s.SeriesInstanceUID) for s in anna.series}
    assert {(s["StudyInstanceUID"], s["SeriesInstanceUID"]) for s in found["series"]} == uids
    assert ANNA in site.place.say("reidentify", "--project", PROJECT, pseudonym).out
    assert site.traces(facts=anna) == []  # the crosswalk is sealed
    line = audit(site)[0]
    told_of = {k: line[k] for k in ("event", "user", "project", "pseudonym", "outcome", "node")}
    assert told_of == {
        "event": "reidentified", "user": caller.user(), "project": PROJECT, "pseudonym": pseudonym, "outcome": "found",
        "node": "gw1",
    }  # fmt: skip


def test_an_id_beyond_ascii_is_shown_as_it_is_written(site: Site, tmp_path: Path) -> None:
    """Whose it is must be readable: the crosswalk has the bytes of the data set, here UTF-8."""
    patient = "SYNPÄD-Ž1"
    site.delivered(study(tmp_path, patient))
    (pseudonym,) = site.pseudonyms()
    told = site.place.say("reidentify", "--project", PROJECT, pseudonym, "--json")
    assert told.json["found"][0]["patient_id"] == patient
    assert f"patient ID: {patient}" in site.place.say("reidentify", "--project", PROJECT, pseudonym).out


def test_reidentify_of_nobody_and_of_who_was_withdrawn(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    assert site.place.say("reidentify", "--project", PROJECT, "Testperson11^Synthia").code == 1
    withdraw(site, "--pseudonym", pseudonym)
    told = site.place.say("reidentify", "--project", PROJECT, pseudonym, "--json")
    assert (told.code, told.json["found"]) == (1, []) and told.json["withdrawn"]
    assert "Testperson" not in (site.place.folder / "state" / "audit.jsonl").read_text()


def test_what_is_no_pseudonym_withdraws_nobody(site: Site) -> None:
    told = withdraw(site, "--pseudonym", "CHEST-TYPO")
    assert told.code == 1 and "withdraw.unknown" in told.err
    assert withdraw(site).code == withdraw(site, "--pseudonym", "CHEST-X", "--patient-id", "X").code == 2


def test_the_trail_is_verified(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    withdraw(site, "--patient-id", ANNA)
    told = site.place.say("audit", "verify", "--json")
    assert told.code == 0 and told.json["faults"] == [] and told.json["lines"] == 3
    assert [line["event"] for line in audit(site)] == ["withdraw-ordered", "withdrawn", "removed", "verified"]
    trail = site.place.folder / "state" / "audit.jsonl"
    trail.write_text("".join(trail.read_text().splitlines(keepends=True)[:-1]))
    told = site.place.say("audit", "verify", "--json")
    assert told.code == 1 and [f["why"] for f in told.json["faults"]] == ["cut-off"]


def test_without_a_trail_nothing_is_done_or_shown(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    (site.place.folder / "state" / "audit.jsonl").mkdir()
    for words in (
        ("reidentify", "--project", PROJECT, pseudonym),
        ("withdraw", "--project", PROJECT, "--patient-id", ANNA, "--reason", "x"),
    ):
        told = site.place.say(*words)
        assert told.code == 1 and "audit.unwritable" in told.err and ANNA not in told.out + told.err
    assert len(site.archive()) == 5 and site.states() == ["confirmed", "confirmed"]


def test_what_was_cut_off_stays_missed_whatever_is_written_after(site: Site, anna: StudyFacts) -> None:
    """As many new lines as were taken away do not fill the gap: their numbers go on from the head that the state keeps."""
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    for _ in range(3):
        site.place.say("reidentify", "--project", PROJECT, pseudonym)
    trail = site.place.folder / "state" / "audit.jsonl"
    trail.write_text("".join(trail.read_text().splitlines(keepends=True)[:-2]))
    for _ in range(4):
        site.place.say("reidentify", "--project", PROJECT, pseudonym)
    for _ in range(2):
        told = site.place.say("audit", "verify", "--json")
        assert told.code == 1 and ("missing", "lines 2 to 3") in [(f["why"], f["detail"]) for f in told.json["faults"]]


def test_what_no_patient_can_be_called_withdraws_nobody(site: Site) -> None:
    """As a terminal gives what was typed in another encoding: it would bar nobody, and look as if it had."""
    told = withdraw(site, "--patient-id", "M\udcfcller")
    assert told.code == 2 and "M" not in told.err.partition("--patient-id:")[2] and not site.states()


def test_a_list_of_patients_withdraws_nobody_rather_than_the_first_alone(
    site: Site, anna: StudyFacts, bert: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command answers for one: it took the first line, ended well, and the others stayed in the archive."""
    site.delivered(anna)
    site.delivered(bert)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{ANNA}\n{BERT}\n".encode())))
    told = withdraw(site, "--patient-id", "-")
    assert told.code == 2 and "more than one line" in told.err and ANNA not in told.out + told.err
    assert "withdrawn" not in site.states()


def test_an_id_of_which_nothing_is_here_may_be_a_slip_and_is_told(site: Site, anna: StudyFacts) -> None:
    """It is barred, and the command ends well: who had a typing error took that for done."""
    site.delivered(anna)
    told = withdraw(site, "--patient-id", "SYNPID70010")
    assert told.code == 0 and "written as the PACS writes it" in told.err and "SYNPID" not in told.err
    told = withdraw(site, "--patient-id", ANNA)
    assert told.code == 0 and told.err == ""
