"""Frames with planted lines of text: ultrasound, captures, projections; where each line is, how large and how visible.

Deterministic: frame `n` is the same in every run. Nobody's data: names and numbers are made up, pictures are noise and gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Grey: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
"""(rows, columns), 0 black to 255 white, before quantisation."""
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

WORDS: Final = (
    "QUASTENBERG, LEOPOLDINE", "Zwackelmann^Petrosilius", "22.08.1947", "ID: 774411", "DOB 1947-08-22", "MRN 00774411",
    "Quellenhof Klinikum", "ACC7744110", "F 077Y", "Dr. Hotzenplotz", "17-Mar-2024 10:42", "Patient: Q. L.",
)  # fmt: skip
HAN: Final = ("张三丰 男 52岁", "患者姓名 李小明", "検査日 山田太郎", "内科 第二病棟")
KINDS: Final = ("US", "SC", "CR", "DX", "MG", "XA")
LATIN_FONTS: Final = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf",
)
HAN_FONTS: Final = (
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/tmp/pixels-fonts/wqy-microhei.ttc",  # unpacked by hand where none is installed
)


@dataclass(frozen=True)
class Line:
    """One planted line. `box`: x0, y0, x1, y1 around its ink. `contrast`: grey levels between ink and what is behind it."""

    box: tuple[int, int, int, int]
    size: int
    contrast: float
    font: str
    on_anatomy: bool

    @property
    def visibility(self) -> str:
        """clear from 100 grey levels, fair from 50, else faint."""
        return "clear" if self.contrast >= 100 else "fair" if self.contrast >= 50 else "faint"

    @property
    def height(self) -> str:
        return "8-11" if self.size < 12 else "12-19" if self.size < 20 else "20-40"


@dataclass(frozen=True)
class Planted:
    """`grey`: the picture; `tint`: colour of ink and picture where it is one of colour, else None."""

    kind: str
    grey: Grey
    lines: tuple[Line, ...]
    colour: bool
    anatomy: np.ndarray[Any, np.dtype[np.bool_]]


def make_frame(number: int, *, lines: bool = True) -> Planted:
    """Frame `number`. `lines=False`: the same picture without text."""
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng(7000 + number)
    grey, anatomy = BACKGROUNDS[kind](rng)
    planted = _write_lines(grey, anatomy, number, np.random.default_rng(9000 + number)) if lines else ()
    return Planted(kind, np.clip(grey, 0, 255), planted, kind in ("US", "SC") and number % 4 < 2, anatomy)


def small_frame(
    *, text: str = "QUASTENBERG, LEOPOLDINE", shape: tuple[int, int] = (160, 256), at: tuple[int, int] = (12, 10)
) -> Planted:
    """A smooth picture with one clear line on it, `text` "" for none: for what is about files and not about finding text."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    grey = (20 + 90 * np.exp(-(((x / columns - 0.6) / 0.3) ** 2) - ((y / rows - 0.6) / 0.3) ** 2)).astype(np.float32)
    anatomy = np.ones(shape, bool)
    if not text:
        return Planted("SC", grey, (), False, anatomy)
    ink = _ink(text, "built-in", 15)
    box = (at[1], at[0], at[1] + ink.shape[1], at[0] + ink.shape[0])
    grey[box[1] : box[3], box[0] : box[2]] += (235 - grey[box[1] : box[3], box[0] : box[2]]) * ink
    return Planted("SC", grey, (Line(box, 15, 200.0, "built-in", True),), False, anatomy)


def _noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Grey:
    """Smooth noise, -1 to 1, about `cells` hills a side."""
    small = Image.fromarray(rng.uniform(-1, 1, (cells + 2, cells + 2)).astype(np.float32))
    return np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float32)


Drawn: TypeAlias = tuple[Grey, np.ndarray[Any, np.dtype[np.bool_]]]


def _ultrasound(rng: np.random.Generator) -> Drawn:
    """A fan of speckle on black, with a grey bar and a scale beside it."""
    rows, columns = [(480, 640), (600, 800), (768, 1024)][int(rng.integers(3))]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    distance, angle = np.hypot(x - columns / 2, y + rows * 0.05), np.arctan2(x - columns / 2, y + rows * 0.05)
    inside = (distance < rows * 0.95) & (distance > rows * 0.2) & (abs(angle) < 0.75)
    tissue = 70 + 60 * _noise(rng, (rows, columns), 6) + 30 * _noise(rng, (rows, columns), 14)
    speckle = rng.rayleigh(0.8, (rows, columns)).astype(np.float32)
    grey = np.where(inside, np.clip(tissue * speckle, 0, 255), 0).astype(np.float32)
    grey[rows // 4 : rows // 2, columns - 24 : columns - 14] = np.linspace(255, 0, rows // 2 - rows // 4)[:, None]
    return grey, inside


def _capture(rng: np.random.Generator) -> Drawn:
    """A page of a workstation: panels, lines, one slice."""
    rows, columns = [(512, 512), (768, 1024), (860, 1132)][int(rng.integers(3))]
    paper = bool(rng.integers(2))
    grey = np.full((rows, columns), 235 if paper else 12, np.float32)
    for top in range(rows // 6, rows, rows // 6):
        grey[top : top + 1] = 128
    inside = np.zeros((rows, columns), bool)
    inside[rows // 2 : rows - 20, columns // 2 : columns - 20] = True
    slice_ = 120 + 70 * _noise(rng, (rows, columns), 7) + rng.normal(0, 8, (rows, columns)).astype(np.float32)
    return np.where(inside, slice_, grey).astype(np.float32), inside


def _chest(rng: np.random.Generator) -> Drawn:
    """Bright and dark fields with ribs and noise, no margin that is empty."""
    rows, columns = [(1024, 1024), (1200, 1000), (900, 1100)][int(rng.integers(3))]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    lungs = sum(np.exp(-(((x / columns - cx) / 0.16) ** 2) - ((y / rows - 0.5) / 0.3) ** 2) for cx in (0.3, 0.7))
    ribs = 14 * np.sin(y / rows * 60 + 3 * np.cos(x / columns * 6.28))
    grey = 185 - 110 * lungs + ribs + 22 * _noise(rng, (rows, columns), 9) + rng.normal(0, 6, (rows, columns))
    return grey.astype(np.float32), np.ones((rows, columns), bool)


def _limb(rng: np.random.Generator) -> Drawn:
    """A bone between soft tissue and direct exposure; collimated, the edge is black."""
    rows, columns = [(1100, 900), (1024, 800)][int(rng.integers(2))]
    x = np.mgrid[0:rows, 0:columns][1].astype(np.float32) / columns - 0.5
    bend = 0.06 * np.sin(np.arange(rows, dtype=np.float32) / rows * 5)[:, None]
    bone = np.exp(-(((x - bend) / 0.1) ** 4))
    soft = np.exp(-(((x - bend) / 0.28) ** 4))
    grey = 30 + 90 * soft + 95 * bone + 14 * _noise(rng, (rows, columns), 30) + rng.normal(0, 5, (rows, columns))
    edge = np.zeros((rows, columns), bool)
    edge[40:-40, 40:-40] = True
    return np.where(edge, grey, 4).astype(np.float32), edge


def _breast(rng: np.random.Generator) -> Drawn:
    """A bright half disc with strands at one side, black elsewhere."""
    rows, columns = 1280, 1000
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    inside = np.hypot(x / columns / 0.7, (y / rows - 0.5) / 0.42) < 1
    strands = 40 * abs(_noise(rng, (rows, columns), 25)) + 30 * _noise(rng, (rows, columns), 60)
    grey = np.where(inside, 120 + strands + 30 * _noise(rng, (rows, columns), 5), 3)
    return (grey + rng.normal(0, 3, (rows, columns))).astype(np.float32), inside


def _angiogram(rng: np.random.Generator) -> Drawn:
    """Grey haze with dark vessels, and a round diaphragm."""
    rows = columns = 512
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    grey = 150 + 30 * _noise(rng, (rows, columns), 4) + rng.normal(0, 7, (rows, columns)).astype(np.float32)
    for _ in range(6):
        slope, start, width = rng.uniform(-1, 1), rng.uniform(0, columns), rng.uniform(2, 6)
        path = start + slope * y + 30 * np.sin(y / rng.uniform(40, 90))
        grey -= 70 * np.exp(-(((x - path) / width) ** 2))
    inside = np.hypot(x - columns / 2, y - rows / 2) < 250
    return np.where(inside, grey, 2).astype(np.float32), inside


BACKGROUNDS: Final[dict[str, Callable[[np.random.Generator], Drawn]]] = {
    "US": _ultrasound, "SC": _capture, "CR": _chest, "DX": _limb, "MG": _breast, "XA": _angiogram,
}  # fmt: skip


@cache
def fonts() -> tuple[str, ...]:
    """Pillow's own two, which are always there, and what the machine has."""
    return ("built-in", "pixel", *(path for path in LATIN_FONTS if Path(path).exists()))


@cache
def han_font() -> str:
    return next((path for path in HAN_FONTS if Path(path).exists()), "")


def _ink(text: str, font: str, size: int) -> Grey:
    """0 to 1, cut to what is inked."""
    if font == "pixel":  # a raster font of 11 pixels in whole steps, as consoles have it
        drawn = _drawn(text, ImageFont.load_default_imagefont())
        step = max(1, round(size / 11))
        return np.kron(drawn, np.ones((step, step))).astype(np.float32)
    face: Font = ImageFont.load_default(size) if font == "built-in" else ImageFont.truetype(font, size)
    return _drawn(text, face)


def _drawn(text: str, face: Font) -> Grey:
    left, top, right, bottom = (int(v) for v in face.getbbox(text))
    canvas = Image.new("L", (right - min(left, 0) + 4, bottom - min(top, 0) + 4))
    ImageDraw.Draw(canvas).text((2, 2), text, font=face, fill=255)
    ink: Grey = (np.asarray(canvas) / 255).astype(np.float32)
    ys, xs = np.nonzero(ink > 0.2)
    return ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def _write_lines(
    grey: Grey, anatomy: np.ndarray[Any, np.dtype[np.bool_]], number: int, rng: np.random.Generator
) -> tuple[Line, ...]:
    """Two to five lines; every third frame says one of them in Han characters where a font has them."""
    taken = np.zeros(grey.shape, bool)
    found = []
    for place in range(int(rng.integers(2, 6))):
        han = place == 0 and number % 3 == 0 and han_font()
        text = str(rng.choice(HAN if han else WORDS))
        font = han_font() if han else str(rng.choice(fonts()))
        size = int(rng.choice((12, 14, 16, 20, 28, 40) if han else (8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 34, 40)))
        ink = _ink(text, font, size)
        corner = _free_place(taken, ink.shape, rng)
        if corner:
            found.append(_stamp(grey, anatomy, ink, corner, (size, "han" if han else font, rng)))
    return tuple(found)


def _free_place(
    taken: np.ndarray[Any, np.dtype[np.bool_]], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int] | None:
    rows, columns = taken.shape
    height, width = shape
    for _ in range(40):
        if height + 8 > rows or width + 8 > columns:
            return None
        edge = rng.integers(3)  # two of three near the upper or lower edge, as consoles write
        y = int(rng.integers(4, rows - height - 3))
        y = min(y % max(rows // 8, 1) + 4, rows - height - 3) if edge == 0 else y
        x = int(rng.integers(4, columns - width - 3))
        x = 4 + x % 20 if edge == 1 and width + 24 < columns else x
        near = taken[max(y - 8, 0) : y + height + 8, max(x - 12, 0) : x + width + 12]
        if not near.any():
            taken[y : y + height, x : x + width] = True
            return y, x
    return None


def _stamp(
    grey: Grey,
    anatomy: np.ndarray[Any, np.dtype[np.bool_]],
    ink: Grey,
    corner: tuple[int, int],
    told: tuple[int, str, np.random.Generator],
) -> Line:
    size, font, rng = told
    y, x = corner
    height, width = ink.shape
    under = grey[y : y + height, x : x + width]
    behind = float(under.mean())
    difference = float(rng.choice((255, 180, 120, 80, 60, 45)))
    value = behind + difference if behind < 128 else behind - difference
    value = float(np.clip(value, 0, 255))
    under += (value - under) * ink
    on_anatomy = bool(anatomy[y : y + height, x : x + width].mean() > 0.5)
    return Line((x, y, x + width, y + height), size, abs(value - behind), font, on_anatomy)
