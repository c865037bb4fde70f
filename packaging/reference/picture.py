"""A state machine as an SVG: states on a circle, one arrow for each pair of states, its events beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 1000, 720
RADIUS_X, RADIUS_Y = 400, 290
BOX_WIDTH, BOX_HEIGHT = 110, 34
BEND: Final = 34
"""How far an arrow leaves the straight line, to its right, so that there and back are two."""
STYLE: Final = (
    "text{font:13px sans-serif;text-anchor:middle;dominant-baseline:middle}.event{font-size:11px;fill:#555}"
    ".box{fill:#eef4fb;stroke:#2b6cb0}.end{fill:#eee;stroke:#777}.start{stroke-width:3}.arrow{fill:none;stroke:#888}"
)


@dataclass(frozen=True)
class Point:
    x: float
    y: float

    def toward(self, other: Point, share: float) -> Point:
        return Point(self.x + (other.x - self.x) * share, self.y + (other.y - self.y) * share)


def svg(table: Mapping[str, Mapping[str, str]], starts: tuple[str, ...]) -> str:
    """Starts have a thick border, ends are grey."""
    places = _places(list(table))
    arrows = [piece for arrow in _grouped(table) for piece in _arrow(places, *arrow)]
    boxes = [piece for state in table for piece in _box(state, places[state], _kinds(table, starts, state))]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    tip = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L10 5L0 10z" fill="#888"/></marker></defs>'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", tip, *arrows, *boxes, "</svg>"]) + "\n"


def _places(states: list[str]) -> dict[str, Point]:
    angles = [2 * math.pi * i / len(states) - math.pi / 2 for i in range(len(states))]
    return {
        state: Point(round(WIDTH / 2 + RADIUS_X * math.cos(a)), round(HEIGHT / 2 + RADIUS_Y * math.sin(a)))
        for state, a in zip(states, angles, strict=True)
    }


def _grouped(table: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    for state, events in table.items():
        for after in dict.fromkeys(events.values()):
            yield state, after, [event for event, to in events.items() if to == after]


def _arrow(places: Mapping[str, Point], state: str, after: str, events: list[str]) -> Iterator[str]:
    begin, end = places[state], places[after]
    if state == after:
        x, y = begin.x, begin.y - BOX_HEIGHT / 2
        yield f'<path class="arrow" marker-end="url(#tip)" d="M{x - 20} {y}C{x - 30} {y - 40} {x + 30} {y - 40} {x + 20} {y}"/>'
        yield _text(Point(x, y - 36), ", ".join(events), "event")
        return
    middle, length = begin.toward(end, 0.5), math.hypot(end.x - begin.x, end.y - begin.y)
    bend = Point(middle.x - (end.y - begin.y) / length * BEND, middle.y + (end.x - begin.x) / length * BEND)
    a, b = _edge(begin, bend), _edge(end, bend)
    yield f'<path class="arrow" marker-end="url(#tip)" d="M{a.x:.0f} {a.y:.0f}Q{bend.x:.0f} {bend.y:.0f} {b.x:.0f} {b.y:.0f}"/>'
    yield _text(begin.toward(end, 0.35).toward(bend, 0.45), ", ".join(events), "event")


def _edge(box: Point, toward: Point) -> Point:
    """Where the line from the middle of a box leaves it."""
    dx, dy = toward.x - box.x, toward.y - box.y
    share = min(BOX_WIDTH / 2 / abs(dx) if dx else math.inf, BOX_HEIGHT / 2 / abs(dy) if dy else math.inf)
    return box.toward(toward, min(share, 1.0))


def _kinds(table: Mapping[str, Mapping[str, str]], starts: tuple[str, ...], state: str) -> str:
    return ("box" if table[state] else "end") + (" start" if state in starts else "")


def _box(state: str, at: Point, kinds: str) -> Iterator[str]:
    x, y = at.x - BOX_WIDTH / 2, at.y - BOX_HEIGHT / 2
    yield f'<rect class="{kinds}" x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
    yield _text(at, state, "state")


def _text(at: Point, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{at.x:.0f}" y="{at.y:.0f}">{escape(words)}</text>'
