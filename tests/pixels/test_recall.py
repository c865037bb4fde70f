"""The recogniser on a small part of the planted set; the whole set: python -m tests.pixels.recall"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gateway.deidentify.recogniser import MODEL
from gateway.deidentify.textlines import Area, Box, along_lines, areas
from tests.pixels.recall import report, run

SHA256 = "23cf05f11e2baac4cfcbe9d725778885fccd4d26074be725ca3960af45f96484"


def test_the_bundled_model_is_the_one_that_was_measured() -> None:
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == SHA256


@pytest.mark.slow
def test_recall_and_false_alarms() -> None:
    """Frames 5 to 8: XA, US, SC, CR, in two transfer syntaxes."""
    tally = run(5, 4, clean=False)
    assert dict(tally.held) == {}
    clear = [found for name, hits in tally.hits.items() if name.startswith("clear") for found in hits]
    assert len(clear) >= 5
    assert all(clear)
    assert np.mean(tally.hits["all"]) >= 0.8
    assert max(share for shares in tally.alarms.values() for share in shares) < 0.03
    assert any("CPU seconds" in line for line in report(tally))


def test_areas_are_connected_over_corners() -> None:
    bits = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], bool)
    assert sorted(areas(bits)) == [Area(0, 0, 2, 2, 2), Area(0, 3, 3, 4, 3), Area(3, 0, 4, 2, 2)]


def test_arms_that_meet_below_are_one_area() -> None:
    bits = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], bool)
    assert areas(bits) == [Area(0, 0, 5, 3, 11)]


def test_words_of_one_line_are_joined_others_are_not() -> None:
    line = [Box(0, 0, 40, 10, 0.9), Box(60, 1, 90, 11, 0.5)]
    other = Box(0, 30, 40, 40, 0.8)
    assert along_lines([*line, other]) == [Box(0, 0, 90, 11, 0.9), other]
