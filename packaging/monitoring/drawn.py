"""A dashboard as an SVG, for places without Grafana: its own panels at their own places, with lines of what Prometheus answers.

`ask(expr)`: the result of a range query, as Prometheus gives it: [{"metric": {...}, "values": [[time, "number"], ...]}, ...].
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Final

CELL_X, CELL_Y = 48, 32
COLUMNS: Final = 24
COLOURS: Final = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#718096", "#975a16", "#2c7a7b")
STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.row{font-size:14px;font-weight:bold}"
    ".small{font-size:10px;fill:#555}"
    ".big{font-size:20px;text-anchor:middle}.panel{fill:#fff;stroke:#d0d7de}.grid{stroke:#eee}path{fill:none;stroke-width:1.4}"
)
UNITS: Final = {"s": " s", "bytes": " B", "Bps": " B/s", "ops": "/s", "percentunit": "", "short": "", "none": ""}

Line = tuple[str, list[tuple[float, float]]]
"""Legend, points (time, value)."""
Box = tuple[float, float, float, float]
"""x, y, width, height."""


def drawn(dashboard: dict[str, Any], ask: Callable[[str], list[dict[str, Any]]]) -> str:
    panels = dashboard["panels"]
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels) * CELL_Y + 50
    width = COLUMNS * CELL_X + 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"><style>{STYLE}</style>'
    title = f'<text class="row" x="14" y="24">{escape(dashboard["title"])}</text>'
    ground = f'<rect width="{width}" height="{height}" fill="#f6f8fa"/>'
    pieces = [piece for panel in panels for piece in _panel(panel, ask)]
    return "\n".join([head, ground, title, *pieces, "</svg>"]) + "\n"


def _panel(panel: dict[str, Any], ask: Callable[[str], list[dict[str, Any]]]) -> Iterator[str]:
    place = panel["gridPos"]
    x, y, w, h = place["x"] * CELL_X + 10, place["y"] * CELL_Y + 40, place["w"] * CELL_X - 6, place["h"] * CELL_Y - 6
    if panel["type"] == "row":
        yield f'<text class="row" x="{x}" y="{y + 20}">{escape(panel["title"])}</text>'
        return
    yield f'<rect class="panel" x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>'
    yield f'<text class="title" x="{x + 8}" y="{y + 17}">{escape(panel["title"])}</text>'
    lines = [line for target in panel["targets"] for line in _lines(target, ask)]
    unit = UNITS[panel["fieldConfig"]["defaults"]["unit"]]
    if panel["type"] == "stat":
        yield from _stat(panel, lines, (x, y, w, h))
    else:
        yield from _graph(lines, unit, (x + 8, y + 26, w - 16, h - 56))


def _lines(target: dict[str, Any], ask: Callable[[str], list[dict[str, Any]]]) -> Iterator[Line]:
    for found in ask(target["expr"]):
        labels = found["metric"]
        legend = _filled(target["legendFormat"], labels)
        points = [(float(at), float(value)) for at, value in found["values"] if not math.isnan(float(value))]
        if points:
            yield legend, points


def _filled(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""), legend)


def _stat(panel: dict[str, Any], lines: list[Line], box: Box) -> Iterator[str]:
    """The last value of each series, and in which state that is."""
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    words = defaults["mappings"][0]["options"] if "mappings" in defaults else {}
    for i, (legend, points) in enumerate(lines[:4]):
        value, each = points[-1][1], (h - 24) / max(1, min(4, len(lines)))
        told = words.get(f"{value:g}", {}).get("text") or number(value)
        at = y + 24 + each * (i + 0.55)
        colour = _colour(defaults["thresholds"]["steps"], value)
        shown = f"{legend[-14:]}: {told}" if len(lines) > 1 else told
        style = f"font-size:{13 if len(lines) > 1 else 22}px;fill:{colour}"
        yield f'<text class="big" style="{style}" x="{x + w / 2}" y="{at}">{escape(shown)}</text>'


def _colour(steps: list[dict[str, Any]], value: float) -> str:
    named = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    return {"red": "#c53030", "green": "#2f855a"}.get(named, "#2b6cb0")


def _graph(lines: list[Line], unit: str, box: Box) -> Iterator[str]:
    x, y, w, h = box
    if not lines:
        yield f'<text class="small" x="{x}" y="{y + h / 2}">no data</text>'
        return
    times = [at for _, points in lines for at, _ in points]
    first, last, most = min(times), max(times), max(v for _, points in lines for _, v in points) or 1.0
    for share in (0.0, 0.5, 1.0):
        level = y + h - share * h
        yield f'<line class="grid" x1="{x + 50}" x2="{x + w}" y1="{level:.1f}" y2="{level:.1f}"/>'
        yield f'<text class="small" x="{x}" y="{level + 3:.1f}">{number(share * most)}{unit}</text>'
    for i, (_, points) in enumerate(lines):
        path = " ".join(
            f"{x + 50 + (at - first) / ((last - first) or 1) * (w - 50):.1f},{y + h - max(0.0, v) / most * h:.1f}"
            for at, v in points
        )
        yield f'<path stroke="{COLOURS[i % len(COLOURS)]}" d="M{path}"/>'
    yield from _legend(lines, x, y + h + 16, w)


def _legend(lines: list[Line], x: float, y: float, w: float) -> Iterator[str]:
    at = x
    for i, (legend, _) in enumerate(lines):
        room = 7 * len(legend) + 22
        if at + room > x + w:
            return
        yield f'<rect x="{at:.0f}" y="{y - 7}" width="8" height="3" fill="{COLOURS[i % len(COLOURS)]}"/>'
        yield f'<text class="small" x="{at + 11:.0f}" y="{y}">{escape(legend)}</text>'
        at += room


def number(value: float) -> str:
    """Four digits at most, and a letter for the thousands."""
    for letter in ("", "k", "M", "G"):
        if abs(value) < 1000:
            return f"{value:.3g}{letter}"
        value /= 1000
    return f"{value:.3g}T"
