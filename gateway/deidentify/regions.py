"""Where devices write names into their pictures: rules by device and layout, and what an ultrasound machine says of its own.

Rules are data (`region_rules/devices.csv`, made by `packaging/make_regions.py`): words that the header contains, the size of the
picture, rectangles. All rules that fit are applied. In ultrasound nothing outside of the regions that the machine calibrated
(Sequence of Ultrasound Regions, PS3.3 C.8.5.5) is picture: there it writes.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

from gateway.deidentify.encoding import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Codec, Malformed
from gateway.deidentify.frames import (
    BURNED_IN,
    DESCRIPTION,
    IMAGE_TYPE,
    MANUFACTURER,
    MODALITY,
    MODEL,
    REGIONS,
    SOP_CLASS,
    Picture,
)
from gateway.deidentify.masking import Rectangle

FOLDER: Final = "region_rules"
EDGE: Final = 1 << 16
"""Beyond any frame: rectangles are cut at its edges."""
ULTRASOUND: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("3", "3.1", "6", "6.1"))
"""The storage classes that have regions, retired ones too."""
CORNERS: Final = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)
"""Region Location Min X0, Min Y0, Max X1, Max Y1: UL, the last ones are still inside."""
SMALLEST: Final = 0.02
"""Of the frame: regions that are smaller altogether are no picture, and not believed."""
WORDS: Final[Mapping[str, int]] = {
    "manufacturer": MANUFACTURER, "model": MODEL, "image_type": IMAGE_TYPE, "description": DESCRIPTION, "burned_in": BURNED_IN,
}  # fmt: skip


@dataclass(frozen=True)
class RegionRule:
    """`words`: tag -> alternatives, one of which the value contains. `modality`, `rows`, `columns`: () is any."""

    modality: tuple[str, ...]
    words: Mapping[int, tuple[str, ...]]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    rectangles: tuple[Rectangle, ...]
    source: str

    def fits(self, picture: Picture) -> bool:
        shape = picture.shape
        return (
            (not self.modality or picture.text(MODALITY) in self.modality)
            and (not self.rows or shape.rows in self.rows)
            and (not self.columns or shape.columns in self.columns)
            and all(any(word in picture.text(tag) for word in some) for tag, some in self.words.items())
        )


@cache
def read_rules() -> tuple[RegionRule, ...]:
    """All rules of all files in the folder. Raises ValueError for a line that is none."""
    folder = files("gateway.deidentify").joinpath(FOLDER)
    texts = (file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".csv"))
    return tuple(rule for text in texts for rule in parse_rules(text))


def parse_rules(text: str) -> Iterator[RegionRule]:
    """Rules as CSV. Lines that begin with # say nothing."""
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        words = {tag: _words(row[name]) for name, tag in WORDS.items() if row[name]}
        rows, columns = (tuple(map(int, _words(row[name]))) for name in ("rows", "columns"))
        rectangles = tuple(Rectangle(*(_edge(v) for v in part.split())) for part in row["blank"].split(";"))
        if not (words or (rows and columns)) or not all(r.area for r in rectangles):
            raise ValueError("a region rule without a device, or without a rectangle")
        yield RegionRule(_words(row["modality"]), words, rows, columns, rectangles, row["source"])


def _words(cell: str) -> tuple[str, ...]:
    return tuple(cell.split("|")) if cell else ()


def _edge(text: str) -> int:
    return EDGE if text == "*" else int(text)


def by_device(picture: Picture, rules: Sequence[RegionRule] | None = None) -> list[Rectangle]:
    """What the rules say is to be blanked, cut at the frame's edges."""
    found = [r for rule in (read_rules() if rules is None else rules) if rule.fits(picture) for r in rule.rectangles]
    return [cut for r in dict.fromkeys(found) if (cut := r.within(picture.shape)).area]


def outside_regions(picture: Picture) -> list[Rectangle]:
    """Everything but the ultrasound regions; nothing where there are none, or none that can be believed."""
    if picture.text(SOP_CLASS) not in ULTRASOUND or REGIONS not in picture.values:
        return []
    try:
        kept = [r.within(picture.shape) for r in _regions(picture.values[REGIONS], picture.codec)]
    except (Malformed, struct.error):
        return []
    kept = [r for r in kept if r.area]
    if sum(r.area for r in kept) < SMALLEST * picture.shape.pixels:
        return []
    return list(complement(kept, picture.shape.rows, picture.shape.columns))


def _regions(raw: bytes, codec: Codec) -> Iterator[Rectangle]:
    """One rectangle an item. Raises Malformed, struct.error."""
    pos = 0
    while pos < len(raw):
        head = codec.header(raw, pos)
        if head.tag == SEQUENCE_END:
            return
        if head.tag != ITEM:
            raise Malformed
        end = len(raw) if head.length == UNDEFINED else head.value + head.length
        found, pos = _corners(raw, head.value, end, codec)
        if len(found) == len(CORNERS):
            x0, y0, x1, y1 = (found[tag] for tag in CORNERS)
            yield Rectangle(x0, y0, x1 + 1, y1 + 1)


def _corners(raw: bytes, pos: int, end: int, codec: Codec) -> tuple[dict[int, int], int]:
    """The corners of one item, and where it ends. Sequences inside of undefined length are not expected."""
    found: dict[int, int] = {}
    while pos < end:
        head = codec.header(raw, pos)
        pos = head.value
        if head.tag == ITEM_END:
            break
        if head.length == UNDEFINED:
            raise Malformed
        pos += head.length
        if head.tag in CORNERS:
            (found[head.tag],) = struct.unpack(codec.order + "I", raw[head.value : pos])
    return found, pos


def complement(kept: Sequence[Rectangle], rows: int, columns: int) -> Iterator[Rectangle]:
    """All of the frame that lies in none of `kept`, as bands between their upper and lower edges; bands alike are joined."""
    edges = sorted({0, rows, *(r.y0 for r in kept), *(r.y1 for r in kept)})
    open_: dict[tuple[int, int], int] = {}
    for top, bottom in pairwise(edges):
        across = [(r.x0, r.x1) for r in kept if r.y0 <= top and bottom <= r.y1]
        gaps = set(_gaps(across, columns))
        for gap in [gap for gap in open_ if gap not in gaps]:
            yield Rectangle(gap[0], open_.pop(gap), gap[1], top)
        for gap in sorted(gaps):
            open_.setdefault(gap, top)
    for gap, top in open_.items():
        yield Rectangle(gap[0], top, gap[1], rows)


def _gaps(across: Sequence[tuple[int, int]], columns: int) -> Iterator[tuple[int, int]]:
    x = 0
    for x0, x1 in sorted(across):
        if x < x0:
            yield x, x0
        x = max(x, x1)
    if x < columns:
        yield x, columns
