"""How much planted text the screening finds and how much else it blanks: python -m tests.pixels.recall [FRAMES] [FIRST]

Each planted frame becomes a file (bit depths, colour spaces and transfer syntaxes in turn), goes through the whole screener, and
what came out is compared with what went in: a line is found when more than 80 % of its box is blanked. The same pictures without
text, through the recogniser alone, say what it takes for text.
"""

from __future__ import annotations

import io
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from gateway.cstore.screener import PixelScreener
from gateway.deidentify.recogniser import Recogniser
from gateway.deidentify.screen import PixelCleaner
from gateway.deidentify.textlines import filled
from tests.pixels import files
from tests.pixels.planted import Line, Planted, make_frame

FOUND: Final = 0.8
WAYS: Final = (
    ("explicit", files.NATIVE["explicit"], ""), ("jpeg", files.JPEG, ""), ("rle", files.RLE, ""),
    ("jpeg-ls", files.JPEG_LS, "MONOCHROME1"), ("jpeg-2000", files.JPEG_2000, ""), ("big", files.NATIVE["big"], ""),
    ("jpeg-lossless", files.JPEG_LOSSLESS, ""), ("implicit", files.NATIVE["implicit"], "MONOCHROME1"),
)  # fmt: skip


@dataclass
class Tally:
    """By class: hits and lines; per frame: blanked besides text (share of the frame), seconds of CPU; reasons of what was held."""

    hits: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    alarms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    clean: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def run(first: int, count: int, *, clean: bool = True) -> Tally:
    """Frames `first` and the `count` - 1 after it."""
    tally, recogniser = Tally(), Recogniser()
    screener = PixelScreener(PixelCleaner)
    for number in range(first, first + count):
        _screen(tally, screener, number)
        if clean and number % 2 == 0:
            planted = make_frame(number, lines=False)
            eight = np.round(planted.grey).astype(np.uint8)
            tally.clean[planted.kind].append(float(filled(eight.shape, recogniser.find(eight)).mean()))
    return tally


def _screen(tally: Tally, screener: PixelScreener, number: int) -> None:
    planted = make_frame(number)
    way, syntax, photometric = WAYS[number // 6 % len(WAYS)]
    deep = planted.kind in ("CR", "DX", "MG", "XA") and syntax != files.JPEG
    colour = ("YBR_FULL_422" if syntax == files.JPEG else "RGB") if planted.colour else photometric
    pixels, told, stored = files.as_stored(planted, colour, deep)
    file = files.part10(files.Made([pixels], planted.kind, syntax, told, stored))
    started = time.process_time()
    screened = screener.screen((file,))
    tally.seconds.append(time.process_time() - started)
    if screened.verdict != "release":
        tally.held[screened.reason] += 1
        return
    changed = _changed(file, b"".join(screened.parts))
    away = np.ones(changed.shape, bool)
    for line in planted.lines:
        x0, y0, x1, y1 = line.box
        found = bool(changed[y0:y1, x0:x1].mean() > FOUND)
        for name in _classes(planted, line, way):
            tally.hits[name].append(found)
        more = y1 - y0 + 6
        away[max(0, y0 - more) : y1 + more, max(0, x0 - 2 * more) : x1 + 2 * more] = False
    tally.alarms[planted.kind].append(float((changed & away).mean()))


def _changed(before: bytes, after: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where a rectangle was blanked: pixels that differ, and between them, row by row, what was black already."""
    a, b = (pixel_array(dcmread(io.BytesIO(file)), raw=True) for file in (before, after))
    differs = (a != b).any(axis=2) if a.ndim == 3 else a != b
    b = b[..., 0] if b.ndim == 3 else b
    black = b.max() if dcmread(io.BytesIO(after)).PhotometricInterpretation == "MONOCHROME1" else b.min()
    changed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = differs | ((b == black) & _near(differs))
    return changed


def _near(bits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Within four pixels of one that differs."""
    grown = bits.copy()
    for axis in (0, 1):
        for step in range(1, 5):
            grown |= np.roll(grown, step, axis) | np.roll(grown, -step, axis)
    return grown


def _classes(planted: Planted, line: Line, way: str) -> Iterator[str]:
    place = "on anatomy" if line.on_anatomy else "on margins"
    yield from ("all", planted.kind, f"{line.visibility} {place}", f"{line.height} px", way)
    yield "Han" if line.font == "han" else f"font {line.font.rsplit('/', 1)[-1]}"


def report(tally: Tally) -> Iterator[str]:
    for name in sorted(tally.hits, key=lambda n: (n != "all", n)):
        found = tally.hits[name]
        yield f"{name:28} {sum(found):4} of {len(found):4} lines  {100 * np.mean(found):5.1f} %"
    for kind in sorted(tally.alarms):
        shares, clean = tally.alarms[kind], tally.clean.get(kind, [0.0])
        yield (
            f"{kind:4} blanked besides text: mean {100 * np.mean(shares):.2f} %, most {100 * max(shares):.2f} % of a frame; "
            f"without text: mean {100 * np.mean(clean):.2f} %, most {100 * max(clean):.2f} %"
        )
    yield f"CPU seconds a frame: median {np.median(tally.seconds):.2f}, most {max(tally.seconds):.2f}"
    yield f"held: {dict(tally.held)}"


def main(arguments: Sequence[str]) -> int:
    count = int(arguments[0]) if arguments else 204
    first = int(arguments[1]) if len(arguments) > 1 else 0
    print("\n".join(report(run(first, count))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
