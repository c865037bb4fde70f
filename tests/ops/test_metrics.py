"""The exposition: every declared metric, clean for promtool, on exactly one address."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway import __version__
from gateway.errors import Fatal, Retry
from gateway.ops.declared import PREFIX, TABLE, Declared, UnknownMetric
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.ops.scrape import Sample, Watched

INTERFACE = {
    "build_info", "ris_polls_total", "ris_last_success_timestamp_seconds", "ris_lag_seconds", "requests", "series",
    "find_seconds", "find_total", "move_seconds", "move_total", "instances_received_total", "received_bytes_total",
    "store_seconds", "associations", "associations_rejected_total", "deidentify_seconds", "leaks_blocked_total", "held",
    "deliveries_total", "delivery_lag_seconds", "outbox_bytes", "disk_free_bytes", "pacs_up", "sink_up",
    "oldest_pending_request_age_seconds",
}  # fmt: skip


@dataclass(frozen=True)
class Counts:
    requests: dict[tuple[str, str], int] = field(default_factory=lambda: {("chest", "new"): 3, ("chest", "done"): 9})
    series: dict[tuple[str, str], int] = field(default_factory=lambda: {("chest", "held"): 2, ("knee", "planned"): 1})
    oldest_pending: dict[str, float] = field(default_factory=lambda: {"chest": 900.0})


OTHERS = (
    Sample("disk_wanted_bytes", {}, 10**9), Sample("outbox_limit_bytes", {}, 10**10), Sample("stuck_roles", {}, 0),
    Sample("certificate_expiry_timestamp_seconds", {"use": "receiver"}, 2e9),
    Sample("certificate_expiry_timestamp_seconds", {"use": "pacs main"}, 3e9),
)  # fmt: skip


@pytest.fixture
def board() -> Board:
    board = Board()
    board.up("pacs", "main", now=1.0)
    board.down("sink", "directory:/srv", "sink.full", now=2.0)
    board.down("ris", "ris", "ris.down", now=2.0)
    return board


def watched(board: Board, **other: object) -> Watched:
    parts = {"counts": Counts, "outbox_bytes": lambda: 4096, "disk_free_bytes": lambda: 10**12, "clock": lambda: 1000.0,
             "held": lambda: {"chest": 5}, "others": lambda: OTHERS}  # fmt: skip
    return Watched(board=board, **{**parts, **other})  # type: ignore[arg-type]


@pytest.fixture
def metrics(board: Board) -> Metrics:
    metrics = Metrics()
    metrics.watch(watched(board))
    return metrics


def touch_all(metrics: Metrics) -> None:
    for name, row in TABLE.items():
        labels = dict.fromkeys(row.labels, "x")
        if row.kind == "counter":
            metrics.add(name, 2, **labels)
        elif row.kind == "gauge":
            metrics.set(name, 2, **labels)
        elif row.kind == "histogram":
            metrics.observe(name, 0.2, **labels)


def samples(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.exposition().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_table_has_the_interface() -> None:
    assert set(TABLE) >= INTERFACE


def test_promtool_says_nothing(metrics: Metrics) -> None:
    touch_all(metrics)
    assert _promtool(metrics.exposition()) == (0, b"")


def test_promtool_would_have_said_something() -> None:
    shown = b"# TYPE pacs_gateway_camelCase counter\npacs_gateway_camelCase 1\n"
    assert _promtool(shown)[0] != 0


def _promtool(exposition: bytes) -> tuple[int, bytes]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run([tool, "check", "metrics"], input=exposition, capture_output=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "row"), TABLE.items())
def test_every_metric_appears(metrics: Metrics, name: str, row: Declared) -> None:
    touch_all(metrics)
    suffix = "_count" if row.kind == "histogram" else ""
    found = [s for s in samples(metrics) if s.partition("{")[0] == PREFIX + name + suffix]
    assert found
    assert all(f'{label}="' in sample for label in row.labels for sample in found)


def test_nothing_foreign_appears(metrics: Metrics) -> None:
    names = {s.partition("{")[0] for s in samples(metrics)}
    assert {n for n in names if not n.startswith((PREFIX, "process_"))} == set()
    assert not any(n.endswith("_created") for n in names)


def test_what_is_scraped_comes_from_the_state(metrics: Metrics) -> None:
    shown = samples(metrics)
    assert shown[f'{PREFIX}build_info{{version="{__version__}"}}'] == 1
    assert shown[PREFIX + 'requests{project="chest",state="new"}'] == 3
    assert shown[PREFIX + 'series{project="knee",state="planned"}'] == 1
    assert shown[PREFIX + 'held{project="chest"}'] == 5
    assert shown[PREFIX + 'held{project="knee"}'] == 0
    assert shown[PREFIX + 'oldest_pending_request_age_seconds{project="chest"}'] == 100
    assert shown[PREFIX + "outbox_bytes"] == 4096
    assert shown[PREFIX + 'pacs_up{pacs="main"}'] == 1
    assert shown[PREFIX + 'sink_up{sink="directory:/srv"}'] == 0
    assert shown[PREFIX + 'ris_up{ris="ris"}'] == 0
    assert shown[PREFIX + "disk_wanted_bytes"] == 10**9
    assert shown[PREFIX + 'certificate_expiry_timestamp_seconds{use="pacs main"}'] == 3e9
    assert shown["process_open_fds"] > 0


@pytest.mark.parametrize("error", [Retry("state.busy"), OSError(5, "EIO")])
def test_a_busy_state_leaves_its_gauges_out(board: Board, error: Exception) -> None:
    def busy() -> Counts:
        raise error

    metrics = Metrics()
    metrics.watch(watched(board, counts=busy))
    shown = samples(metrics)
    assert not any(s.startswith((PREFIX + "requests", PREFIX + "series")) for s in shown)
    assert shown[PREFIX + "outbox_bytes"] == 4096


@pytest.mark.parametrize(
    ("verb", "name", "labels"),
    [
        ("add", "find_totals", {}),
        ("add", "find_total", {"pacs": "main"}),
        ("add", "find_total", {"pacs": "main", "result": "found", "accession": "x"}),
        ("add", "store_seconds", {}),
        ("add", "outbox_bytes", {}),
        ("set", "find_total", {"pacs": "main", "result": "found"}),
        ("set", "pacs_up", {"pacs": "main"}),
        ("observe", "associations", {"direction": "in"}),
    ],
)
def test_a_programming_mistake_is_raised_at_once(
    metrics: Metrics, verb: str, name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(UnknownMetric):
        getattr(metrics, verb)(name, 1.0, **labels)


def test_gauges_go_up_and_down(metrics: Metrics) -> None:
    metrics.add("associations", direction="in")
    metrics.add("associations", 2, direction="in")
    metrics.add("associations", -1, direction="in")
    assert samples(metrics)[PREFIX + 'associations{direction="in"}'] == 2


@pytest.fixture
def port(metrics: Metrics) -> Iterator[int]:
    server = metrics.serve("127.0.0.1", 0)
    yield server.address[1]
    server.close()


def test_it_is_served_on_exactly_the_address_given(port: int) -> None:
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    conn.request("GET", "/metrics")
    answer = conn.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert PREFIX.encode() in answer.read()
    conn.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_a_taken_address_is_said(metrics: Metrics, port: int) -> None:
    with pytest.raises(Fatal, match=r"^metrics\.address: cannot listen on 127\.0\.0\.1.*`port`"):
        metrics.serve("127.0.0.1", port)
    with pytest.raises(Fatal, match=r"^metrics\.address"):
        metrics.serve("192.0.2.1", 0)


def test_close_frees_the_port(metrics: Metrics) -> None:
    server = metrics.serve("127.0.0.1", 0)
    server.close()
    metrics.serve("127.0.0.1", server.address[1]).close()
