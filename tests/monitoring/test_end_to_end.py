"""Real daemon, real Prometheus, real PACS: each alert fires when its trouble comes and ends when it is mended."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.monitoring.hospital import LARGE, PLAIN, Hospital
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.rules import MONITORING, alerts
from tests.support.daemon import command

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(400)]
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
STANDING = (
    "HeldWaiting",
    "LeakBlocked",
    "InstancesRefused",
    "MovesFailing",
    "CertificateExpiring",
    "CertificateExpired",
)


@dataclass(frozen=True)
class Watched:
    hospital: Hospital
    prometheus: Prometheus
    begun: float


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A gateway that has done its first day's work, with what is wrong from the beginning."""
    hospital = Hospital(tmp_path_factory.mktemp("monitored"))
    begun = time.time()
    try:
        hospital.daemon.start()
        with Prometheus(tmp_path_factory.mktemp("prometheus") / "it", hospital.metrics) as prometheus:
            hospital.daemon.wait_ready(120)
            prometheus.wait(lambda: bool(prometheus.query("up == 1")), lambda: "never scraped")
            hospital.open()  # what is counted before the first scrape is no increase
            prometheus.wait_fired(*STANDING)
            hospital.daemon.wait_until(lambda: confirmed(hospital) >= 6, 60)
            yield Watched(hospital, prometheus, begun)
    finally:
        hospital.close()


def confirmed(hospital: Hospital) -> int:
    return int(hospital.daemon.status()["queues"]["series"].get("chest", {}).get("confirmed", 0))


def queries(path: Path) -> list[tuple[str, str]]:
    """(panel, expression) of a dashboard, with its variables replaced."""
    found = [
        (panel["title"], target["expr"])
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]
    return [
        (title, e.replace("$instance", ".*").replace("$__rate_interval", "1m").replace("[1h]", "[1m]"))
        for title, e in found
    ]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_every_query_of_a_dashboard_returns_something(watched: Watched, path: Path) -> None:
    asked = queries(path)
    assert len(asked) > 5
    until, empty = time.monotonic() + 60, ["all"]
    while empty and time.monotonic() < until:  # a rate wants two scrapes, and a rule its turn after them
        drawn = {(title, expr): drawn_values(watched, expr) for title, expr in asked}
        empty = [title for (title, _), values in drawn.items() if not values]
    assert empty == []
    assert sum(any(not math.isnan(v) for v in values) for values in drawn.values()) > 0.8 * len(asked)


def drawn_values(watched: Watched, expr: str) -> list[float]:
    """Every value that a panel would draw from the beginning on."""
    now = time.time()
    matrix = watched.prometheus.between(expr, watched.begun, now, 1.0)
    return [float(value) for one in matrix for _, value in one["values"]]


@pytest.mark.skipif(os.environ.get("CI") == "true", reason="takes minutes: the long form, run by hand")
def test_every_alert_fires_and_clears(watched: Watched) -> None:
    hospital, prometheus = watched.hospital, watched.prometheus
    the_daemon_dies(hospital, prometheus)
    everything_goes_wrong(hospital, prometheus)
    everything_is_mended(hospital, prometheus)
    the_disk_fills(hospital, prometheus)
    assert prometheus.fired() == {a.name for a in alerts()}


def the_daemon_dies(hospital: Hospital, prometheus: Prometheus) -> None:
    """Begun again, it goes on: what is found then is what is usual."""
    before = confirmed(hospital)
    hospital.daemon.kill_group()
    prometheus.wait_fired("Down")
    hospital.daemon.start()
    prometheus.wait_fired("Restarting")
    hospital.daemon.wait_ready(120)
    hospital.admit("main", PLAIN)
    hospital.daemon.wait_until(lambda: confirmed(hospital) > before, 120)


def everything_goes_wrong(hospital: Hospital, prometheus: Prometheus) -> None:
    hospital.move("archive", "elsewhere")
    for i in range(12):
        hospital.ask("main", f"SYNNONE{i:03d}")
    hospital.admit("main", LARGE)
    prometheus.wait_fired("EmptiesUnusual", "SinkDown", "OutboxFilling", "OutboxStuck")
    hospital.main.stop()
    hospital.ask("main", "SYNACC9999")
    hospital.call_wrongly(6)
    prometheus.wait_fired("ReceiverRejecting", "PacsDown")
    hospital.move("ris.sqlite", "ris.away")
    os.kill(hospital.daemon.receivers()[0], signal.SIGSTOP)
    prometheus.wait_fired("RisSilent", "RisNotPolled", "QueueAgeing", "WorkerErrors", "Stuck")


def everything_is_mended(hospital: Hospital, prometheus: Prometheus) -> None:
    os.kill(hospital.daemon.receivers()[0], signal.SIGCONT)
    hospital.move("ris.away", "ris.sqlite")
    hospital.move("elsewhere", "archive")
    hospital.main.start()
    config = hospital.daemon_config
    held = {one["series"] for one in json.loads(command(config, "held", "list", "--json").stdout)["held"]}
    assert command(config, "held", "discard", *held).returncode == 0
    listed = json.loads(command(config, "requests", "list", "--project", "knee", "--json").stdout)
    assert command(config, "requests", "cancel", *(one["key"] for one in listed)).returncode == 0
    prometheus.wait_quiet("CertificateExpiring", "CertificateExpired", "Restarting")


def the_disk_fills(hospital: Hospital, prometheus: Prometheus) -> None:
    """And certificates are renewed by the same reload."""
    hospital.configure(days=30, min_free="900000 TiB")
    hospital.daemon.signal(signal.SIGHUP)
    prometheus.wait_fired("DiskLow", "ReceiverPaused")
    hospital.configure(days=30)
    hospital.daemon.signal(signal.SIGHUP)
    prometheus.wait_quiet()
