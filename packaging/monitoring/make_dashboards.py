#!/usr/bin/env python3
"""Makes dashboards/*.json, which Grafana imports: overview, retrieval, receiver, delivery.

    python packaging/monitoring/make_dashboards.py            writes them
    python packaging/monitoring/make_dashboards.py --check    fails when one is not what would be written now

In an expression `@` stands for the chosen instances. Schema: Grafana's dashboard model, schemaVersion 39 (Grafana 11).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from boards import BOARDS, Board, Panel

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "$datasource"}
COLUMNS: Final = 24
INSTANCES: Final = 'instance=~"$instance"'

Json = dict[str, Any]

LINKS: Final = {
    "type": "dashboards",
    "title": "PACS gateway",
    "tags": ["pacs-gateway"],
    "includeVars": True,
    "asDropdown": True,
}


def dashboard(board: Board) -> Json:
    """One dashboard as Grafana's JSON model."""
    return {
        "uid": f"pacs-gateway-{board.name}",
        "title": f"PACS gateway: {board.name}",
        "description": board.description,
        "tags": ["pacs-gateway"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [LINKS],
        "templating": {"list": [_data_source(), _instance()]},
        "panels": list(_placed(board)),
    }  # fmt: skip


def _data_source() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _instance() -> Json:
    query = "label_values(pacs_gateway_build_info, instance)"
    return {
        "name": "instance", "label": "Gateway", "type": "query", "datasource": SOURCE, "query": query, "refresh": 2,
        "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def _placed(board: Board) -> Iterator[Json]:
    """Rows from top to bottom, panels from left to right."""
    y = number = 0
    for title, panels in board.rows:
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}  # fmt: skip
        x, y = 0, y + 1
        tallest = 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, number: int, place: Json) -> Json:
    instant = panel.kind == "stat"
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.description, "datasource": SOURCE,
        "gridPos": place, "fieldConfig": {"defaults": _defaults(panel), "overrides": []}, "options": _options(panel),
        "targets": [
            {"refId": chr(65 + n), "datasource": SOURCE, "expr": expr.replace("@", INSTANCES), "legendFormat": legend,
             "instant": instant, "range": not instant}
            for n, (expr, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def _defaults(panel: Panel) -> Json:
    bad = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    none = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    steps = {"up": bad, "none": none}.get(panel.good, [{"color": "blue", "value": None}])
    found: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.good == "up":
        words = {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}
        found["mappings"] = [{"type": "value", "options": words}]
    if panel.kind == "timeseries":
        stack = {"mode": "normal", "group": "A"} if panel.stacked else {"mode": "none"}
        found["custom"] = {
            "fillOpacity": 15 if panel.stacked else 0,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": stack,
        }
    return found


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"]},
        }
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def written(board: Board) -> str:
    return json.dumps(dashboard(board), indent=1) + "\n"


def main(words: list[str]) -> int:
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for board in BOARDS:
        path = FOLDER / f"{board.name}.json"
        if words != ["--check"]:
            path.write_text(written(board), "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != written(board):
            stale.append(f"{path.name}: not what packaging/monitoring/make_dashboards.py would write")
    print("\n".join(stale), end="\n" if stale else "")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
