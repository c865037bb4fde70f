"""The main job, end to end, against real peers: PostgreSQL as the RIS, Orthanc and dcmqrscp as the PACS, the real daemon."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.run.commands.group import pacs_gateway
from gateway.state.outbox import JOURNAL
from tests.support.daemon import Daemon, command
from tests.support.leaks import files_below, leaks
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer, Postgres, free_port
from tests.support.world import (
    DRAGGED,
    MALFORMED,
    SCOUT,
    UNKNOWN,
    Hospital,
    archive_files,
    build_hospital,
    fill_ris,
    pixel_digest,
    write_config,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]
KEY = bytes(range(1, 33))
ASKED = 55  # 60 rows less 3 malformed and 2 duplicates
KILLS = 20


@dataclass(frozen=True)
class Site:
    """What every run shares: the hospital and its RIS."""

    hospital: Hospital
    ris: Postgres
    folder: Path


@dataclass(frozen=True)
class Run:
    """One finished run: its folder and what the outside saw of it."""

    folder: Path
    config: Path
    outputs: tuple[tuple[str, bytes], ...]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("flow")
    hospital = build_hospital(folder / "hospital")
    with Postgres() as ris:
        fill_ris(ris, hospital.rows)
        yield Site(hospital, ris, folder)


@pytest.fixture(scope="module")
def orthanc_port(site: Site) -> Iterator[tuple[Orthanc, int]]:
    receiver = free_port()
    with Orthanc(destinations={"RESEARCH": ("127.0.0.1", receiver)}) as pacs:
        pacs.upload([site.folder / "hospital"])
        yield pacs, receiver


@pytest.fixture(scope="module")
def undisturbed(site: Site, orthanc_port: tuple[Orthanc, int]) -> Run:
    pacs, receiver = orthanc_port
    return finished_run(site, site.folder / "orthanc", pacs, receiver)


def finished_run(site: Site, folder: Path, pacs: PacsPeer, receiver: int) -> Run:
    """Runs the daemon until every request is settled, looks at it from all sides, and stops it."""
    write_config(folder, pacs=pacs, ris=site.ris, key=KEY, receiver=receiver)
    daemon = Daemon(folder)
    daemon.start()
    try:
        daemon.wait_ready()
        daemon.wait_until(lambda: settled(daemon), 120)
        seen = looked_at(daemon)
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()
    return Run(folder, daemon.config, (*seen, ("log", daemon.log.read_bytes())))


def settled(daemon: Daemon) -> bool:
    states = daemon.requests()
    return sum(states.values()) == ASKED and not states.get("new") and not states.get("planned")


def delivered(folder: Path) -> int:
    return sum(1 for p in (folder / "archive").rglob("*.dcm"))


def looked_at(daemon: Daemon) -> tuple[tuple[str, bytes], ...]:
    config = daemon.config.read_text()
    port = config.split("[metrics]")[1].split("port = ")[1].split("\n")[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read()
    pages = [(path, daemon.get(path)[1]) for path in ("/healthz", "/readyz", "/status", "/metrics")]
    told = [
        ("status", command(daemon.config, "status").stdout),
        ("list", command(daemon.config, "requests", "list").stdout),
    ]
    return (("metrics", metrics), *pages, *((name, text.encode()) for name, text in told))


def explained(config: Path, accession: str) -> dict[str, object]:
    told = CliRunner().invoke(pacs_gateway, ["explain", accession, "--json", "--config", str(config)])
    parsed: dict[str, object] = json.loads(told.stdout)
    return parsed


@pytest.mark.catalogue("D7", "S8")
def test_the_archive_holds_exactly_what_was_wanted(site: Site, undisturbed: Run) -> None:
    assert site.hospital.instances >= 600
    assert len(site.hospital.rows) == 60
    archive = [p for p in (undisturbed.folder / "archive").rglob("*") if p.is_file()]
    assert sorted(pixel_digest(p) for p in archive) == site.hospital.wanted_pixels()


def test_the_outbox_is_empty_afterwards(undisturbed: Run) -> None:
    assert [p.name for p in (undisturbed.folder / "state" / "outbox").iterdir()] in ([], [JOURNAL])


def test_explain_names_the_reason_for_everything_else(site: Site, undisturbed: Run) -> None:
    reasons = {
        s.patient["accession"]: json.dumps(explained(undisturbed.config, s.patient["accession"]))
        for s in site.hospital.studies
    }
    for study in site.hospital.studies:
        told = reasons[study.patient["accession"]]
        for series in study.series:
            if series.spec is SCOUT:
                assert "select.series" in told
            elif series.spec is DRAGGED:
                assert "select.study" in told
            elif "SECONDARY" in series.spec.image_type:
                assert "select.instance" in told
    for i in range(UNKNOWN):
        assert "find.empty" in json.dumps(explained(undisturbed.config, f"SYNMISS{i:03d}"))
    for text, reason in zip(MALFORMED, ("wildcard", "control-character", "too-long"), strict=True):
        assert f"accession.{reason}" in json.dumps(explained(undisturbed.config, text))


def test_nothing_that_identifies_is_written_anywhere(site: Site, undisturbed: Run) -> None:
    places = [*files_below(undisturbed.folder / "archive", undisturbed.folder / "state"), *undisturbed.outputs]
    assert len(places) > 500
    assert leaks(site.hospital.identifiers(), places) == []


@pytest.mark.parametrize("place", ["archive/planted.dcm", "state/planted", "state/SYNPID7003"])
def test_the_search_finds_what_is_planted(site: Site, undisturbed: Run, place: str) -> None:
    planted = undisturbed.folder / place
    planted.write_bytes(b"\0\1" + site.hospital.studies[3].patient["accession"].encode() + b"\2")
    try:
        assert leaks(site.hospital.identifiers(), files_below(planted.parent))
    finally:
        planted.unlink()


def test_a_second_poll_changes_nothing(site: Site, undisturbed: Run) -> None:
    before, listed = archive_files(undisturbed.folder), command(undisturbed.config, "requests", "list", "--json").stdout
    daemon = Daemon(undisturbed.folder)
    daemon.start()
    try:
        daemon.wait_ready()
        first = daemon.status()["last"]["poll"]
        daemon.wait_until(lambda: daemon.status()["last"]["poll"] not in (None, first), 30)
        assert settled(daemon)
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()
    assert archive_files(undisturbed.folder) == before
    assert command(undisturbed.config, "requests", "list", "--json").stdout == listed


@pytest.mark.catalogue("S8")
def test_the_same_against_dcmqrscp(site: Site, undisturbed: Run) -> None:
    receiver = free_port()
    with Dcmqrscp(destinations={"RESEARCH": ("127.0.0.1", receiver)}) as pacs:
        pacs.upload([site.folder / "hospital"])
        run = finished_run(site, site.folder / "dcmqrscp", pacs, receiver)
    assert archive_files(run.folder) == archive_files(undisturbed.folder)


@pytest.mark.catalogue("O4")
def test_killed_at_twenty_random_moments(site: Site, undisturbed: Run, orthanc_port: tuple[Orthanc, int]) -> None:
    pacs, receiver = orthanc_port
    folder = site.folder / "killed"
    write_config(folder, pacs=pacs, ris=site.ris, key=KEY, receiver=receiver)
    daemon, moments = Daemon(folder), random.Random(20)
    progress = []
    try:
        for _ in range(KILLS):
            daemon.start()
            moment, before = moments.random(), delivered(folder)
            if moment < 0.8:  # else even before it is ready
                daemon.wait_ready()
            if moment < 0.4:  # in the middle of the work, however slow the machine
                daemon.wait_until(lambda before=before: delivered(folder) > before or settled(daemon), 60)  # type: ignore[misc]
            time.sleep(moments.uniform(0.05, 0.6))
            daemon.kill_group()
            progress.append(len(archive_files(folder)))
        daemon.start()
        daemon.wait_until(lambda: settled(daemon), 200)
        assert daemon.stop() == 0
    finally:
        daemon.kill_group()
    print(f"files in the archive at each kill: {progress}")
    assert progress[-1] > 0, "the kills came before anything was delivered"
    assert archive_files(folder) == archive_files(undisturbed.folder)
