"""What a withdrawal leaves to be done: who is told of it, what it costs, and what the state knows nothing of."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.deliver.directory import DirectorySink
from gateway.errors import Refused, Retry
from gateway.ops.log import FIELDS
from gateway.run import broker
from gateway.run.opening import open_state
from gateway.state.outbox import Outbox
from gateway.state.withdrawn import Pending
from tests.run.broker_site import ANNA, BERT, PROJECT, SERIES, Site, audit, study, withdraw
from tests.support.dicomfiles import SeriesSpec, StudyFacts

FILE = "state/state.sqlite"


def test_an_archive_that_cannot_delete_is_told_in_the_log_where_no_command_shows_it(
    site: Site, anna: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is on the opt-out list is withdrawn by the daemon: else only the audit trail would say that somebody has to delete."""
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()

    def never(sink: DirectorySink, PatientID: str) -> int:
        raise Refused("sink.no-delete", "it does not delete")

    monkeypatch.setattr(DirectorySink, "remove", never)
    desk = broker.make_desk(site.settings, site.state)
    with capture_logs() as said:
        assert desk.opted_out(PROJECT, [ANNA]) == 1 and broker.Rounds(desk).step()
    (line,) = [line for line in said if line["event"] == "withdrawal.listed"]
    (noted,) = [line for line in audit(site) if line["event"] == "listed"]
    assert (line["log_level"], line["project"], line["sink"]) == ("warning", PROJECT, noted["sink"])
    assert f"a person must, by the patient IDs of {noted['withdrawal']} in audit.jsonl" in line["detail"]
    assert noted["pseudonym"] == pseudonym and pseudonym not in str(said)
    assert set(line) - {"log_level"} <= FIELDS


def test_what_is_in_the_way_of_a_removal_is_told_with_the_mend(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    table = site.place.folder / "archive" / "manifests" / "series" / "2026-11-26" / "2.25.81.csv"
    table.parent.mkdir(parents=True)
    table.write_text("PatientID;Size\nCHEST-X;5\n")
    told = site.place.say("withdraw", "--project", PROJECT, "--reason", "x", "--patient-id", ANNA)
    mend = "a table in manifests/series/2026-11-26 was changed by hand: move it out of the archive"
    assert told.code == 1 and mend in told.err
    with pytest.raises(Retry, match=mend):
        broker.Rounds(broker.make_desk(site.settings, site.state)).step()
    table.unlink()
    assert broker.Rounds(broker.make_desk(site.settings, site.state)).step() and site.archive() == []


def test_what_is_cleared_is_not_cleared_again_and_again(
    site: Site, anna: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of thousands, read for the first time: for an hour each of their series would cost flushes every few seconds."""
    site.retrieved(anna)
    withdraw(site, "--patient-id", ANNA)
    cleared: list[str] = []
    monkeypatch.setattr(Outbox, "clear", lambda _, key: cleared.append(key))
    desk = broker.make_desk(site.settings, site.state)
    desk.clear()
    assert cleared == []
    late = desk.broker.lately_withdrawn(0.0)[0]
    (site.place.folder / "state" / "outbox" / late).mkdir()
    desk.clear()
    assert cleared == [late]


def test_files_that_an_older_database_knows_nothing_of(site: Site, tmp_path: Path) -> None:
    """PostgreSQL restored from yesterday, beside outboxes of today: what the patient's files are of is in no row."""
    yesterday = tmp_path / "yesterday.sqlite"
    with closing(sqlite3.connect(yesterday)) as copy, closing(sqlite3.connect(site.place.folder / FILE)) as now:
        now.backup(copy)
    specs = (SeriesSpec("CT", "Thorax", 3, rows=8, columns=8, burned_in="YES"), *SERIES)
    shown, other = study(tmp_path, series=specs), study(tmp_path / BERT, BERT)
    for facts in (shown, other):
        site.retrieved(facts)
    site.state.close()
    for file in (site.place.folder / "state").glob("state.sqlite*"):
        file.unlink()
    shutil.copy(yesterday, site.place.folder / FILE)
    site.state = open_state(site.settings)
    assert len(site.state.outbox.series()) == 5
    here, elsewhere = site.place.folder / "state", tmp_path / "another node"
    for name in ("outbox", "held"):
        shutil.copytree(here / name, elsewhere / name)
    assert withdraw(site, "--patient-id", ANNA).code == 0
    assert len(site.state.outbox.series()) == 2 and list((here / "held").iterdir()) == []
    shutil.copytree(elsewhere, here, dirs_exist_ok=True)
    desk = broker.make_desk(site.settings, site.state)
    (pseudonym,) = desk.names[PROJECT].of(ANNA)
    namesake = replace(desk.names[PROJECT], crosswalk={b"SOMEBODY": pseudonym.encode()})
    assert replace(desk, names={**desk.names, "other": namesake}).clear_unknown() == 0
    assert desk.clear_unknown() == 3 and len(site.state.outbox.series()) == 2
    assert site.traces(facts=shown) == []


class Bucket(DirectorySink):
    """`called`: its name."""

    called = "s3://research/chest@1"

    @property
    def name(self) -> str:
        return self.called


def test_a_bucket_that_a_withdrawal_of_a_version_before_names_without_its_server_is_cleared(
    site: Site, anna: StudyFacts
) -> None:
    """It was listed for a person, as an archive that cannot delete."""
    site.delivered(anna)
    bucket = Bucket(site.settings.project[0].deliver[0])  # type: ignore[arg-type]
    desk = replace(broker.make_desk(site.settings, site.state), sinks={PROJECT: [bucket]})
    assert desk.opted_out(PROJECT, [ANNA]) == 1
    bucket.called += "@https://s3.example"
    (outcome,) = desk.carry_on()
    assert outcome.result == broker.REMOVED and site.archive() == []
    assert desk.unfinished() == []


def test_what_is_in_the_way_under_one_pseudonym_holds_up_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has had two, of an older template or list: what lies there under the second stayed until a person came."""
    asked: list[str] = []

    def remove(_: DirectorySink, PatientID: str) -> int:
        asked.append(PatientID)
        if PatientID == "CHEST-A":
            raise Retry("sink.unreadable", "a folder", charge=False)
        return 1

    monkeypatch.setattr(DirectorySink, "remove", remove)
    desk = broker.make_desk(site.settings, site.state)
    (name,) = (sink.name for sink in desk.sinks[PROJECT])
    outcome = desk._take_out(Pending("w", PROJECT, ("CHEST-A", "CHEST-B"), (name,)), name)
    assert (outcome.result, outcome.reason, asked) == (broker.LATER, "sink.unreadable", ["CHEST-A", "CHEST-B"])
