"""`support-bundle`: everything that helps, of a daemon at work, and no byte of a patient, a key or a password."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from gateway.errors import Fatal
from gateway.ops.log import again
from gateway.run.commands.bundled import _cleaned, configuration
from gateway.run.commands.journal import UNIT, journal
from gateway.settings import load
from tests.run.command_line import Place, furnish
from tests.support.daemon import Daemon
from tests.support.leaks import leaks
from tests.support.process import new_folder

KEY = bytes(range(32))
PASSWORD = "synthetic-password-of-the-ris"
SECRET = {
    "SYNRIS1",
    "SYNPATIENT1",
    "SYNACC9001",
    "Testperson",
    "19501110",
    "1.2.826.0.1.3680043.8.498.1234567890",
    PASSWORD,
}
FORGED = (
    "Traceback: accession SYNACC9001 of Testperson",
    '{"event": "series.retrieved", "accession": "SYNACC9001", "reason": "uid 1.2.826.0.1.3680043.8.498.1234567890"}',
    '{"event": "Testperson was born on 19501110"}',
    '["SYNACC9001"]',
)
STACK = (
    "Fatal Python error: Aborted",
    "Current thread 0x00007f2b1c7ff6c0 (most recent call first):",
    '  File "/usr/lib/pacs-gateway/gateway/run/worker.py", line 55 in work',
)


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {m.name.partition("/")[2]: reader(archive, m) for m in archive.getmembers()}


def reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return io.TextIOWrapper(file, "utf-8").read()


@pytest.fixture
def site(place: Place) -> Place:
    """A RIS with a password, and a query and rules that name people."""
    (place.folder / "ris.password").write_text(PASSWORD)
    (place.folder / "ris.password").chmod(0o600)
    place.change("from research_view", "from research_view where patient_id <> 'SYNPATIENT9'")
    place.change("series = \"Modality == 'CT'\"", "series = \"Modality == 'CT' and PatientID != 'SYNPATIENT1'\"")
    place.change(
        'patient_id = "CHEST-{pseudonym}"', 'patient_id = "CHEST-{pseudonym}"\nreplace = { StudyID = "SYNACC9001" }'
    )
    return place


@pytest.mark.real
def test_of_a_daemon_at_work(site: Place) -> None:
    site.change('schedule = "1h"', 'schedule = "1s"')
    daemon = Daemon(site.folder)
    daemon.start()
    try:
        daemon.wait_ready()
        daemon.wait_until(lambda: sum(daemon.requests().values()) == 1, 30)
        with daemon.log.open("a") as log:
            log.write("\n".join((*FORGED, *STACK)) + "\n")
        told = site.say("support-bundle", str(site.folder / "bundle.tar.gz"), "--log", str(daemon.log))
        assert told.code == 0, told.err
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()
    parts = unpacked(site.folder / "bundle.tar.gz")
    assert leaks(SECRET, [(name, text.encode()) for name, text in [*parts.items(), ("output", told.out)]]) == []
    assert all(KEY not in text.encode() and KEY.hex() not in text for text in parts.values())
    assert json.loads(parts["queues.json"])["requests"] and json.loads(parts["status.json"])["node"] == "gw1"
    assert "pydicom" in json.loads(parts["versions.json"])["packages"]
    assert "pacs_gateway_requests" in parts["metrics.txt"] and '"daemon.ready"' in parts["log.jsonl"]
    assert all(line in parts["log.jsonl"] for line in STACK)
    assert json.loads(parts["log.jsonl"].splitlines()[-1]) == {"event": "lines.withheld", "count": 3}


def test_without_a_daemon_the_parts_say_so(site: Place) -> None:
    file = site.folder / "bundle.tar.gz"
    (site.folder / "empty.log").touch()
    assert site.say("support-bundle", str(file), "--log", str(site.folder / "empty.log")).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    parts = unpacked(file)
    assert parts["status.json"].startswith("daemon.unreachable") and parts["queues.json"].startswith("state.missing")
    again_ = site.say("support-bundle", str(file), "--log", str(site.folder / "empty.log"))
    assert again_.code == 1 and "cannot be made" in again_.err


def test_root_leaves_the_state_its_owner_s(capsys: pytest.CaptureFixture[str]) -> None:
    """From a copy of the database alone, before the first start: `outbox` and `held` were root's, and no daemon could start."""
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    folder = new_folder("bundle")
    place = Place(folder, capsys)
    furnish(folder)
    assert place.say("migrate").code == 0
    for name in ("outbox", "held"):
        shutil.rmtree(folder / "state" / name)
    folder.chmod(0o711)
    for path in (folder / "state", folder / "state" / "state.sqlite", folder / "pseudonym.key"):
        os.chown(path, 12345, 12345)
    assert place.say("support-bundle", str(folder / "bundle.tar.gz"), "--log", str(place.config)).code == 0
    assert json.loads(unpacked(folder / "bundle.tar.gz")["queues.json"])["requests"] == {}
    assert {path.stat().st_uid for path in (folder / "state").rglob("*")} == {12345}


def test_a_journal_without_a_line_of_the_unit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another account's units journalctl shows nothing, and calls it a success: the log was empty, and nothing said why."""
    monkeypatch.setattr(subprocess, "run", lambda argv, **_: subprocess.CompletedProcess(argv, 0, b"", b""))
    with pytest.raises(Fatal, match="has no line of pacs-gateway"):
        journal(UNIT, 10)


def test_the_configuration_keeps_its_shape_and_loses_what_it_compares_with(site: Place) -> None:
    found = configuration(load(site.config))
    (project,) = found["project"]
    assert (
        project["source"]["query"]
        == "select accession_number, patient_id from research_view where patient_id <> <withheld>"
    )
    assert project["select"]["series"] == "Modality == <withheld> and PatientID != <withheld>"
    assert project["deidentify"]["replace"] == {"StudyID": "<withheld>"}
    assert found["receiver"]["port"] and project["deliver"][0]["path"] == f"{site.folder}/archive"


@pytest.mark.parametrize("line", [FORGED[0], *FORGED[2:], '  File "x", line 1 in f Testperson', ""])
def test_a_line_that_no_log_of_ours_wrote_is_withheld(line: str) -> None:
    assert again(line) is None


def test_a_line_of_ours_loses_what_may_not_be_in_it() -> None:
    kept = json.loads(again(FORGED[1]) or "")
    assert kept == {"event": "series.retrieved", "reason": "uid <uid>", "withheld": ["accession"]}


@pytest.mark.parametrize(
    "query",
    [
        "select a from v -- the patient's list\nwhere b <> 'SYNPATIENT9'",
        "select a from v /* without Testperson */ where c = 1",
        "select a from v where b <> 'it\\'s' and c <> 'SYNPATIENT9'",
        "select a from v where b <> 'C:\\' and c <> 'SYNPATIENT9'",
        "select a from v where b <> q'[it's]' and c <> 'SYNPATIENT9'",
        "select a from v where b <> $$it's$$ and c <> 'SYNPATIENT9' # Testperson",
    ],
)
def test_where_a_literal_ends_is_not_guessed(query: str) -> None:
    told = _cleaned("query", query)
    assert "SYNPATIENT9" not in told and "Testperson" not in told and told.startswith("select a from v")


def test_a_log_that_cannot_be_read_or_is_nothing_but_brackets(site: Place) -> None:
    (site.folder / "brackets.log").write_text("[" * 100_000)
    file = site.folder / "bundle.tar.gz"
    assert site.say("support-bundle", str(file), "--log", str(site.folder / "brackets.log")).code == 0
    assert json.loads(unpacked(file)["log.jsonl"]) == {"event": "lines.withheld", "count": 1}
