"""Dashboards: made from their source, complete as Grafana's own linter wants it, and asking only for what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.ops.declared import TABLE
from tests.monitoring.rules import MONITORING, RULES, document, metric_names
from tests.support.process import program

DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
EACH = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
NOT_OURS = ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total")


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in read(path)["panels"] if panel["type"] != "row"]


def faults(panel: dict[str, Any]) -> Iterator[str]:
    """What dashboard-linter would say."""
    if not panel["title"] or not panel["description"].endswith("."):
        yield "title and description"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "unit"
    if panel["datasource"]["uid"] != "$datasource" or not panel["targets"]:
        yield "data source and targets"
    for target in panel["targets"]:
        expr = target["expr"]
        if "ALERTS" not in expr and 'instance=~"$instance"' not in expr:
            yield f"an expression for every gateway: {expr}"
        for name in re.findall(r"\b\w+_total\b", expr):
            if not re.search(rf"(rate|increase)\({name}", expr):
                yield f"{name} is a counter"


def test_there_are_the_four() -> None:
    assert {p.stem for p in DASHBOARDS} == {"overview", "retrieval", "receiver", "delivery"}


def test_each_is_what_would_be_made_now() -> None:
    make = MONITORING / "make_dashboards.py"
    done = subprocess.run(
        [sys.executable, str(make), "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@EACH
def test_each_panel_is_complete(path: Path) -> None:
    assert [(panel["title"], fault) for panel in panels(path) for fault in faults(panel)] == []


def test_a_fault_would_be_seen() -> None:
    panel = panels(DASHBOARDS[0])[0]
    panel["targets"][0]["expr"] = "pacs_gateway_find_total"
    assert len(list(faults(panel))) == 2
    panel["fieldConfig"]["defaults"]["unit"] = ""
    assert "unit" in faults(panel)


@EACH
def test_panels_lie_side_by_side(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in read(path)["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in read(path)["panels"]]
    assert len(set(numbers)) == len(numbers)


@EACH
def test_it_asks_only_for_metrics_that_there_are(path: Path) -> None:
    recorded = {rule["record"] for group in document(RULES)["groups"] for rule in group["rules"]}
    for panel in panels(path):
        for target in panel["targets"]:
            assert set(metric_names(target["expr"])) <= set(TABLE), panel["title"]
            assert set(re.findall(r"pacs_gateway:[\w:]+", target["expr"])) <= recorded
            assert set(re.findall(r"process_\w+", target["expr"])) <= set(NOT_OURS)


def test_every_metric_is_on_some_dashboard_or_in_some_alert() -> None:
    shown = {n for path in DASHBOARDS for p in panels(path) for t in p["targets"] for n in metric_names(t["expr"])}
    told = {n for n in TABLE if f"pacs_gateway_{n}" in (MONITORING / "alerts.yml").read_text("utf-8")}
    seldom = {"build_info"}
    assert set(TABLE) - shown - told - seldom == set(), "add it to packaging/monitoring/boards.py"


@EACH
def test_promtool_reads_every_expression(path: Path, tmp_path: Path) -> None:
    exprs = [re.sub(r"\$\w+", "5m", t["expr"]) for panel in panels(path) for t in panel["targets"]]
    rules = [{"record": f"d:{i}", "expr": expr} for i, expr in enumerate(exprs)]
    (tmp_path / "r.yml").write_text(yaml.safe_dump({"groups": [{"name": "d", "rules": rules}]}))
    argv = [program("promtool"), "check", "rules", str(tmp_path / "r.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nodes_that_share_a_state_count_each_request_and_series_once(tmp_path: Path) -> None:
    """docs/nodes.md: every node tells the same `requests` and `series`."""
    shared = re.compile(r"pacs_gateway_(requests|series)\{")
    exprs = [t["expr"] for path in DASHBOARDS for p in panels(path) for t in p["targets"] if shared.search(t["expr"])]
    state = 'project="chest", state="confirmed"'
    told = [
        {"series": f'pacs_gateway_{name}{{{state}, instance="gw{n}"}}', "values": "7 7"}
        for n in (1, 2, 3)
        for name in ("requests", "series")
    ]
    cases = [{"expr": expr.replace("$instance", ".*"), "eval_time": "1m"} for expr in exprs]
    for case in cases:
        labels = '{state="confirmed"}' if case["expr"].startswith("sum by") else "{}"
        case["exp_samples"] = [{"labels": labels, "value": 0 if "retrieved|delivered" in case["expr"] else 7}]
    test = {"interval": "1m", "input_series": told, "promql_expr_test": cases}
    (tmp_path / "t.yml").write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    argv = [program("promtool"), "test", "rules", str(tmp_path / "t.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert len(exprs) == 4 and done.returncode == 0, done.stdout + done.stderr
