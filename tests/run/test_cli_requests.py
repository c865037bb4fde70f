"""`requests ...`, `explain`, `migrate` on a real state: added, listed, shown, cancelled, asked for again, explained."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path

import pytest

from gateway.model import AccessionNumber, FoundSeries, Plan, PlannedSeries, Verdict
from gateway.run.commands import requests
from gateway.run.commands.options import settings_for
from gateway.run.opening import open_state
from gateway.state.db import SCHEMA_VERSION
from gateway.state.rows import Tally
from tests.run.command_line import Place, Told

SECRETS = ("SYNACC0001", "SYNACC0002", "SYNPATIENT7", "BAD*1", "1.2.826.0.1.99")
CSV = "accession_number;patient_id\nSYNACC0001;SYNPATIENT7\nSYNACC0002;\nBAD*1;SYNPATIENT7\nSYNACC0001;SYNPATIENT7\n"


@pytest.fixture
def added(place: Place) -> Place:
    file = place.folder / "list.csv"
    file.write_text(CSV)
    told = place.say("requests", "add", "--project", "chest", str(file), "--json")
    assert told.code == 1
    assert told.json == {
        "new": 2, "known": 0, "changed": 0, "repeated": 1, "withdrawn": 0, "set_aside": 1,
        "lines": [{"line": 4, "reason": "accession.wildcard"}], "columns_not_read": [],
    }  # fmt: skip
    return place


def keys(place: Place, *words: str) -> list[str]:
    return [str(r["key"]) for r in place.say("requests", "list", "--json", *words).json]


def key_of(place: Place, accession: str) -> str:
    told = place.say("explain", accession, "--json").json
    return str(told["requests"][0]["key"])


def says_nothing(told: Told) -> bool:
    return not [secret for secret in SECRETS if secret in told.out + told.err]


def test_a_second_time_adds_nothing_and_tells_no_value(added: Place) -> None:
    told = added.say("requests", "add", "--project", "chest", str(added.folder / "list.csv"))
    assert told.code == 1
    assert "0 new, 2 known already, 1 repeated, 0 of withdrawn patients, 1 set aside" in told.out
    assert "accession.wildcard" in told.out and "4" in told.out
    assert says_nothing(told)


def test_standard_input_is_read_when_no_file_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ([], ["-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"accession_number\nSYNACC0009\n")))
        told = place.say("requests", "add", "--project", "chest", *words)
        assert told.code == 0
    assert told.out.startswith("0 new, 1 known already")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "csv.empty"), (b"SYNACC0001\nSYNACC0002\n", "csv.header"), (b"accession_number\n\xff\xfa\n", "csv.encoding"),
        (b'accession_number\n"SYN"ACC0001\n', "csv.quoting"), (b"accession_number\n" + b"9" * 200_000, "csv.quoting"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_wrong_usage_and_adds_nothing(place: Place, content: bytes, reason: str) -> None:
    file = place.folder / "list.csv"
    file.write_bytes(content)
    told = place.say("requests", "add", "--project", "chest", str(file))
    assert told.code == 2
    assert reason in told.err
    assert says_nothing(told)
    assert not (place.folder / "state").exists()


def test_many_are_added_in_batches(place: Place) -> None:
    file = place.folder / "list.csv"
    file.write_text("accession_number\n" + "".join(f"SYN{i:05d}\n" for i in range(1201)) + "*\n" * 3)
    told = place.say("requests", "add", "--project", "chest", str(file), "--json").json
    assert (told["new"], told["set_aside"]) == (1201, 3)
    listed = place.say("requests", "list", "--json")
    assert len(listed.json) == 200
    assert "--limit" in listed.err


def test_list_filters_and_shows_keys_only(added: Place) -> None:
    assert len(keys(added)) == len(keys(added, "--state", "new", "--project", "chest")) == 2
    assert keys(added, "--state", "done") == []
    assert len(keys(added, "--limit", "1")) == 1
    assert ["only" in added.say("requests", "list", "--limit", n).err for n in ("1", "2")] == [True, False]
    told = added.say("requests", "list")
    assert told.code == 0
    assert all(key in told.out for key in keys(added))
    assert says_nothing(told)
    assert added.say("requests", "list", "--state", "failed").out == "Requests: none\n"


def test_cancel_and_retry_round_trip(added: Place) -> None:
    key = key_of(added, "SYNACC0001")
    assert added.say("requests", "cancel", key.lower()).out == "1 cancelled\n"
    again = added.say("requests", "cancel", key)
    assert (again.code, again.out) == (1, "0 cancelled\n")
    assert keys(added, "--state", "cancelled") == [key]
    assert added.say("requests", "retry", key).code == 0
    assert keys(added, "--state", "cancelled") == []
    told = added.say("requests", "show", key, "--json")
    assert told.code == 0
    assert [e["event"] for e in told.json["history"]][-2:] == ["cancelled", "retried"]
    shown = added.say("requests", "show", key).out
    assert "begun" in shown and "created" not in shown, "it is as old as its first line of history"
    assert "asked for" not in shown, "nobody need have asked: a study that grew, and late files, begin it anew"


def test_retry_of_several_says_how_many_could_not(added: Place) -> None:
    one, two = keys(added)
    added.say("requests", "cancel", one)
    told = added.say("requests", "retry", one, two, "R-UNKNOWN")
    assert told.code == 1
    assert told.out == "1 asked for again\n"
    assert "2 of 3 not" in told.err


def test_cancel_all_takes_a_list_back(added: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BATCH", 1)
    assert added.say("requests", "cancel", "--all", "--state", "empty").out == "0 cancelled\n"
    told = added.say("requests", "cancel", "--all", "--state", "new", "--project", "chest")
    assert (told.code, told.out) == (0, "2 cancelled\n")
    assert len(keys(added, "--state", "cancelled")) == 2
    for wrong in (["--all"], ["--state", "new"], ["R-X", "--all", "--state", "new"], ["--all", "--state", "done"], []):
        assert added.say("requests", "cancel", *wrong).code == 2


def test_retry_all(added: Place) -> None:
    added.say("requests", "cancel", *keys(added))
    told = added.say("requests", "retry", "--all", "--state", "cancelled", "--project", "chest")
    assert (told.code, told.out) == (0, "2 asked for again\n")
    assert added.say("requests", "retry", "--all", "--state", "failed").code == 0


def plan_of_three() -> Plan:
    """One series for each fate: retrieved in part, excluded by a rule, not clean."""
    verdicts = (Verdict(True), Verdict(False, "select.series"), Verdict(True))
    return Plan(
        tuple(
            PlannedSeries("main", FoundSeries("1.2.826.0.1.99", f"1.2.826.0.1.99.{i}", {"Modality": "CT"}, 12), verdict)
            for i, verdict in enumerate(verdicts)
        ),
        studies=1,
    )


@pytest.fixture
def failed(added: Place) -> Place:
    """SYNACC0001 planned, and its series gone their ways; SYNACC0002 untouched."""
    state = open_state(settings_for(added.config))
    try:
        now = time.time() + 1
        claims = state.store.claim_requests(projects=["chest"], limit=9, lease=60, now=now)
        claim = next(c for c in claims if c.accession == AccessionNumber("SYNACC0001"))
        assert state.store.settle_found(claim, plan_of_three(), now=now)
        first = state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=now)
        assert first is not None
        tally = Tally(12, 10, 2, 0, {"select.instance": 2})
        assert state.store.settle_retrieved(first.rows[0], tally, now=now)
        second = state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=now)
        assert second is not None
        assert state.store.settle_retrieved(second.rows[0], Tally(12, 0, 0, 12, {"verify.patient-name": 12}), now=now)
    finally:
        state.close()
    return added


def test_explain_tells_every_reason_and_echoes_only_what_was_typed(failed: Place) -> None:
    told = failed.say("explain", "SYNACC0001", "--json")
    assert says_nothing(told)
    assert set(told.json) == {"requests", "set_aside"}
    (request,) = told.json["requests"]
    by_state = {s["state"]: s for s in request["series"]}
    assert by_state["retrieved"]["reasons"] == {"select.instance": 2}
    assert (by_state["retrieved"]["kept"], by_state["retrieved"]["expected"]) == (10, 12)
    assert by_state["excluded"]["reason"] == "select.series"
    assert by_state["failed"]["reasons"] == {"verify.patient-name": 12}
    times = [e["at"] for e in request["history"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at) for at in times)
    assert {e["subject"] for e in request["history"]} == {request["key"], *(s["key"] for s in request["series"])}
    table = failed.say("explain", "SYNACC0001").out
    for word in ("select.series", "select.instance 2", "verify.patient-name 12", "planned", "failed"):
        assert word in table


@pytest.mark.parametrize(("accession", "code"), [("SYNACC0002", 0), (" SYNACC0002 ", 0), ("BAD*1", 1), ("SYNNONE", 1)])
def test_explain_ends_with_1_when_it_is_not_well(failed: Place, accession: str, code: int) -> None:
    assert failed.say("explain", accession).code == failed.say("explain", accession, "--json").code == code


def test_explain_of_what_was_set_aside_and_of_the_unknown(failed: Place) -> None:
    (aside,) = failed.say("explain", "BAD*1", "--json").json["set_aside"]
    assert (aside["project"], aside["reason"]) == ("chest", "accession.wildcard")
    assert "accession.wildcard" in failed.say("explain", "BAD*1").out
    assert failed.say("explain", "SYNNONE").out == "nothing is known about this number\n"
    assert failed.say("explain", "SYNNONE", "--json").json == {"requests": [], "set_aside": []}


def test_explain_reads_from_standard_input_what_is_not_to_be_seen(
    failed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(text: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))

    typed(b" SYNACC0002 \n\n")
    assert failed.say("explain", "-").out == failed.say("explain", "SYNACC0002").out
    typed(b"SYNACC0002\nSYNACC0001\n")
    told = failed.say("explain", "-")
    assert told.code == 2 and "more than one line" in told.err and "SYNACC" not in told.out + told.err
    for nothing in (b"", b"  \n"):
        typed(nothing)
        told = failed.say("explain", "-")
        assert told.code == 2 and "standard input has no further line" in told.err
    typed(b"SYNNOBODY\n")
    told = failed.say("withdraw", "--project", "chest", "--patient-id", "-", "--reason", "x")
    assert told.code == 0 and "SYNNOBODY" not in told.out + told.err


def test_show_of_an_unknown_key(added: Place) -> None:
    assert added.say("requests", "show", "R-NOTHERE").code == 1


def test_a_look_makes_no_state(place: Place) -> None:
    for words in (["requests", "list"], ["explain", "X1"], ["requests", "retry", "R-1"]):
        told = place.say(*words)
        assert told.code == 1
        assert "holds no state yet" in told.err
    assert not (place.folder / "state").exists()


def test_migrate_makes_it_and_says_so_again(place: Place) -> None:
    for _ in range(2):
        told = place.say("migrate")
        assert (told.code, told.out) == (0, f"the schema is current: version {SCHEMA_VERSION}\n")
    assert (place.folder / "state" / "state.sqlite").is_file()


def test_root_makes_no_state_that_the_daemon_could_not_use(place: Place) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    (place.folder / "state").mkdir()
    os.chown(place.folder / "state", 12345, 12345)
    told = place.say("migrate")
    assert told.code == 1
    assert "belongs to 12345:" in told.err
    assert list((place.folder / "state").iterdir()) == []


def test_a_key_that_is_not_there_is_wrong_configuration(added: Place) -> None:
    (added.folder / "pseudonym.key").unlink()
    told = added.say("requests", "list")
    assert told.code == 2
    assert "key init" in told.err


def test_a_state_that_is_no_database_is_a_sentence(place: Place, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.sqlite").write_bytes(b"no database at all " * 100)
    told = place.say("requests", "list")
    assert told.code == 1
    assert "state.database" in told.err
