"""Whole files through the whole screener: every kind of pixel data, lossless outside the blanked rectangles; and what is held."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array

from gateway.cstore.screener import PixelScreener
from gateway.cstore.screening import Screened
from gateway.deidentify.cleaner import make_cleaner
from gateway.deidentify.screen import PixelCleaner
from gateway.model import Held
from gateway.settings import Deidentify
from tests.pixels.files import JPEG, JPEG_2000, JPEG_LOSSLESS, JPEG_LS, NATIVE, RLE, Made, Pixels, as_stored, part10
from tests.pixels.planted import Planted, make_frame, small_frame

LOSSLESS = {**NATIVE, "rle": RLE, "jpeg-ls": JPEG_LS, "jpeg-2000": JPEG_2000, "jpeg-lossless": JPEG_LOSSLESS}
COLOURS = {
    "grey": ("", False), "deep": ("", True), "inverted": ("MONOCHROME1", False), "deep-inverted": ("MONOCHROME1", True),
    "rgb": ("RGB", False), "ybr": ("YBR_FULL", False),
}  # fmt: skip
BLACK = {"MONOCHROME1": (255, 4095), "MONOCHROME2": (0,), "RGB": (0,), "YBR_FULL": (0, 128)}
STAYS = {NATIVE["explicit"], NATIVE["implicit"], NATIVE["big"], RLE, JPEG_LS, JPEG_2000}


@pytest.fixture(scope="module")
def screener() -> PixelScreener:
    return PixelScreener(PixelCleaner)


def released(screened: Screened) -> Dataset:
    assert (screened.verdict, screened.reason) == ("release", "")
    return dcmread(io.BytesIO(b"".join(screened.parts)))


def samples(ds: Dataset) -> Pixels:
    """As (frames, rows, columns, samples), undone by pydicom and nobody else."""
    found: Pixels = pixel_array(ds, raw=True)
    shape = (int(ds.get("NumberOfFrames", 1)), ds.Rows, ds.Columns, ds.SamplesPerPixel)
    return found.reshape(shape)


def check_blanked(before: Dataset, after: Dataset, planted: Planted) -> None:
    """The line is black in every frame; where anything changed it is black; the rest is equal."""
    old, new = samples(before), samples(after)
    (line,) = planted.lines
    x0, y0, x1, y1 = line.box
    black = BLACK[after.PhotometricInterpretation]
    assert set(np.unique(new[:, y0:y1, x0:x1])) <= set(black)
    changed = (old != new).any(axis=3)
    assert set(np.unique(new[changed])) <= set(black)
    assert changed[:, y1 + 16 :].sum() == 0
    assert changed.any(axis=(1, 2)).all()


WRITTEN = [(n, c) for n in LOSSLESS for c in COLOURS if c != "ybr" or n not in ("jpeg-2000", "jpeg-lossless")]


@pytest.mark.parametrize(("name", "colour"), WRITTEN)
def test_lossless(screener: PixelScreener, name: str, colour: str) -> None:
    planted, syntax = small_frame(), LOSSLESS[name]
    pixels, photometric, stored = as_stored(planted, *COLOURS[colour])
    file = part10(Made([pixels], "SC", syntax, photometric, stored))
    after = released(screener.screen((file,)))
    check_blanked(dcmread(io.BytesIO(file)), after, planted)
    assert after.file_meta.TransferSyntaxUID == (syntax if syntax in STAYS else NATIVE["explicit"])
    assert after.BurnedInAnnotation == "NO"
    assert (after.PhotometricInterpretation, after.BitsStored) == (photometric, stored)
    assert "LossyImageCompression" not in after


@pytest.mark.parametrize("colour", ["", "RGB", "YBR_FULL_422"])
def test_lossy_jpeg_is_stored_as_it_decodes(screener: PixelScreener, colour: str) -> None:
    planted = small_frame()
    pixels, photometric, stored = as_stored(planted, colour)
    file = part10(Made([pixels], "SC", JPEG, photometric, stored))
    after = released(screener.screen((file,)))
    check_blanked(dcmread(io.BytesIO(file)), after, planted)
    assert after.file_meta.TransferSyntaxUID == NATIVE["explicit"]
    assert after.LossyImageCompression == "01"
    assert after.PhotometricInterpretation == photometric.removesuffix("_422")


@pytest.mark.parametrize("planar", [0, 1])
def test_planes(screener: PixelScreener, planar: int) -> None:
    planted = small_frame()
    pixels, photometric, stored = as_stored(planted, "RGB")
    file = part10(Made([pixels], "SC", NATIVE["explicit"], photometric, stored, planar))
    after = released(screener.screen((file,)))
    check_blanked(dcmread(io.BytesIO(file)), after, planted)
    assert after.PlanarConfiguration == planar


@pytest.mark.parametrize("syntax", [NATIVE["explicit"], RLE, JPEG])
def test_what_one_frame_of_a_loop_shows_is_blanked_in_all(screener: PixelScreener, syntax: str) -> None:
    """Frame 3 of 9 only, which is none of those that are looked at by themselves."""
    planted, plain = small_frame(), small_frame(text="")
    frames = [as_stored(planted if n == 3 else plain)[0] for n in range(9)]
    file = part10(Made(frames, "USM", syntax))
    screened = screener.screen((file,))
    before, after = dcmread(io.BytesIO(file)), released(screened)
    x0, y0, x1, y1 = planted.lines[0].box
    assert int(after.NumberOfFrames) == 9
    assert samples(after)[:, y0:y1, x0:x1].max() == 0
    assert np.array_equal(samples(after)[:, y1 + 16 :], samples(before)[:, y1 + 16 :])


def test_a_word_in_one_frame_of_a_loop_with_a_palette_is_seen(screener: PixelScreener) -> None:
    """The first and the last entry are black, so that neither the highest nor the lowest index is bright."""
    shades = np.arange(256, dtype="<u2") * 257
    shades[-1] = 0
    tables = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    told = {f"{table}Data": shades.tobytes() for table in tables} | {f"{t}Descriptor": [256, 0, 16] for t in tables}
    planted, frames = small_frame(), []
    for n in range(9):
        pixels = np.clip(as_stored(planted if n == 3 else small_frame(text=""))[0], 0, 254)
        frames.append(np.where(pixels < 120, n % 2 * 255, pixels).astype(np.uint8))
    after = released(screener.screen((part10(Made(frames, "USM", photometric="PALETTE COLOR", elements=told)),)))
    x0, y0, x1, y1 = planted.lines[0].box
    assert len(np.unique(samples(after)[:, y0:y1, x0:x1])) == 1


def test_every_page_of_a_capture_is_looked_at(screener: PixelScreener) -> None:
    planted, plain = small_frame(), small_frame(text="")
    frames = [as_stored(planted if n == 3 else plain)[0] for n in range(5)]
    after = released(screener.screen((part10(Made(frames, "SC")),)))
    x0, y0, x1, y1 = planted.lines[0].box
    assert samples(after)[:, y0:y1, x0:x1].max() == 0


def test_nothing_found_nothing_touched(screener: PixelScreener) -> None:
    pixels = as_stored(small_frame(text=""))[0]
    for syntax in (NATIVE["explicit"], JPEG, JPEG_LS):
        file = part10(Made([pixels], "SC", syntax, elements={"BurnedInAnnotation": "NO"}))
        assert b"".join(screener.screen((file,)).parts) == file


def test_one_bit_pixels(screener: PixelScreener) -> None:
    planted = small_frame()
    bits = (planted.grey > 170).astype(np.uint8)
    made: dict[str, Any] = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    made["PixelData"] = np.packbits(bits.ravel(), bitorder="little").tobytes()
    file = part10(Made([bits], "SC", elements=made))
    after = released(screener.screen((file,)))
    x0, y0, x1, y1 = planted.lines[0].box
    assert samples(after)[:, y0:y1, x0:x1].max() == 0


HELD = {
    "pixels.not-found": Made([as_stored(small_frame(text=""))[0]]),
    "pixels.undecodable": Made([as_stored(small_frame())[0]], syntax=JPEG),
    "pixels.video": Made([as_stored(small_frame())[0]], syntax=JPEG),
    "pixels.syntax": Made([as_stored(small_frame())[0]], syntax=JPEG),
}


@pytest.mark.parametrize("why", HELD)
def test_held(screener: PixelScreener, why: str) -> None:
    file = part10(HELD[why])
    if why == "pixels.undecodable":
        file = file.replace(b"\xff\xd8\xff", b"\0\0\0")
    other = {"pixels.video": b"1.2.840.10008.1.2.4.102", "pixels.syntax": b"1.2.840.10008.1.2.4.110"}.get(why)
    if other:
        file = file.replace(b"UI\x16\x00" + JPEG.encode(), b"UI\x18\x00" + other.ljust(24, b"\0")[: 22 + 2])
        file = _recounted(file)
    screened = screener.screen((file,))
    assert (screened.verdict, screened.reason, screened.parts) == ("hold", why, ())


def _recounted(file: bytes) -> bytes:
    """The meta information is two bytes longer now."""
    length = int.from_bytes(file[140:144], "little") + 2
    return file[:140] + length.to_bytes(4, "little") + file[144:]


def test_a_frame_of_another_size_is_held(screener: PixelScreener) -> None:
    file = part10(Made([as_stored(small_frame())[0]], syntax=JPEG, elements={"Rows": 80}))
    assert screener.screen((file,)).reason in ("pixels.dimensions", "pixels.undecodable")


def test_from_the_cleaner_to_the_release(screener: PixelScreener) -> None:
    """A data set as a PACS sends it: header cleaned and held by the one, pixels blanked and released by the other."""
    planted = small_frame()
    told = {
        "PatientName": "Quastenberg^Leopoldine",
        "PatientID": "774411",
        "StudyInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
    }
    source = part10(Made([as_stored(planted)[0]], "US", JPEG_LS, elements=told))
    dataset = source[source.index(b"\x08\0\x08\0CS") :]
    asked = Deidentify(options=("clean-pixel-data",))
    cleaner = make_cleaner(project="p", deidentify=asked, instance_rule=None, key=bytes(32))
    held = cleaner.clean(dataset, JPEG_LS, own=frozenset())
    assert isinstance(held, Held)
    after = released(screener.screen(held.parts))
    check_blanked(dcmread(io.BytesIO(source)), after, planted)
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert after.BurnedInAnnotation == "NO"
    assert after.PatientName != told["PatientName"]


def test_too_slow_is_held() -> None:
    times = iter(range(0, 10_000, 7))
    slow = PixelScreener(PixelCleaner, seconds=5, clock=lambda: next(times))
    assert slow.screen((part10(Made([as_stored(small_frame())[0]])),)).reason == "pixels.too-slow"


def test_a_rule_blanks_what_the_recogniser_misses(screener: PixelScreener) -> None:
    """Nothing that is missed by the recogniser and listed by a region rule survives: noise instead of text, which no one reads."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(1, 60, (480, 640), dtype=np.uint8)
    device = {"Manufacturer": "Philips Medical Systems", "ManufacturerModelName": "iU22", "BurnedInAnnotation": "NO"}
    after = released(screener.screen((part10(Made([pixels] * 2, "USM", elements=device)),)))
    assert samples(after)[:, :47].max() == 0
    assert np.array_equal(samples(after)[0, 90:, :, 0], pixels[90:])


def test_outside_the_ultrasound_regions_nothing_survives(screener: PixelScreener) -> None:
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 100, 60
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 539, 419
    pixels = np.random.default_rng(8).integers(1, 60, (480, 640), dtype=np.uint8)
    pixels[60:420, 100:540] = np.round(make_frame(0, lines=False).grey[200:560, 300:740])  # tissue
    told = {"SequenceOfUltrasoundRegions": [region], "BurnedInAnnotation": "NO"}
    after = samples(released(screener.screen((part10(Made([pixels], "US", JPEG_LS, elements=told)),))))[0, ..., 0]
    inside = np.zeros_like(pixels, bool)
    inside[60:420, 100:540] = True
    assert after[~inside].max() == 0
    assert np.array_equal(after[inside], pixels[inside])
