"""Held instances from PACS to archive, with the real daemon, its screening process and the real recogniser.

One ultrasound series for two projects: `masked` has its pixels cleaned, `plain` waits for a person.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gateway.dicom.qrscp import EmbeddedPacs
from gateway.run.demo.site import free_ports
from tests.support.daemon import Daemon, command
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import files_below, leaks

pytestmark = pytest.mark.timeout(180)

SONO = SeriesSpec("US", "Thorax sono", 3)
CONFIG = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
bind = "127.0.0.1"
port = {receiver}
processes = 1
min_free_disk = "1 MB"

[health]
socket = "{folder}/health.sock"

[metrics]
port = {metrics}

[[pacs]]
name = "main"
ae_title = "EMBEDDED"
host = "127.0.0.1"
port = {pacs}

[[ris]]
name = "ris"
url = "sqlite:///{folder}/ris.sqlite"
"""
PROJECT = """
[[project]]
name = "{name}"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "1s"
query = "select accession_number from research_view"

[project.deidentify]
options = {options}

[[project.deliver]]
type = "directory"
path = "{folder}/archive-{name}"
"""


@pytest.fixture
def study(tmp_path: Path) -> StudyFacts:
    return make_study(
        tmp_path / "hospital", series=(SONO,), patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19501110",
        accession="SYNACC4711", study_date="20240503",
    )  # fmt: skip


@pytest.fixture
def daemon(tmp_path: Path, study: StudyFacts) -> Iterator[Daemon]:
    receiver, metrics = free_ports(2)
    pacs = EmbeddedPacs("EMBEDDED", study.files, {"RESEARCH": ("127.0.0.1", receiver)})
    key = tmp_path / "pseudonym.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    with closing(sqlite3.connect(tmp_path / "ris.sqlite")) as ris, ris:
        ris.execute("create table research_view (accession_number text)")
        ris.execute("insert into research_view values ('SYNACC4711')")
    text = CONFIG.format(folder=tmp_path, receiver=receiver, metrics=metrics, pacs=pacs.start())
    for name, options in (("masked", '["clean-pixel-data"]'), ("plain", "[]")):
        (tmp_path / f"archive-{name}").mkdir()
        text += PROJECT.format(folder=tmp_path, name=name, options=options)
    (tmp_path / "gateway.toml").write_text(text)
    made = Daemon(tmp_path)
    made.start()
    yield made
    made.kill_group()
    pacs.stop()


def archived(daemon: Daemon, name: str) -> list[Path]:
    return sorted((daemon.config.parent / f"archive-{name}").rglob("*.dcm"))


def held(daemon: Daemon, *words: str) -> Any:
    return json.loads(command(daemon.config, "held", *words, "--json").stdout)


def states(daemon: Daemon, name: str) -> dict[str, int]:
    found: dict[str, int] = daemon.status()["queues"]["series"].get(name, {})
    return found


@pytest.mark.real
def test_screened_or_decided_by_a_person_it_arrives_and_nothing_tells_whose_it_is(
    daemon: Daemon, study: StudyFacts
) -> None:
    daemon.wait_until(lambda: states(daemon, "masked") == {"confirmed": 1}, 90)
    daemon.wait_until(lambda: states(daemon, "plain") == {"held": 1}, 30)
    assert len(archived(daemon, "masked")) == 3 and archived(daemon, "plain") == []
    for path in archived(daemon, "masked"):
        codes = {item.CodeValue for item in pydicom.dcmread(path).DeidentificationMethodCodeSequence}
        assert {"113100", "113101"} <= codes

    listed = held(daemon, "list")["held"]
    assert [(one["project"], one["waits_for"]) for one in listed] == [("plain", "a person")] * 3
    told = [daemon.get("/metrics")[1].decode(), daemon.log.read_text(), json.dumps(listed)]
    assert re.search(r'pacs_gateway_screened_total\{project="masked",result="released"\} 3', told[0])
    first, *others = (one["key"] for one in listed)
    assert held(daemon, "discard", first, "--by", "anna")["discarded"] == [first]
    assert held(daemon, "release", *others, "--by", "anna")["left"] == []
    daemon.wait_until(lambda: states(daemon, "plain") == {"confirmed": 1}, 60)
    assert len(archived(daemon, "plain")) == 2 and held(daemon, "list")["held"] == []
    daemon.wait_until(lambda: daemon.requests() == {"done": 2}, 30)

    folder = daemon.config.parent
    assert daemon.stop() == 0
    assert list((folder / "state" / "held").rglob("*")) == []
    seen = [*files_below(folder / "state", folder / "archive-masked", folder / "archive-plain")]
    said = [("said", text.encode()) for text in (*told, daemon.log.read_text())]
    assert leaks(study.identifiers, [*seen, *said]) == []
