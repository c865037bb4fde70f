"""Finds burned-in text in one frame: a bundled detector, offline, on one core. It says where text is, never what it says.

The detector (PP-OCRv6 small, Apache-2.0; `packaging/make_recogniser.py`) looks several times at each frame, since no look alone
finds everything:

- as it is shown;
- with local contrast stretched: grey letters on bright anatomy, whose difference the window swallows; where the frame is small,
  this also twice as large: small letters;
- half as large where the frame is large: tall letters.

Local contrast never takes a smooth shade or a texture for text, the plain look does: an area too tall for a line counts
only where two different looks found it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import onnxruntime

from gateway.deidentify.textlines import Box, Map, along_lines, boxes, filled

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Tick: TypeAlias = Callable[[], None]
"""Called between steps; raises Unscreenable when the time is over."""

MODEL: Final = Path(__file__).with_name("model") / "text-detector.onnx"
LEAST: Final = 0.45
"""Mean likelihood of a box that counts."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures the detector was trained with (ImageNet), per channel."""
TILE, OVERLAP, STEP = 1280, 128, 32
SMALL: Final = 820_000
"""Pixels up to which a frame is also looked at twice as large; 1024 x 768 is one."""
LARGE: Final = 1600
"""Pixels of the longer side from which on a frame is also looked at half as large."""


class Recogniser:
    """Opened once a process: the model's memory is shared by all frames."""

    def __init__(self, model: Path = MODEL) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # gives memory back after a large frame
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def find(self, frame: Pixels, tick: Tick = lambda: None) -> list[Box]:
        """Where text is. `frame`: (rows, columns) or (rows, columns, 3), any number type, larger is brighter."""
        plain: list[Box] = []
        stretched: list[Box] = []
        for look, kind, scale in looks(frame):
            found = boxes(self._likely(look, tick), scale, LEAST)
            (plain if kind == "plain" else stretched).extend(found)
        return _cut(along_lines(_agreed(plain, stretched, frame.shape[:2])), frame.shape[:2])

    def _likely(self, look: Map, tick: Tick) -> Map:
        """How likely each pixel is text; in tiles that overlap, so that memory does not grow with the frame."""
        rows, columns = look.shape[:2]
        likely = np.zeros((rows, columns), np.float32)
        for y in _starts(rows):
            for x in _starts(columns):
                tick()
                tile = look[y : y + TILE, x : x + TILE]
                part = likely[y : y + TILE, x : x + TILE]
                np.maximum(part, self._tile(tile), out=part)
        return likely

    def _tile(self, tile: Map) -> Map:
        rows, columns = tile.shape[:2]
        padded = np.pad(tile, [(0, -rows % STEP), (0, -columns % STEP)], mode="edge")
        ready = [(padded / 255 - mean) / spread for mean, spread in zip(MEAN, SPREAD, strict=True)]
        (likely,) = self._session.run(None, {self._input: np.stack(ready)[None].astype(np.float32)})
        found: Map = likely[0, 0, :rows, :columns]
        return found


def looks(frame: Pixels) -> Iterator[tuple[Map, str, float]]:
    """What the detector gets to see: a picture of 0 to 255, its kind, how many of its pixels make one of the frame's."""
    grey = lightness(frame.astype(np.float32))
    shown = grey if frame.dtype == np.uint8 else windowed(grey)
    yield shown, "plain", 1
    yield stretched(grey, 8), "stretched", 1
    if grey.size <= SMALL:
        yield doubled(stretched(grey, 16)), "stretched", 2
    if max(grey.shape) > LARGE:
        yield halved(shown), "plain", 0.5
        yield stretched(halved(grey), 16), "stretched", 0.5


def windowed(grey: Map) -> Map:
    """0 to 255, without the brightest and darkest half percent."""
    low, high = np.percentile(grey[::4, ::4], (0.5, 99.5))
    scaled: Map = np.clip((grey - low) * (255 / max(high - low, 1.0)), 0, 255)
    return scaled


def lightness(values: Map) -> Map:
    """Half the sum of the largest and smallest channel: keeps blue on black and yellow on white apart, which luma does not.

    In colour, speckle that is tinted is taken for text; measured.
    """
    if values.ndim == 2:
        return values
    grey: Map = (values.max(axis=2) + values.min(axis=2)) / 2
    return grey


def stretched(grey: Map, radius: int) -> Map:
    """Each pixel's distance from the mean around it, in spreads of what is around it; `radius` in pixels."""
    mean = _blurred(grey, radius)
    spread = np.sqrt(np.maximum(_blurred(grey * grey, radius) - mean * mean, 0))
    floor = max(float(np.ptp(grey)) / 40, 1e-6)  # nothing is stretched out of flat noise
    scaled: Map = np.clip(128 + (grey - mean) / np.maximum(spread, floor) * 45, 0, 255).astype(np.float32)
    return scaled


def _blurred(grey: Pixels, radius: int) -> Map:
    """The mean of a square around each pixel, by running sums along both sides."""
    window = 2 * radius + 1
    values: Pixels = grey.astype(np.float64)
    for axis in (0, 1):
        edges = [(0, 0), (0, 0)]
        edges[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(values, edges, mode="edge"), axis=axis)
        size = sums.shape[axis]
        values = (sums.take(range(window, size), axis) - sums.take(range(size - window), axis)) / window
    blurred: Map = values.astype(np.float32)
    return blurred


def doubled(values: Map) -> Map:
    """Twice as large, in between by halves and quarters (bilinear)."""
    larger: Pixels = values
    for axis in (0, 1):
        edges = [(0, 0), (0, 0)]
        edges[axis] = (1, 1)
        padded = np.moveaxis(np.pad(larger, edges, mode="edge"), axis, 0)
        before, here, after = padded[:-2], padded[1:-1], padded[2:]
        pairs = np.stack([0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after], axis=1)
        larger = np.moveaxis(pairs.reshape(-1, *here.shape[1:]), 0, axis)
    return np.ascontiguousarray(larger, np.float32)


def halved(values: Map) -> Map:
    """Half as large: the mean of four; an odd last row or column is left out."""
    even = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
    four: Map = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return four / np.float32(4)


def _starts(size: int) -> range:
    return range(0, max(size - OVERLAP, 1), TILE - OVERLAP)


def _agreed(plain: Sequence[Box], stretched: Sequence[Box], shape: tuple[int, ...]) -> Iterator[Box]:
    """Lines; and areas too tall for one of which the other kind of look found at least the half."""
    for mine, others in ((plain, stretched), (stretched, plain)):
        tall = [box for box in mine if not box.is_line]
        yield from (box for box in mine if box.is_line)
        if tall:
            seen = filled((shape[0], shape[1]), others)
            yield from (b for b in tall if seen[b.y0 : b.y1, b.x0 : b.x1].mean() > 0.5)


def _cut(found: Sequence[Box], shape: tuple[int, ...]) -> list[Box]:
    """Grown by a quarter of the height to the sides, where a letter may be missing, and cut at the frame's edge."""
    cut = []
    for box in found:
        more = (box.y1 - box.y0) // 4
        x0, x1 = max(0, box.x0 - more), min(shape[1], box.x1 + more)
        cut.append(Box(x0, max(0, box.y0), x1, min(shape[0], box.y1), box.score))
    return cut
