"""What is to be blanked in a picture: what rules and ultrasound regions say, and what the recogniser finds in the rest.

A cine loop shows the same console in every frame: some of its frames are looked at, and the brightest and the darkest that each
pixel becomes in all of them, in which a word that stands in one frame only shows as well. Of all other pictures every frame is
looked at. What is found in one frame is blanked in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gateway.deidentify.codecs import Frame, Pixels
from gateway.deidentify.frames import BURNED_IN, DESCRIPTOR, PALETTES, SOP_CLASS, Picture, Unscreenable
from gateway.deidentify.masking import Rectangle
from gateway.deidentify.recogniser import Recogniser, Tick
from gateway.deidentify.regions import by_device, outside_regions
from gateway.deidentify.textlines import Box, filled
from gateway.deidentify.writing import Reader

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
CINE: Final = frozenset(_STORAGE + suffix for suffix in ("3", "3.1", "12.1", "12.1.1", "12.2", "12.2.1"))
"""Multi-frame ultrasound and X-ray: one console, moving pictures."""
SAMPLED: Final = 5
"""Frames of a cine loop that are looked at by themselves: first, last and evenly between."""
SURE: Final = 0.6
"""Mean likelihood from which a box is surely text; below, it is blanked too, but may not be many."""
MOST_DOUBT: Final = 0.05
"""Of the frame: more than that in boxes that are not sure is no finding but a texture that the recogniser cannot read."""
MOST: Final = 0.4
"""Of the frame: what is mostly text is a page, for a person to decide about."""
RING: Final = 6
"""Pixels around a rectangle whose mean it is filled with before the next frame is looked at."""
MOSTLY: Final = 0.7
"""Of a box: what lies so much within rectangles that are known is nothing new."""


def look(reader: Reader, recogniser: Recogniser, tick: Tick) -> tuple[Rectangle, ...]:
    """What is to be blanked. Raises Unscreenable: `pixels.low-confidence`, `pixels.mostly-text`, and what decoding raises."""
    picture = reader.picture
    ruled = [*by_device(picture), *outside_regions(picture)]
    found: list[Box] = []
    for view in _looked_at(reader, tick):
        known = [*ruled, *(Rectangle(*box[:4]) for box in found)]
        more = recogniser.find(without(view, known), tick)
        found += [box for box in more if not _inside(box, known, (picture.shape.rows, picture.shape.columns))]
    _judge(picture, ruled, found)
    return (*ruled, *(Rectangle(*box[:4]) for box in found))


def without(view: Pixels, known: Sequence[Rectangle]) -> Pixels:
    """A copy in which what is known is filled with what is around it: a black bar on bright tissue looks like text itself."""
    filled_ = view.copy()
    for x0, y0, x1, y1 in known:
        around = view[max(0, y0 - RING) : y1 + RING, max(0, x0 - RING) : x1 + RING]
        inner = view[y0:y1, x0:x1]
        count = max(around[..., 0].size if around.ndim == 3 else around.size, 1) - inner.shape[0] * inner.shape[1]
        total = around.sum(axis=(0, 1), dtype=np.float64) - inner.sum(axis=(0, 1), dtype=np.float64)
        filled_[y0:y1, x0:x1] = (total / max(count, 1)).astype(view.dtype)
    return filled_


def _inside(box: Box, known: Sequence[Rectangle], shape: tuple[int, ...]) -> bool:
    """Whether most of it is to be blanked anyway: the edge of a filled rectangle, not new text."""
    bits = filled((shape[0], shape[1]), (Box(*rectangle, 1.0) for rectangle in known))
    return bool(bits[box.y0 : box.y1, box.x0 : box.x1].mean() > MOSTLY)


def _judge(picture: Picture, ruled: Sequence[Rectangle], found: Sequence[Box]) -> None:
    """What neither rules nor the recogniser decide is held."""
    shape = (picture.shape.rows, picture.shape.columns)
    if filled(shape, (box for box in found if box.score < SURE)).mean() > MOST_DOUBT:
        raise Unscreenable("pixels.low-confidence")
    if filled(shape, found).mean() > MOST:
        raise Unscreenable("pixels.mostly-text")
    if picture.text(BURNED_IN) == "YES" and not ruled and not found:
        raise Unscreenable("pixels.not-found")  # its maker says there is text, and nobody sees it


def _looked_at(reader: Reader, tick: Tick) -> Iterator[Pixels]:
    """Frames as they are shown; each is decoded once, so that a broken one is known before anything is written."""
    count, views = len(reader), _views(reader, tick)
    if count == 1 or reader.picture.text(SOP_CLASS) not in CINE:
        yield from views
        return
    first = next(views)
    sampled = {round(n * (count - 1) / (SAMPLED - 1)) for n in range(SAMPLED)}
    bright, dark = first.copy(), first.copy()
    yield first
    for number, view in enumerate(views, 1):
        np.maximum(bright, view, out=bright)
        np.minimum(dark, view, out=dark)
        if number in sampled:
            yield view
    if count > len(sampled):
        yield from (bright, dark)


def _views(reader: Reader, tick: Tick) -> Iterator[Pixels]:
    for number in range(len(reader)):
        tick()
        yield shown(reader.frame(number), reader.picture)


def shown(frame: Frame, picture: Picture) -> Pixels:
    """What finding text needs: luminance of YBR, colours of palettes as grey, bits as black and white."""
    if frame.photometric.startswith("YBR"):
        return frame.pixels[..., 0]
    if frame.photometric == "PALETTE COLOR":
        return _through_palette(frame.pixels, picture)
    if picture.shape.bits == 1:
        return frame.pixels * np.uint8(255)
    if frame.photometric == "MONOCHROME1":
        return ~frame.pixels  # black is the largest value
    return frame.pixels


def _through_palette(pixels: Pixels, picture: Picture) -> Pixels:
    """Raises Unscreenable where the palette is no plain list (segmented, 8-bit): `pixels.unsupported`."""
    order = np.dtype(picture.codec.order + "u2")
    descriptor = np.frombuffer(picture.values.get(DESCRIPTOR, b""), order)
    tables = [np.frombuffer(picture.values.get(tag, b""), order) for tag in PALETTES]
    entries = int(descriptor[0]) or 1 << 16 if descriptor.size == 3 else -1
    if any(table.size != entries for table in tables):
        raise Unscreenable("pixels.unsupported")
    grey: Pixels = np.mean([table.astype(np.float32) for table in tables], axis=0).astype(np.uint16)
    looked_up: Pixels = grey[np.clip(pixels.astype(np.int64) - int(descriptor[1]), 0, entries - 1)]
    return looked_up
