"""`withdraw` and `reidentify`: whatever the moment, a withdrawn patient is nowhere afterwards, and never comes back."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from gateway.deliver.directory import DirectorySink
from gateway.errors import Refused
from gateway.ops.health import Board
from gateway.run import broker, wiring
from gateway.run.opening import open_state
from gateway.run.rounds import jobs
from tests.deliver.peers import orthanc
from tests.run.broker_site import ANNA, BERT, PROJECT, Site, audit, study, withdraw
from tests.support.dicomfiles import SeriesSpec, StudyFacts
from tests.support.leaks import leaks

OPT_OUT = 'select accession_number, patient_id from research_view"\nopt_out = "select patient_id from opt_out"'


def no_trace(site: Site, facts: StudyFacts, pseudonym: str) -> None:
    """Of the patient nothing; of the pseudonym the lines of the audit trail only."""
    assert site.traces(facts=facts) == []
    assert {place.split(":")[0] for place in site.traces(pseudonym)} <= {"audit.jsonl"}
    assert site.state.outbox.series() == []


def test_between_retrieval_and_delivery(site: Site, anna: StudyFacts) -> None:
    site.retrieved(anna)
    told = withdraw(site, "--patient-id", ANNA)
    assert told.code == 0, told.err
    (pseudonym,) = told.json["pseudonyms"]
    assert told.json["series"] == 2 and told.json["archives"][0] | {"name": ""} == {
        "name": "", "result": "removed", "files": 0, "reason": "",
    }  # fmt: skip
    assert site.states() == ["withdrawn", "withdrawn"] and not site.deliver.step()
    assert site.archive() == []
    no_trace(site, anna, pseudonym)


def test_after_delivery(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    site.delivered(anna)
    site.delivered(study(tmp_path, BERT))
    pseudonym, other = sorted(site.pseudonyms())
    files = {p: p.read_bytes() for p in site.archive()}
    assert len(files) == 10
    shown = site.place.say("reidentify", "--project", PROJECT, pseudonym, "--json").json["found"][0]["patient_id"]
    told = withdraw(site, "--pseudonym", pseudonym)
    assert told.code == 0 and told.json["archives"][0]["files"] == 5
    assert {p: p.read_bytes() for p in site.archive()} == {p: raw for p, raw in files.items() if other in p.parts}
    no_trace(site, anna if shown == ANNA else study(tmp_path / "again", BERT), pseudonym)
    assert site.states() == ["confirmed"] * 2 + ["withdrawn"] * 2


def test_in_the_middle_of_a_retrieval(site: Site, anna: StudyFacts) -> None:
    """Half of a series has come; the rest comes while and after the patient is withdrawn."""
    site.ask(anna)
    site.plan(anna)
    claim = site.claim()
    assert claim is not None
    (sent,) = [s for s in anna.series if s.SeriesInstanceUID == claim.SeriesInstanceUID]
    site.send(sent.files[:1])
    assert withdraw(site, "--patient-id", ANNA).code == 0
    assert not site.state.store.extend_series(claim, lease=60, now=1e9)  # which cancels the move
    rest = sent.files[1:]
    assert site.send(rest, site.receiver()) == [0] * len(rest)  # one refusal would end some whole move
    assert site.claim() is None
    no_trace(site, anna, "CHEST-")


def test_while_the_courier_is_at_work_on_it(site: Site, anna: StudyFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the courier puts after the archive was cleared would stay: so it is cleared when the courier has let go."""
    site.retrieved(anna)
    sink = site.deliver._way.sink
    arrived, go_on = threading.Event(), threading.Event()
    put = sink.put

    def slow(file: Path) -> object:
        arrived.set()
        assert go_on.wait(30)
        return put(file)

    monkeypatch.setattr(sink, "put", slow)
    monkeypatch.setattr("gateway.run.commands.broker.PATIENCE", 0.0)
    at_work = threading.Thread(target=site.deliver.step)
    at_work.start()
    assert arrived.wait(30)
    files = [f.read_bytes() for key in site.state.outbox.series() for f in site.state.outbox.files(key)]
    assert len(files) == 5
    told = withdraw(site, "--patient-id", ANNA)
    assert (told.code, told.json["archives"][0]["result"]) == (1, "later")
    go_on.set()
    at_work.join()
    rounds = broker.Rounds(broker.make_desk(site.settings, site.state))
    assert rounds.step() and not rounds.step()
    assert site.archive() == []
    no_trace(site, anna, "CHEST-")


def test_neither_the_ris_nor_the_pacs_brings_the_patient_back(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    site.delivered(anna)
    withdraw(site, "--patient-id", ANNA)
    again = study(tmp_path / "later", ANNA, 2)
    assert site.ask(again).aside == 1 and site.ask(anna).new == 0 and site.find() is None
    assert site.ask(again, patient=False).new == 1  # a RIS that does not tell whose it is
    site.plan(again)
    claim = site.claim()
    assert claim is not None
    (sent,) = [s for s in again.series if s.SeriesInstanceUID == claim.SeriesInstanceUID]
    assert site.send(sent.files) == [0] * len(sent.files)
    assert {line.reason for line in site.state.outbox.ledger(claim.rows[0].key).values()} == {"patient.withdrawn"}
    assert site.state.outbox.files(claim.rows[0].key) == [] and site.archive() == []
    site.settle(claim)
    assert site.states().count("excluded") == 1


def test_by_a_pseudonym_of_which_nothing_else_is_known(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    """The state was lost, the archive was not: the patient is still recognised, and from then on by the RIS's rows, too."""
    (pseudonym,) = broker.make_desk(site.settings, site.state).names[PROJECT].of(ANNA)
    assert withdraw(site, "--pseudonym", pseudonym).code == 0
    assert site.ask(anna).new == 1
    site.plan(anna)
    claim = site.claim()
    assert claim is not None
    site.send(anna.files)
    assert site.state.outbox.files(claim.rows[0].key) == []
    assert site.ask(study(tmp_path / "later", ANNA, 2)).aside == 1


def test_requests_that_wait_are_stopped_and_forgotten(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    site.ask(anna)
    site.ask(study(tmp_path / "more", BERT))
    told = withdraw(site, "--patient-id", ANNA)
    assert told.json["requests"] == 1 and site.requests() == ["cancelled", "new"]
    (stopped,) = site.state.views.requests(state="cancelled")
    assert stopped.reason == "patient.withdrawn"
    assert site.state.store.retry(keys=[stopped.key], now=1e9) == 0


def test_it_holds_for_that_project_and_after_a_restart(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    withdraw(site, "--patient-id", ANNA)
    site.close()
    site.state = open_state(site.settings)
    assert site.ask(study(tmp_path / "later", ANNA, 2)).aside == 1


def test_an_archive_out_of_reach_is_told_and_seen_to_later(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    archive = site.place.folder / "archive"
    archive.rename(site.place.folder / "unmounted")
    told = withdraw(site, "--patient-id", ANNA)
    assert (told.code, told.json["archives"][0]["result"]) == (1, "later")
    (site.place.folder / "unmounted").rename(archive)
    assert broker.Rounds(broker.make_desk(site.settings, site.state)).step()
    assert site.archive() == []


def test_an_archive_that_cannot_delete_is_told_with_the_patient(
    site: Site, anna: StudyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()

    def never(sink: DirectorySink, PatientID: str) -> int:
        raise Refused("sink.no-delete", "it does not delete")

    monkeypatch.setattr(DirectorySink, "remove", never)
    told = site.place.say("withdraw", "--project", PROJECT, "--patient-id", ANNA, "--reason", "x")
    assert told.code == 1 and f"patient ID in the archives: {pseudonym}" in told.out and "a person must" in told.out
    assert [(line["event"], line["pseudonym"]) for line in audit(site)][-1] == ("listed", pseudonym)
    assert not broker.Rounds(broker.make_desk(site.settings, site.state)).step()  # told once


def test_twice_is_once(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    assert withdraw(site, "--patient-id", ANNA).json["archives"][0]["files"] == 5
    again = withdraw(site, "--patient-id", ANNA)
    assert (again.code, again.json["series"], again.json["archives"][0]["files"]) == (0, 0, 0)


def test_the_opt_out_list_withdraws_before_the_poll(site: Site, anna: StudyFacts, tmp_path: Path) -> None:
    """By the daemon's own job: the first poll asks for both, then one of them is on the list."""
    ris = sqlite3.connect(site.place.folder / "ris.sqlite", isolation_level=None)
    ris.execute("create table opt_out (patient_id text)")
    site.place.change('select accession_number, patient_id from research_view"', OPT_OUT)
    site.settings = wiring.load_settings(site.place.config)
    told = wiring.Told(site.counts, Board())
    poll, rounds, *_ = (
        job for _, _, job in jobs(site.settings, site.state, told, threading.Event(), lambda _, job, idle: job)
    )
    ris.execute("delete from research_view")
    for patient in (ANNA, BERT):
        row = study(tmp_path / patient, patient).patient
        ris.execute("insert into research_view values (?, ?)", (row["accession"], patient))
    site.delivered(anna)
    poll()
    assert site.requests() == ["done", "new"]
    ris.execute("insert into opt_out values (?), (?)", (ANNA, "SYNPID9999"))
    poll()
    poll()
    assert site.states() == ["withdrawn", "withdrawn"] and site.requests() == ["done", "new"]
    assert rounds() and site.archive() == []
    assert not rounds()
    no_trace(site, anna, "CHEST-")
    noted = [(line["event"], line["user"]) for line in audit(site) if "user" in line]
    assert noted == [("withdraw-ordered", "opt-out"), ("withdrawn", "opt-out")]
    ris.execute("delete from opt_out")
    ris.execute("insert into research_view values ('SYNACC9', ?), ('SYNACC8', 'SYNPID9999')", (ANNA,))
    poll()
    assert site.requests() == ["done", "new"]
    ris.close()


def test_held_for_a_person(site: Site, tmp_path: Path) -> None:
    """What shows a name in its pixels waits for a decision: nobody has to make one any more."""
    specs = (SeriesSpec("CT", "Thorax", 3, rows=8, columns=8, burned_in="YES"),)
    shown = study(tmp_path, series=specs)
    site.retrieved(shown)
    assert site.states() == ["held"]
    folder = site.place.folder / "state" / "held"
    assert sum(p.suffix == ".dcm" for p in folder.rglob("*")) == 3
    assert withdraw(site, "--patient-id", ANNA).json["series"] == 1
    assert list(folder.iterdir()) == [] and site.states() == ["withdrawn"]
    no_trace(site, shown, "CHEST-")


@pytest.mark.real
def test_after_delivery_to_orthanc(site: Site, anna: StudyFacts) -> None:
    """No byte is left in its storage; in its index the database may keep what it has deleted."""
    peer, rest = orthanc()
    rest.clear()
    here = site.place.folder / "archive"
    url = f'type = "dicomweb"\nurl = "http://127.0.0.1:{peer.http_port}/dicom-web"\ndelete = "orthanc"'
    site.close()
    site.place.change(f'type = "directory"\npath = "{here}"', url)
    again = Site(site.place)
    again.delivered(anna)
    stored = [raw for p in rest.database.rglob("*") if p.is_file() and (raw := p.read_bytes())[128:132] == b"DICM"]
    assert len(stored) == len(rest.instances()) == 5
    told = withdraw(again, "--patient-id", ANNA)
    assert told.code == 0, told.err
    assert told.json["archives"][0]["files"] == 5 and rest.instances() == {}
    (pseudonym,) = told.json["pseudonyms"]
    assert any(pseudonym.encode() in raw for raw in stored)
    left = [
        (p.name, p.read_bytes()) for p in rest.database.rglob("*") if p.is_file() and not p.name.startswith("index")
    ]
    assert leaks({pseudonym}, left) == []
    no_trace(again, anna, pseudonym)
    again.close()
