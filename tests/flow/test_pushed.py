"""The whole daemon takes a study that nobody asked for, and its archive ends as if somebody had; nothing of the patient is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.run.test_daemon import daemon, started  # noqa: F401  the fixture
from tests.support.daemon import Daemon
from tests.support.dicomfiles import SeriesSpec, make_study
from tests.support.leaks import files_below, leaks
from tests.support.process import HOST, program

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
RULES = """\
push = true
push_quiet = "1s"

[project.select]
study = "'CT' in ModalitiesInStudy"
series = "Modality == 'CT' and NumberOfSeriesRelatedInstances >= 3"

[[project.deliver]]"""


def archived(daemon: Daemon) -> int:  # noqa: F811
    return sum(p.is_file() for p in (daemon.config.parent / "archive").rglob("*"))


def test_pushed_study(daemon: Daemon, tmp_path: Path) -> None:  # noqa: F811
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("[[project.deliver]]", RULES, 1))
    port = text.split("\nport = ")[1].split("\n")[0]
    study = make_study(
        tmp_path / "sent", series=(SeriesSpec("CT", "Thorax", 5), SeriesSpec("CT", "Scout", 2)), seed=11,
        patient_id="SYNPID8811", name="Testperson^Pusha", birth_date="19510117", accession="SYNACC8811",
        study_date="20240118",
    )  # fmt: skip
    started(daemon)
    argv = [program("storescu"), "-aet", "NOBODY", "-aec", "RESEARCH", HOST, port, *map(str, study.files)]
    subprocess.run(argv, check=True, timeout=60, capture_output=True)
    daemon.wait_until(lambda: archived(daemon) == 5 and daemon.requests().get("done") == 1, 60)
    series = daemon.status()["queues"]["series"]["chest"]
    assert series == {"confirmed": 1, "excluded": 1}
    assert b'instances_received_total{project="chest",result="kept"} 7' in daemon.get("/metrics")[1]
    assert daemon.stop() == 0
    here = daemon.config.parent
    places = [*files_below(here / "archive", here / "state"), ("log", daemon.log.read_bytes())]
    assert leaks({v for v in study.identifiers if len(v) > 4}, places) == []
