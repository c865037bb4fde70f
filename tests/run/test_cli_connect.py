"""Commands that talk to somebody: `find` and `check --connect` with a real Orthanc, `status` with the real daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gateway.run.health import Health
from tests.run.command_line import Place, furnish
from tests.support.daemon import Daemon
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import leaks
from tests.support.peers import Orthanc
from tests.support.scripted_pacs import ScriptedPacs, by_level, row

pytestmark = pytest.mark.real

IN_PACS = 2


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFacts, ...]:
    """Two studies under one accession number: a CT with two series, and an ultrasound."""
    folder = tmp_path_factory.mktemp("studies")
    specs = ((SeriesSpec("CT", "Thorax", 3), SeriesSpec("SR", "Report", 1)), (SeriesSpec("US", "Sono", 2),))
    return tuple(
        make_study(
            folder, series=series, seed=i, patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19501110",
            accession="SYNACC4711", study_date="20240503",
        )
        for i, series in enumerate(specs)
    )  # fmt: skip


@pytest.fixture(scope="module")
def orthanc(studies: tuple[StudyFacts, ...]) -> Iterator[Orthanc]:
    with Orthanc() as peer:
        peer.upload([file for study in studies for file in study.files])
        yield peer


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None, orthanc: Orthanc) -> Place:
    """A place whose PACS is there."""
    furnish(tmp_path, pacs=orthanc.port, ae=orthanc.ae_title)
    return Place(tmp_path, capsys)


def checks(place: Place) -> tuple[int, dict[str, dict[str, Any]]]:
    told = place.say("check", "--connect", "--json")
    return told.code, {c["what"]: c for c in told.json["checks"]}


# ---- find


def test_find_shows_verdicts_by_ordinal_and_no_identifier(site: Place, studies: tuple[StudyFacts, ...]) -> None:
    before = sorted(site.folder.rglob("*"))
    told = site.say("find", "--project", "chest", "SYNACC4711", "SYNNONE", "--json")
    assert told.code == 0
    found, missing = told.json["answers"]
    assert (found["accession"], found["pacs"], found["studies"]) == ("SYNACC4711", "main", IN_PACS)
    shown = sorted((s["modality"], s["instances"], s["keep"], s["reason"]) for s in found["series"])
    assert shown == [("CT", 3, True, ""), ("SR", 1, False, "select.series"), ("US", 2, False, "select.series")]
    assert {s["study"] for s in found["series"]} == {1, 2}
    assert (missing["pacs"], missing["series"], missing["error"]) == (None, [], "")
    table = site.say("find", "--project", "chest", "SYNACC4711", "SYNNONE").out
    assert "exclude" in table and "keep" in table and "not found" in table
    identifiers = {v for study in studies for v in study.identifiers} - {"SYNACC4711"}
    assert leaks(identifiers, [("json", told.out.encode()), ("table", table.encode())]) == []
    assert sorted(site.folder.rglob("*")) == before


def test_find_shows_no_word_of_a_pacs_as_a_modality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no term of the standard may be anything, such as a patient ID in capitals."""
    study = row(StudyInstanceUID="1.2.3.4", AccessionNumber="SYNACC4711")
    series = row(StudyInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3.4.5", Modality="SYNPID4711")
    with ScriptedPacs(find=by_level(STUDY=[study], SERIES=[series])) as pacs:
        furnish(tmp_path, pacs=pacs.port, ae=pacs.ae_title)
        told = Place(tmp_path, capsys).say("find", "--project", "chest", "SYNACC4711", "--json")
    assert [s["modality"] for s in told.json["answers"][0]["series"]] == [""]
    assert "SYNPID" not in told.out + told.err


def test_find_without_a_pacs_is_3(place: Place) -> None:
    told = place.say("find", "--project", "chest", "SYNACC4711")
    assert told.code == 3
    assert told.err.startswith("pacs-gateway: pacs 'main': ") and "pacs.unreachable" in told.err
    assert told.out == ""


# ---- check


def test_check_without_connect_touches_nobody(place: Place) -> None:
    told = place.say("check", "--json")
    assert told.code == 0
    assert told.json["ok"] is True and told.json["checks"] == []
    assert told.json["projects"]["chest"]["archives"] == [f"directory:{place.folder}/archive"]
    assert "the configuration is right" in place.say("check").out


@pytest.mark.skipif(find_spec("oracledb") is not None, reason="the driver is installed")
def test_check_finds_a_driver_that_is_not_installed(place: Place) -> None:
    place.change(f'url = "sqlite:///{place.folder}/ris.sqlite"', 'url = "oracle+oracledb://reader@ris/db"')
    told = place.say("check")
    assert told.code == 2
    assert "oracledb" in told.err


@pytest.mark.skipif(find_spec("MySQLdb") is not None, reason="the driver is installed")
def test_check_names_the_driver_that_is_installed(place: Place) -> None:
    place.change(f'url = "sqlite:///{place.folder}/ris.sqlite"', 'url = "mysql://reader@ris/db"')
    told = place.say("check")
    assert told.code == 2
    assert "mysql+pymysql://" in told.err


def test_all_is_well(site: Place) -> None:
    code, found = checks(site)
    assert code == 0
    assert all(c["ok"] for c in found.values())
    assert set(found) == {"pacs", "query", "archive", "port", "key", "state", "disk", "clock"}
    assert found["query"]["detail"] == "accession_number: str, patient_id: str"
    assert found["port"]["detail"] == "free"
    told = site.say("check", "--connect")
    assert told.code == 0
    assert "SYNRIS1" not in told.out and "FAILED" not in told.out


def test_only_a_peer_out_of_reach_is_3(place: Place) -> None:
    code, found = checks(place)
    assert code == 3
    assert [what for what, c in found.items() if not c["ok"]] == ["pacs"]
    assert found["pacs"]["unreachable"] is True and found["pacs"]["mend"]


def test_a_ris_out_of_reach_is_3_and_one_that_changed_is_1(site: Place) -> None:
    ris = sqlite3.connect(site.folder / "ris.sqlite")
    with ris:
        ris.execute("alter table research_view rename column accession_number to other")
    ris.close()
    code, found = checks(site)
    assert (code, found["query"]["ok"], found["query"]["unreachable"]) == (1, False, False)
    (site.folder / "ris.sqlite").unlink()
    code, found = checks(site)
    assert (code, found["query"]["ok"], found["query"]["unreachable"]) == (3, False, True)


def test_archive_disk_and_port_each_fail_with_their_mend(site: Place) -> None:
    shutil.rmtree(site.folder / "archive")
    site.change('min_free_disk = "1 MB"', 'min_free_disk = "900000 TiB"')
    port = int(site.config.read_text().split("port = ")[1].split()[0])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        code, found = checks(site)
    assert code == 1
    assert sorted(what for what, c in found.items() if not c["ok"]) == ["archive", "disk", "port"]
    assert all(c["mend"] for c in found.values() if not c["ok"])
    assert not (site.folder / "archive").exists()


def test_a_key_that_others_can_read_is_told_before_anything_else(site: Place) -> None:
    (site.folder / "pseudonym.key").chmod(0o644)
    told = site.say("check", "--connect")
    assert told.code == 2
    assert f"{site.config}:3: key_file" in told.err


def test_a_key_of_somebody_else_fails(site: Place) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    os.chown(site.folder / "pseudonym.key", 12345, 12345)
    code, found = checks(site)
    assert (code, found["key"]["ok"]) == (1, False)


# ---- status


def test_without_a_daemon_it_is_3(place: Place) -> None:
    told = place.say("status")
    assert told.code == 3
    assert "is it running?" in told.err and str(place.folder / "health.sock") in told.err


def test_whom_the_socket_is_closed_to_is_told_to_ask_as_its_account(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mode 0660; the tests may run as root, whom nothing is closed to. A daemon that runs was asked for."""

    def closed(_: Health) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Health, "connect", closed)
    told = place.say("status")
    assert told.code == 3 and "(Permission denied): ask as its account" in told.err


def test_a_daemon_that_waits_for_its_database_is_told_as_that(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PostgreSQL that hangs: it was asked whether the daemon runs, which it did."""
    monkeypatch.setattr("gateway.run.health.PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(place.folder / "health.sock"))
        daemon.listen()
        told = place.say("status")
    assert told.code == 3 and "is it running" not in told.err
    assert "the daemon runs, and has not answered" in told.err and "PostgreSQL" in told.err


def test_a_socket_that_a_crash_left_is_no_daemon(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place.folder / "health.sock"))
        assert place.say("status").code == 3


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"garbage\r\n\r\n", 3), (b"", 3), (b"HTTP/1.1 200 OK\r\n\r\n[]", 1), (b"HTTP/1.1 503 No\r\n\r\nstate.busy\n", 1)],
)
def test_whoever_answers_nonsense_is_no_well_daemon(place: Place, answer: bytes, code: int) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place.folder / "health.sock"))
        other.listen()
        server = threading.Thread(target=answer_twice, args=(other, answer), daemon=True)
        server.start()
        told = place.say("status")
        assert told.code == code
        other.shutdown(socket.SHUT_RDWR)
        server.join(5)


def answer_twice(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody asks again
        for _ in range(2):
            asked, _ = listener.accept()
            with asked:
                asked.recv(4096)
                asked.sendall(answer)


@pytest.fixture
def running(site: Place) -> Iterator[Place]:
    daemon = Daemon(site.folder)
    daemon.start()
    try:
        daemon.wait_ready()
        yield site
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()


def test_beside_the_running_daemon(running: Place) -> None:
    told = running.say("status", "--json")
    assert told.code == 0
    assert told.json["ready"] is True and told.json["node"] == "gw1"
    assert {"queues", "pacs", "sinks", "ris", "last", "throughput", "eta_s", "window_open"} <= set(told.json)
    table = running.say("status")
    assert table.code == 0
    for word in ("main", "directory:", "gw1", "instances", "free disk"):
        assert word in table.out
    code, found = checks(running)
    assert (code, found["port"]["detail"]) == (0, "our daemon listens on it")
    file = running.folder / "list.csv"
    file.write_text("accession_number\nSYNNONE\n")
    assert running.say("requests", "add", "--project", "chest", str(file)).code == 0
    assert running.say("explain", "SYNNONE").code == 0
    assert len(running.say("requests", "list", "--json").json) >= 1
