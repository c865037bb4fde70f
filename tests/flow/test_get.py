"""The whole daemon by C-GET, after a window that was closed: the PACS knows no destination, and the archive is full and clean."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.run.test_daemon import daemon, started  # noqa: F401  the fixture
from tests.support.daemon import Daemon, command
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.leaks import files_below, leaks
from tests.support.peers import Orthanc, PacsPeer

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
def pacs() -> Iterator[PacsPeer]:
    with Orthanc() as peer:
        yield peer


@pytest.fixture
def study(tmp_path: Path) -> StudyFacts:
    return make_study(
        tmp_path / "sent", series=(SeriesSpec("CT", "Thorax", 8), SeriesSpec("CT", "Abdomen", 4)), seed=12,
        patient_id="SYNPID9911", name="Testperson^Geta", birth_date="19510118", accession="SYNACC9911",
        study_date="20240119",
    )  # fmt: skip


def configured(daemon: Daemon, pacs: PacsPeer, window: str) -> None:  # noqa: F811
    """By C-GET in that window, of a place an hour ahead of UTC in winter."""
    text = daemon.config.read_text().split("[[pacs]]")
    rest = text[1][text[1].index("[[ris]]") :]
    told = (
        f'[[pacs]]\nname = "main"\nae_title = "{pacs.ae_title}"\nhost = "127.0.0.1"\nport = {pacs.port}\n'
        f'retrieve = "get"\nwindows = ["{window}"]\ntime_zone = "Europe/Berlin"\n\n'
    )
    daemon.config.write_text(text[0] + told + rest)


@pytest.mark.catalogue("M20", "M18")
def test_get_after_a_closed_window(daemon: Daemon, pacs: PacsPeer, study: StudyFacts) -> None:  # noqa: F811
    pacs.upload(study.files)
    configured(daemon, pacs, f"{datetime.now(UTC) + timedelta(days=3):%a} 00:00-24:00")
    started(daemon)
    assert (
        command(
            daemon.config, "requests", "add", "--project", "chest", stdin="accession_number\nSYNACC9911\n"
        ).returncode
        == 0
    )
    daemon.wait_until(lambda: daemon.status()["moves"]["main"]["series"] == 2, 40)
    told = daemon.status()
    assert told["window_open"] == {"main": False}
    assert told["moves"]["main"]["window_changes"] is not None
    assert told["queues"]["series"]["chest"] == {"planned": 2}
    shown = command(daemon.config, "status").stdout
    assert "closed" in shown and "unknown" in shown
    configured(daemon, pacs, "Mon-Sun 00:00-24:00")
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: daemon.requests().get("done") == 1, 60)
    assert daemon.status()["moves"]["main"]["series"] == 0
    here = daemon.config.parent
    assert sum(p.suffix == ".dcm" for p in (here / "archive").rglob("*")) == 12
    metrics = daemon.get("/metrics")[1]
    assert b'instances_received_total{project="chest",result="kept"} 12' in metrics
    assert b'window_open{pacs="main"} 1' in metrics
    assert daemon.stop() == 0
    places = [*files_below(here / "archive", here / "state"), ("log", daemon.log.read_bytes())]
    assert leaks({v for v in study.identifiers if len(v) > 4}, places) == []
