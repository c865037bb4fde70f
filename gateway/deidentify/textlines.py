"""From a map of how likely each pixel is text to boxes around lines: connected areas, grown back, joined along a line.

The detector marks a line's core only (differentiable binarisation, Liao et al. 2020): a box is grown by area x 1.6 / outline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

Map: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Bits: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

LIKELY: Final = 0.3
"""Of a pixel to be text: what the detector was trained for."""
UNCLIP: Final = 1.6
LEAST_SIDE: Final = 3
TALLEST: Final = 72
"""Pixels of the smaller side; larger areas are no line."""


class Box(NamedTuple):
    """Pixels x0 <= x < x1, y0 <= y < y1 of a frame. `score`: mean likelihood, 0 to 1."""

    x0: int
    y0: int
    x1: int
    y1: int
    score: float

    @property
    def is_line(self) -> bool:
        return min(self.x1 - self.x0, self.y1 - self.y0) <= TALLEST

    @property
    def area(self) -> int:
        return (self.x1 - self.x0) * (self.y1 - self.y0)


class Area(NamedTuple):
    """One connected area: its bounds and how many pixels it has."""

    x0: int
    y0: int
    x1: int
    y1: int
    size: int


def boxes(likely: Map, scale: float, least: float) -> Iterator[Box]:
    """Boxes in pixels of the frame, `scale` times smaller than the map. `least`: the lowest mean likelihood."""
    for area in areas(likely > LIKELY):
        width, height = area.x1 - area.x0, area.y1 - area.y0
        if min(width, height) < LEAST_SIDE:
            continue
        part = likely[area.y0 : area.y1, area.x0 : area.x1]
        score = float(part[part > LIKELY].mean())
        if score >= least:
            grown = area.size * UNCLIP / (2 * (width + height)) + 1
            x0, y0 = (max(0, int((v - grown) / scale)) for v in (area.x0, area.y0))
            x1, y1 = (int((v + grown) / scale + 0.999) for v in (area.x1, area.y1))
            yield Box(x0, y0, x1, y1, score)


def areas(bits: Bits) -> list[Area]:
    """Connected areas (by edges and corners): runs of each row, joined with those of the row above."""
    owner: list[int] = []
    runs: list[Area] = []
    above: list[tuple[int, int, int]] = []
    for y in np.flatnonzero(bits.any(axis=1)).tolist():
        if above and runs[above[0][2]].y0 != y - 1:
            above = []
        here = []
        for x0, x1 in _runs(bits[y]):
            number = len(runs)
            owner.append(number)
            runs.append(Area(x0, y, x1, y + 1, x1 - x0))
            for a0, a1, other in above:
                if a0 <= x1 and x0 <= a1:
                    owner[_root(owner, number)] = _root(owner, other)
            here.append((x0, x1, number))
        above = here
    found: dict[int, Area] = {}
    for number, run in enumerate(runs):
        root = _root(owner, number)
        found[root] = _joined(found[root], run) if root in found else run
    return list(found.values())


def _runs(row: Bits) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


def _root(owner: list[int], number: int) -> int:
    while owner[number] != number:
        owner[number] = owner[owner[number]]
        number = owner[number]
    return number


def _joined(a: Area, b: Area) -> Area:
    return Area(min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1), a.size + b.size)


def along_lines(found: Iterable[Box]) -> list[Box]:
    """Boxes of one line with less than three heights between them become one: the word between them was missed.

    What only lies beside one another by chance is left apart: heights must be alike.
    """
    merged: list[Box] = []
    for box in sorted(found):
        partner = next((i for i, other in enumerate(merged) if _one_line(other, box)), None)
        if partner is None:
            merged.append(box)
        else:
            merged[partner] = _around(merged[partner], box)
    return merged


def _one_line(a: Box, b: Box) -> bool:
    low, high = sorted((a.y1 - a.y0, b.y1 - b.y0))
    shared = min(a.y1, b.y1) - max(a.y0, b.y0)
    gap = max(a.x0, b.x0) - min(a.x1, b.x1)
    return high <= 2 * low and shared > 0.6 * low and gap < 3 * low


def _around(a: Box, b: Box) -> Box:
    return Box(min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1), max(a.score, b.score))


def filled(shape: tuple[int, int], found: Iterable[Box]) -> Bits:
    """True within the boxes; (rows, columns)."""
    bits = np.zeros(shape, np.bool_)
    for box in found:
        bits[box.y0 : box.y1, box.x0 : box.x1] = True
    return bits
